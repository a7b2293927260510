"""Lets one thread at a time into moto, whose backends are plain dictionaries.

One gate for all services, not one each: services of moto change each other's state (SNS puts messages into
SQS, Redshift makes secrets), calls last a millisecond, and two locks taken in two orders would be a deadlock.
Whatever waits inside moto (a long poll, a function that runs) leaves the gate while it waits.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Gate:
    """A reentrant lock that its holder can let go of for a while."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._own = threading.local()

    @property
    def held(self) -> bool:
        """Whether this thread is inside."""
        return getattr(self._own, "depth", 0) > 0

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Inside, no other thread is."""
        depth = getattr(self._own, "depth", 0)
        if depth == 0:
            self._lock.acquire()
        self._own.depth = depth + 1
        try:
            yield
        finally:
            self._own.depth -= 1
            if self._own.depth == 0:
                self._lock.release()

    @contextmanager
    def released(self) -> Iterator[None]:
        """Inside, others may go in; afterwards this thread is as deep inside as it was."""
        depth = getattr(self._own, "depth", 0)
        if depth:
            self._own.depth = 0
            self._lock.release()
        try:
            yield
        finally:
            if depth:
                self._lock.acquire()
                self._own.depth = depth
