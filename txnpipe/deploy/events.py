"""What apply and teardown tell while they work, for whoever shows it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from txnpipe.deploy.plan import Action
from txnpipe.deploy.scheduler import Outcome
from txnpipe.errors import TxnpipeError
from txnpipe.resources.resource import Cancelled, Resource, id_of


class Phase(StrEnum):
    """Where a step is."""

    STARTED = "started"
    WAITING = "waiting"
    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True)
class Event:
    """One thing that happened. seconds: since the step started. detail: what is awaited, or what failed."""

    resource: str
    kind: str
    name: str
    action: Action
    phase: Phase
    seconds: float
    detail: str = ""


Listener = Callable[[Event], None]


def nobody(_: Event) -> None:
    """A listener for those who do not want to know."""


class Told:
    """Turns steps into events for one listener. Steps run in many threads; the listener is called in them."""

    def __init__(self, listener: Listener, clock: Callable[[], float] = time.monotonic) -> None:
        self._listener = listener
        self._clock = clock
        self._running: dict[str, tuple[Resource[Any], Action, float]] = {}

    @contextmanager
    def step(self, resource: Resource[Any], action: Action) -> Iterator[None]:
        """Tells of the start and the end of what happens inside."""
        key = id_of(resource)
        self._running[key] = (resource, action, self._clock())
        self._tell(key, Phase.STARTED)
        try:
            yield
        except BaseException as error:
            self._tell(key, Phase.FAILED, getattr(error, "cause", str(error)))
            raise
        else:
            self._tell(key, Phase.DONE)
        finally:
            self._running.pop(key, None)

    def waiting(self, key: str, what: str, _: float) -> None:
        """For Waiter.listener."""
        if key in self._running:
            self._tell(key, Phase.WAITING, what)

    def _tell(self, key: str, phase: Phase, detail: str = "") -> None:
        resource, action, started = self._running[key]
        seconds = self._clock() - started
        self._listener(Event(key, resource.kind, resource.name, action, phase, seconds, detail))


def raise_failures(outcome: Outcome, command: str) -> None:
    """Raises what went wrong in a run: the first failure; the others and what was kept back are details."""
    failures = list(outcome.failed.values())
    for error in failures:
        if isinstance(error, Cancelled):
            raise KeyboardInterrupt from error
        if not isinstance(error, TxnpipeError):
            raise error
    known = [error for error in failures if isinstance(error, TxnpipeError)]
    if not known:
        return
    first = known[0]
    details = [*first.details, *(error.cause for error in known[1:])]
    if outcome.skipped:
        details.append(f"not reached: {', '.join(outcome.skipped)}")
    again = "" if "same command" in first.fix else f" Then run txnpipe {command} again: it continues here."
    raise TxnpipeError(first.cause, first.fix + again, first.exit_code, details=tuple(details)) from first
