"""Waiting in tests: for a condition, never for a time that one machine needs and another does not."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

PATIENCE_S = 60.0
"""How long a test waits for what takes a moment. Only a failing test ever waits as long."""


def eventually(
    probe: Callable[[], T | None], what: str, timeout_s: float = PATIENCE_S, interval_s: float = 0.05
) -> T:
    """The first value of `probe` that is true. Asserts that there is one within `timeout_s`.

    What `probe` asserts or raises is not waited out.
    """
    deadline = time.monotonic() + timeout_s
    while True:
        found = probe()
        if found:
            return found
        assert time.monotonic() < deadline, f"no {what} within {timeout_s:.0f} s"
        time.sleep(interval_s)
