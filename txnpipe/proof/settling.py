"""Waits until a run has arrived, or until waiting longer cannot help.

A pipeline that works needs a moment; one that is being restarted needs longer; one that lost something
never gets there. So waiting ends when everything that is expected is there, when the order of the stream
proves that a missing row or alert was passed by, or when nothing at all has changed for QUIET_S seconds.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

QUIET_S = 60.0
"""Longer than any part of the pipeline needs to restart by itself, on a busy machine, too."""
PASSED_S = 5.0
"""Silence that is enough once later alerts have overtaken the missing ones: rules run side by side."""
LEAST_PATIENCE_S = 120.0
_FIRST_PAUSE_S = 0.1
_PAUSE_S = 1.0


def patience_s(records: int) -> float:
    """How long to wait at most where nobody says: two minutes, and one second for each 1,000 records.

    A laptop's analytics app takes some 5,000 records a second; a stream of one shard takes 1,000.
    """
    return LEAST_PATIENCE_S + records / 1000


@dataclass(frozen=True)
class Arrived:
    """What is there at one look. alerts: by rule. passed: the loader has dealt with the run's last record."""

    rows: int
    rejects: int
    alerts: Mapping[str, int]
    passed: bool
    planted: int = 0
    """Bad records of the run that are among the rejects."""


@dataclass(frozen=True)
class Awaited:
    """What should be there. rows: distinct records. alerts: by rule, of the rows stored now. alerts_passed:
    in every shard with a missing alert, a later transaction has raised one."""

    rows: int
    alerts: Mapping[str, int]
    alerts_passed: bool = False
    planted: int = 0
    """Bad records that the run sent on purpose."""


@dataclass(frozen=True)
class Settled:
    """Why waiting ended: "complete", "final" (waiting cannot help), "quiet" or "timeout"; after how long."""

    reason: str
    waited_s: float
    arrived: Arrived


def settle(
    look: Callable[[], Arrived],
    awaited: Callable[[Arrived], Awaited],
    *,
    timeout_s: float,
    quiet_s: float = QUIET_S,
    on_wait: Callable[[Arrived, Awaited, float], None] | None = None,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Settled:
    """Looks again and again; on_wait hears what is there, what is awaited, and the seconds so far."""
    started = changed = clock()
    pause = _FIRST_PAUSE_S
    last: tuple[Arrived, Awaited] | None = None
    while True:
        arrived = look()
        target = awaited(arrived)
        now = clock()
        if last != (arrived, target):
            last, changed = (arrived, target), now
        reason = _verdict(arrived, target)
        if reason is None and now - changed >= (min(PASSED_S, quiet_s) if target.alerts_passed else quiet_s):
            reason = "quiet"
        if reason is None and now - started >= timeout_s:
            reason = "timeout"
        if reason is not None:
            return Settled(reason, now - started, arrived)
        if on_wait:
            on_wait(arrived, target, now - started)
        sleep(min(pause, max(timeout_s - (now - started), 0.01)))
        pause = min(pause * 1.5, _PAUSE_S)


def _verdict(arrived: Arrived, target: Awaited) -> str | None:
    alerts_short = any(arrived.alerts.get(rule, 0) < count for rule, count in target.alerts.items())
    if alerts_short:
        return None
    if arrived.rows == target.rows and arrived.planted >= target.planted:
        return "complete"
    if arrived.rows > target.rows or arrived.passed:
        return "final"
    return None
