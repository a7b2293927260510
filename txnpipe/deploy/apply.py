"""Carries a plan out: in parallel, as far as it gets, and so that the same command can continue it.

Each resource is read again just before it is touched. That makes an old plan harmless, lets a resource whose
requirements have changed notice it (a new cluster has another host), and is why nothing needs to be recorded.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, TypeVar

from txnpipe.aws import translated
from txnpipe.deploy.events import Listener, Told, nobody, raise_failures
from txnpipe.deploy.graph import Graph
from txnpipe.deploy.lock import SetupLock
from txnpipe.deploy.plan import Action, Assessment, Change, Plan, assess
from txnpipe.deploy.scheduler import Outcome, run
from txnpipe.errors import ExitCode, TxnpipeError
from txnpipe.resources.difference import KNOWN_AFTER_APPLY
from txnpipe.resources.resource import Resource, wait_gone

S = TypeVar("S")

GONE_TIMEOUT_S = 1800.0
"""How long a resource that is being deleted may stand in the way of its successor."""


@dataclass(frozen=True)
class Applied:
    """What was really done, in the order in which it ended."""

    changes: tuple[Change, ...]


def lock_of(graph: Graph, command: str) -> SetupLock:
    """The lock of the graph's pipeline."""
    return SetupLock(graph.cloud.client("s3"), graph.cloud.names.bucket, command)


def apply(
    graph: Graph,
    plan: Plan,
    listener: Listener = nobody,
    *,
    command: str = "setup",
    lock: Callable[[], SetupLock] | None = None,
) -> Applied:
    """Makes everything as planned. The bucket comes first, alone: the lock lives in it.

    Raises TxnpipeError: CONFLICT (somebody else holds the lock), or the first failure with the others as
    details; everything that did not depend on a failed step has been done by then.
    """
    if plan.empty:
        return Applied(())
    executor = Executor(graph, plan, listener)
    executor.run({graph.bucket})
    with (lock or (lambda: lock_of(graph, command)))() as held:
        executor.guard = held.assert_held
        executor.run(set(graph.resources) - {graph.bucket})
    return Applied(tuple(executor.made))


class Executor:
    """Runs parts of one plan; remembers what it changed, because that concerns what depends on it."""

    def __init__(self, graph: Graph, plan: Plan, listener: Listener) -> None:
        self._graph = graph
        self._planned = {change.resource: change for change in plan.changes}
        self._told = Told(listener, graph.cloud.waiter.clock)
        self._mutex = threading.Lock()
        self.made: list[Change] = []
        self.guard: Callable[[], None] = lambda: None
        graph.cloud.waiter.listener = self._told.waiting

    def run(self, keys: set[str]) -> None:
        """Executes the changes of these resources. Raises as `apply` does."""
        requirements = {key: needs & keys for key, needs in self._graph.requirements().items() if key in keys}
        outcome: Outcome = run(requirements, self._step, on_interrupt=self._graph.cloud.waiter.cancel)
        raise_failures(outcome, "setup")

    def _step(self, key: str) -> None:
        resource = self._graph.resources[key]
        if self._planned[key].action is Action.UNCHANGED and not self._is_concerned(resource):
            return
        self.guard()
        found = assess(resource)
        if found.change.action is not Action.UNCHANGED:
            with self._told.step(resource, found.change.action), self._translated(found.change):
                self._execute(resource, found)
            with self._mutex:
                self.made.append(found.change)

    def _is_concerned(self, resource: Resource[Any]) -> bool:
        with self._mutex:
            changed = {change.resource for change in self.made}
        return not changed.isdisjoint(resource.requires)

    def _translated(self, change: Change) -> AbstractContextManager[None]:
        verb = "finish" if change.action is Action.WAIT else change.action.value
        return translated(f"{verb} the {change.kind}", change.name)

    def _execute(self, resource: Resource[S], found: Assessment[S]) -> None:
        observed = found.observed
        if found.change.action is Action.CREATE:
            if observed is not None:
                wait_gone(self._graph.cloud, resource, GONE_TIMEOUT_S)
            _assert_known(found)
            resource.create(found.desired)
        elif found.change.action is Action.REPLACE:
            _assert_known(found)
            resource.delete()
            resource.create(found.desired)
        else:
            if observed is not None and not observed.ready:
                resource.settle()
                found = assess(resource)
            if found.change.action is Action.UPDATE:
                _assert_known(found)
                resource.update(found.desired, found.change.differences)
        resource.settle()


def _assert_known(found: Assessment[Any]) -> None:
    unknown = [item.field for item in found.change.differences if item.after is KNOWN_AFTER_APPLY]
    if unknown:
        raise TxnpipeError(
            f"{found.change.resource} needs {', '.join(unknown)}, which is not there although it was made.",
            "Run txnpipe setup again; if it stays so, run txnpipe status to see what is missing.",
            ExitCode.SERVICE,
        )
