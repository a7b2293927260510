"""Changes of state that take their time: a cluster that is being created, a workgroup that is being modified.

Each resource has its own queue: its transitions happen one after the other, in the background. Between the
answer to the caller and the work lies a latency, zero on a laptop, the service's own when tests want to see
what that does to a client.
"""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Latencies:
    """How long transitions take at least, in seconds."""

    create: float = 0.0
    modify: float = 0.0
    delete: float = 0.0
    pause: float = 0.0
    resume: float = 0.0
    reboot: float = 0.0


class Transitions:
    """Runs transitions in the background, in order per resource."""

    def __init__(self) -> None:
        self._queues: dict[str, queue.SimpleQueue[Callable[[], None] | None]] = {}
        self._threads: list[threading.Thread] = []
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._idle = threading.Condition()
        self._pending = 0

    def begin(self, resource: str, latency_s: float, work: Callable[[], None]) -> None:
        """Queues a transition of a resource. What `work` raises is logged: it has nobody to tell."""

        def run() -> None:
            if not self._stopping.wait(latency_s) and not self._stopping.is_set():
                work()

        with self._lock:
            if self._stopping.is_set():
                return
            waiting = self._queues.get(resource)
            if waiting is None:
                waiting = self._queues[resource] = queue.SimpleQueue()
                thread = threading.Thread(
                    target=self._work_off, args=(waiting,), name=f"redshift-{resource}", daemon=True
                )
                self._threads.append(thread)
                thread.start()
        with self._idle:
            self._pending += 1
        waiting.put(run)

    def wait_idle(self, timeout_s: float) -> bool:
        """Waits until nothing is under way; False when the time is over."""
        with self._idle:
            return self._idle.wait_for(lambda: self._pending == 0, timeout_s)

    def stop(self) -> None:
        """Lets the work under way end and forgets the rest: the state on disk says what should be."""
        self._stopping.set()
        with self._lock:
            queues, threads = list(self._queues.values()), list(self._threads)
        for waiting in queues:
            waiting.put(None)
        for thread in threads:
            thread.join()

    def _work_off(self, waiting: queue.SimpleQueue[Callable[[], None] | None]) -> None:
        while (work := waiting.get()) is not None:
            try:
                work()
            except Exception:  # noqa: BLE001 - the thread goes on with the next, and the log has the reason
                _log.exception("a transition failed")
            finally:
                with self._idle:
                    self._pending -= 1
                    self._idle.notify_all()
