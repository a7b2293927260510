"""Removes everything a pipeline owns, in reverse order, and then looks for what was overlooked.

Nothing is remembered from setup: what exists is found by its deterministic name, and a second time by its
tag. What is gone already is fine, so an interrupted teardown is continued by the same command.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from txnpipe.aws import translated
from txnpipe.deploy.apply import lock_of
from txnpipe.deploy.events import Listener, Told, nobody, raise_failures
from txnpipe.deploy.graph import Graph
from txnpipe.deploy.lock import SetupLock
from txnpipe.deploy.plan import Action, Change, in_parallel
from txnpipe.deploy.scheduler import run
from txnpipe.errors import ExitCode, TxnpipeError
from txnpipe.names import TAG_PIPELINE
from txnpipe.resources.alarms import Alarms
from txnpipe.resources.resource import Observed, Resource, id_of

SWEEP_TIMEOUT_S = 60.0
"""The tagging service is eventually consistent: what was just deleted may be listed for a while."""
SECRET_SUFFIX = 7
"""Secrets Manager appends a hyphen and six characters to a secret's name in its ARN."""


@dataclass(frozen=True)
class Inventory:
    """What there is of a pipeline.

    present: ids of its own standalone resources. foreign: why a resource of that name was left alone, one
    sentence each. tagged: ARNs that carry the pipeline's tag and no deterministic name.
    """

    present: tuple[str, ...]
    foreign: tuple[str, ...]
    tagged: tuple[str, ...]

    @property
    def empty(self) -> bool:
        """Whether there is nothing to remove."""
        return not self.present and not self.tagged


def take_inventory(graph: Graph) -> Inventory:
    """Reads everything, by name and by tag. Changes nothing. Raises TxnpipeError (SERVICE)."""
    standalone = [resource for resource in graph if resource.inside is None]
    answers = in_parallel(_read, standalone)
    present, foreign = [], []
    for resource, answer in zip(standalone, answers, strict=True):
        if isinstance(answer, TxnpipeError):
            if answer.exit_code is not ExitCode.CONFLICT:
                raise answer
            foreign.append(answer.cause)
        elif answer is not None and not answer.facts.get("shared"):
            present.append(id_of(resource))
    arns = {
        answer.facts.get("arn")
        for answer in answers
        if answer is not None and not isinstance(answer, TxnpipeError)
    }
    named = tuple(arn for arn in _tagged(graph) if arn not in arns)
    return Inventory(tuple(present), tuple(foreign), named)


def teardown(
    graph: Graph,
    inventory: Inventory,
    listener: Listener = nobody,
    *,
    lock: Callable[[], SetupLock] | None = None,
) -> tuple[Change, ...]:
    """Removes what the inventory holds; the bucket goes last, and the lock with it.

    Returns what was removed. Raises TxnpipeError: NOT_FOUND (an empty inventory), CONFLICT (a setup runs), or
    the first failure with the others as details.
    """
    if inventory.empty:
        raise nothing_there(graph, inventory)
    told = Told(listener, graph.cloud.waiter.clock)
    graph.cloud.waiter.listener = told.waiting
    present = set(inventory.present)

    guards: list[Callable[[], None]] = []

    def remove(key: str) -> None:
        if key in present:
            for assert_held in guards:
                assert_held()
            resource = graph.resources[key]
            with (
                told.step(resource, Action.DELETE),
                translated(f"delete the {resource.kind}", resource.name),
            ):
                resource.delete()

    def remove_all() -> None:
        outcome = run(_reversed(graph), remove, on_interrupt=graph.cloud.waiter.cancel)
        raise_failures(outcome, "teardown")

    if graph.bucket in present:
        with (lock or (lambda: lock_of(graph, "teardown")))() as held:
            guards.append(held.assert_held)
            remove_all()
    else:
        remove_all()
    return tuple(
        Change(key, graph.resources[key].kind, graph.resources[key].name, Action.DELETE)
        for key in inventory.present
    )


def sweep(
    graph: Graph,
    *,
    clock: Callable[[], float] = time.monotonic,
    timeout_s: float = SWEEP_TIMEOUT_S,
) -> Inventory:
    """What is left after a teardown. Looks again for a while: the tagging service lags behind."""
    started = clock()
    while True:
        left = take_inventory(graph)
        if left.empty or clock() - started >= timeout_s:
            return left
        graph.cloud.waiter.sleep(2.0)


def nothing_there(graph: Graph, inventory: Inventory) -> TxnpipeError:
    """The error of a command that needs a pipeline where there is none."""
    names, target = graph.cloud.names, graph.cloud.target
    return TxnpipeError(
        f"There is no pipeline {names.pipeline} on {target.name} "
        f"(account {names.account}, region {names.region}).",
        "Create it with txnpipe setup, or choose another with --pipeline, --target or --region.",
        ExitCode.NOT_FOUND,
        details=inventory.foreign,
    )


def _read(resource: Resource[Any]) -> Observed[Any] | None:
    with translated("read", f"the {resource.kind} {resource.name}"):
        return resource.read()


def _reversed(graph: Graph) -> dict[str, set[str]]:
    """Id → what must be gone before it: everything that requires it; before the bucket, everything."""
    before: dict[str, set[str]] = {key: set() for key in graph.resources}
    for key, needs in graph.requirements().items():
        for needed in needs:
            before[needed].add(key)
    before[graph.bucket] = set(graph.resources) - {graph.bucket}
    return before


def _tagged(graph: Graph) -> tuple[str, ...]:
    """ARNs with our tag that no resource of the graph accounts for by its name."""
    tagging = graph.cloud.client("resourcegroupstaggingapi")
    filters = [{"Key": TAG_PIPELINE, "Values": [graph.cloud.names.pipeline]}]
    found: list[str] = []
    with translated("look for", f"resources tagged {TAG_PIPELINE}"):
        for page in tagging.get_paginator("get_resources").paginate(TagFilters=filters):
            found += (entry["ResourceARN"] for entry in page["ResourceTagMappingList"])
        return tuple(sorted(arn for arn in found if not _is_named(arn, graph) and not _has_gone(arn, graph)))


def _is_named(arn: str, graph: Graph) -> bool:
    """Whether a deterministic name accounts for this ARN. So does a final snapshot, kept on purpose."""
    if ":snapshot:" in arn or ":snapshot/" in arn:
        return True
    return any(_ends_with(arn, name) for name in _names(graph))


def _names(graph: Graph) -> set[str]:
    """All deterministic names; one resource stands for many alarms, and none has its name."""
    names: set[str] = set()
    for resource in graph:
        names |= set(resource.alarm_names) if isinstance(resource, Alarms) else {resource.name}
    return names


def _has_gone(arn: str, graph: Graph) -> bool:
    """Whether Redshift Serverless knows it no more. Its ARNs end in an id, so that no name tells whether what
    the tagging service still lists is one that was just deleted."""
    if ":redshift-serverless:" not in arn:
        return False
    serverless = graph.cloud.client("redshift-serverless")
    try:
        serverless.list_tags_for_resource(resourceArn=arn)
    except serverless.exceptions.ResourceNotFoundException:
        return True
    return False


def _ends_with(arn: str, name: str) -> bool:
    for candidate in (arn, arn.removesuffix(":*"), arn[:-SECRET_SUFFIX]):
        head, separator = candidate[: -len(name)], candidate[-len(name) - 1 : -len(name)]
        if candidate.endswith(name) and head and separator in {":", "/"}:
            return True
    return False
