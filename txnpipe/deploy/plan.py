"""What would change, field by field. Only reads."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Generic, TypeVar

from txnpipe.aws import translated
from txnpipe.deploy.graph import Graph
from txnpipe.errors import ExitCode, TxnpipeError
from txnpipe.resources.difference import Difference, differences
from txnpipe.resources.resource import Observed, Resource, id_of

T = TypeVar("T")
S = TypeVar("S")

READERS = 8
"""Reads at once: enough to hide the round trips, few enough not to be throttled."""


class Action(StrEnum):
    """What has to happen to one resource."""

    CREATE = "create"
    UPDATE = "update"
    REPLACE = "replace"
    WAIT = "wait"
    """It is there and still changing: what is left to do shows when it has settled."""
    UNCHANGED = "unchanged"
    DELETE = "delete"


@dataclass(frozen=True)
class Change:
    """One resource of a plan. `note` says what the action does not, for a person."""

    resource: str
    kind: str
    name: str
    action: Action
    differences: tuple[Difference, ...] = ()
    note: str = ""

    def as_json(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "resource": self.resource,
            "kind": self.kind,
            "name": self.name,
            "action": self.action.value,
            "note": self.note,
            "differences": [difference.as_json() for difference in self.differences],
        }


@dataclass(frozen=True)
class Plan:
    """All resources in an order in which they can be made, each with what has to happen to it."""

    changes: tuple[Change, ...]

    @property
    def empty(self) -> bool:
        """Whether everything is as it should be."""
        return not self.work

    @property
    def work(self) -> tuple[Change, ...]:
        """The changes that are not `unchanged`."""
        return tuple(change for change in self.changes if change.action is not Action.UNCHANGED)

    def counts(self) -> dict[str, int]:
        """Action → how many, in the order of Action."""
        actions = [change.action for change in self.changes]
        return {action.value: actions.count(action) for action in Action if action in actions}


@dataclass(frozen=True)
class Assessment(Generic[S]):
    """A change together with what it was concluded from."""

    change: Change
    desired: S
    observed: Observed[S] | None


def make_plan(graph: Graph, readers: int = READERS) -> Plan:
    """Compares the whole graph with what is there.

    Raises TxnpipeError: CONFLICT (a name belongs to others, or a change would lose data; all such resources
    are named), SERVICE (a read failed), USAGE (a setting that no service would accept).
    """
    return Plan(collected(in_parallel(lambda resource: assess(resource).change, graph, readers)))


def assess(resource: Resource[S]) -> Assessment[S]:
    """Reads one resource and says what has to happen to it. Raises as `make_plan` does."""
    with translated("read", f"the {resource.kind} {resource.name}"):
        observed = resource.read()
        desired = resource.desired()
    assessment = Assessment(_change(resource, desired, observed), desired, observed)
    losing = [found.field for found in assessment.change.differences if found.loses_data]
    if losing:
        raise TxnpipeError(
            f"The {resource.kind} {resource.name} cannot change its {' or '.join(losing)}: "
            "that needs a new one, and what it stores would be lost.",
            "Keep the old value in the configuration, or run txnpipe teardown first.",
            ExitCode.CONFLICT,
        )
    return assessment


def _change(resource: Resource[S], desired: S, observed: Observed[S] | None) -> Change:
    def change(action: Action, found: tuple[Difference, ...] = (), note: str = "") -> Change:
        return Change(id_of(resource), resource.kind, resource.name, action, found, note)

    if observed is None:
        return change(Action.CREATE, differences(desired, None))
    if observed.leaving:
        note = f"after the old one, which is {observed.status}, is gone"
        return change(Action.CREATE, differences(desired, None), note)
    found = () if observed.state is None else differences(desired, observed.state)
    if any(difference.replaces for difference in found):
        return change(Action.REPLACE, found)
    if found:
        return change(Action.UPDATE, found)
    if not observed.ready:
        return change(Action.WAIT, note=f"is {observed.status}")
    return change(Action.UNCHANGED)


def in_parallel(
    work: Callable[[Resource[Any]], T], resources: Iterable[Resource[Any]], readers: int = READERS
) -> list[T | TxnpipeError]:
    """Does `work` for each resource, in threads; answers in the resources' order, errors as values.

    Anything but a TxnpipeError is a defect and raised.
    """

    def guarded(resource: Resource[Any]) -> T | TxnpipeError:
        try:
            return work(resource)
        except TxnpipeError as error:
            return error

    with ThreadPoolExecutor(readers, thread_name_prefix="read") as pool:
        return list(pool.map(guarded, list(resources)))


def collected(answers: list[T | TxnpipeError]) -> tuple[T, ...]:
    """The answers, or one TxnpipeError that names all errors among them."""
    errors = [answer for answer in answers if isinstance(answer, TxnpipeError)]
    if errors:
        first = errors[0]
        # Several resources may stumble over one cause (a VPC that is not there): it is said once.
        others = [error.cause for error in errors[1:] if error.cause != first.cause]
        details = tuple(dict.fromkeys([*first.details, *others]))
        raise TxnpipeError(first.cause, first.fix, first.exit_code, details=details) from first
    return tuple(answer for answer in answers if not isinstance(answer, TxnpipeError))
