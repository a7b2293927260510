"""The one way to wait: a probe, a deadline, and the name of what is awaited."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from txnpipe.errors import ExitCode, TxnpipeError

T = TypeVar("T")

SHARE = 0.02
"""A pause is at least this share of what was waited so far: who has waited for minutes asks less often, is
late by no more than this, and spends few of the calls that a service allows."""


def wait_until(
    probe: Callable[[], T | None],
    what: str | Callable[[], str],
    timeout_s: float,
    *,
    fix: str = "Run the same command again: it continues where this one stopped.",
    first_interval_s: float = 0.1,
    interval_s: float = 5.0,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
    on_wait: Callable[[float], None] | None = None,
) -> T:
    """Calls `probe` until it returns something other than None, and returns that.

    The pause doubles from `first_interval_s` to `interval_s` (seconds), and later grows by SHARE. `on_wait`
    hears the seconds waited so far, before each pause. Raises TxnpipeError (TIMEOUT) that names `what` (asked
    then, where it is a function) once `timeout_s` have passed.
    """
    started = clock()
    pause = first_interval_s
    while True:
        result = probe()
        if result is not None:
            return result
        waited = clock() - started
        if waited >= timeout_s:
            awaited = what if isinstance(what, str) else what()
            raise TxnpipeError(f"Waited {timeout_s:.0f} s for {awaited}, in vain.", fix, ExitCode.TIMEOUT)
        if on_wait:
            on_wait(waited)
        sleep(min(max(pause, waited * SHARE), timeout_s - waited))
        pause = min(pause * 2, interval_s)
