"""Time that passes only while everybody waits.

The steps of an apply run in threads. Each of them sleeps on this clock; as soon as none of them does anything
but sleep, the clock jumps to the moment at which the first one wakes. So minutes of waiting take no time, and
what is measured depends on no machine.

The clock counts who is awake. A thread that it does not know of (a reader of a plan) may sleep as well: then
time passes at once.
"""

from __future__ import annotations

import heapq
import itertools
import queue
import threading
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

UNWOKEN_S = 240.0
"""Real seconds after which a sleeper that nobody wakes is a defect of a test.

It sleeps for as long as the others really work. pytest's own time-out would not say what is wrong.
"""


class VirtualClock:
    """One time for all threads of one account."""

    def __init__(self, start: float = 1_000_000.0) -> None:
        self.now = start
        self._changed = threading.Condition()
        self._awake = 1
        """The test's own thread, and the steps that it runs."""
        self._asleep: list[tuple[float, int]] = []
        self._tickets = itertools.count()

    def time(self) -> float:
        """Seconds."""
        return self.now

    def sleep(self, seconds: float) -> None:
        """Returns once so many seconds have passed."""
        with self._changed:
            ticket = (self.now + max(0.0, seconds), next(self._tickets))
            heapq.heappush(self._asleep, ticket)
            self._awake -= 1
            self._pass()
            if not self._changed.wait_for(lambda: ticket not in self._asleep, UNWOKEN_S):
                raise AssertionError("a sleeper was never woken: somebody is awake and does nothing")

    def wake(self) -> None:
        """Somebody more is awake."""
        with self._changed:
            self._awake += 1

    def rest(self) -> None:
        """Somebody less is."""
        with self._changed:
            self._awake -= 1
            self._pass()

    def _pass(self) -> None:
        if self._awake > 0 or not self._asleep:
            return
        self.now = max(self.now, self._asleep[0][0])
        while self._asleep and self._asleep[0][0] <= self.now:
            heapq.heappop(self._asleep)
            self._awake += 1
        self._changed.notify_all()

    def modules(self) -> dict[str, Any]:
        """Stand-ins for `threading` and `queue` in the scheduler, so that its threads are counted."""
        return {
            "threading": SimpleNamespace(Thread=_counted_thread(self)),
            "queue": SimpleNamespace(SimpleQueue=_counted_queue(self)),
        }


def _counted_thread(clock: VirtualClock) -> Callable[..., threading.Thread]:
    class Counted(threading.Thread):
        """Awake from its start to its end."""

        def start(self) -> None:
            clock.wake()
            super().start()

        def run(self) -> None:
            try:
                super().run()
            finally:
                clock.rest()

    return Counted


def _counted_queue(clock: VirtualClock) -> Any:
    class Counted:
        """What lies in it counts as awake: it is somebody's turn. Whoever waits for it rests."""

        def __init__(self) -> None:
            self._items: queue.SimpleQueue[Any] = queue.SimpleQueue()

        def __class_getitem__(cls, _: Any) -> Any:
            return cls

        def put(self, item: Any) -> None:
            clock.wake()
            self._items.put(item)

        def get(self) -> Any:
            clock.rest()
            return self._items.get()

    return Counted


class Later:
    """What the services do in the background, at its time: it is done before the next request is answered."""

    def __init__(self, clock: VirtualClock) -> None:
        self._clock = clock
        self._tickets = itertools.count()
        self._moment: float | None = None
        self.booked: Callable[[float], None] = lambda _: None
        """Hears the seconds that are asked of whoever makes a call."""
        self.entries: list[tuple[float, int, Any]] = []

    def time(self) -> float:
        """Now; for what is done in the background, the moment at which it was due."""
        return self._clock.now if self._moment is None else self._moment

    def begin(self, seconds: float, work: Any) -> None:
        """Does `work` after so many seconds."""
        self.booked(seconds)
        heapq.heappush(self.entries, (self.time() + seconds, next(self._tickets), work))

    def catch_up(self) -> None:
        """Does everything that is due."""
        while self.entries and self.entries[0][0] <= self._clock.now:
            due, _, work = heapq.heappop(self.entries)
            self._moment = due
            try:
                work()
            finally:
                self._moment = None
