"""Changes of state that take their time: a cluster that is being created, a workgroup that is being modified.

Each resource has its own queue: its transitions happen one after the other, in the background. Between the
answer to the caller and the work lies a latency, zero on a laptop, the service's own when tests want to see
what that does to a client.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

_log = logging.getLogger(__name__)

RETRY_S = 10.0
"""A database that could not be started (a full disk, say) is tried again after so long."""


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
        self._queues: dict[str, deque[Callable[[], None]]] = {}
        """Of the resources that have something under way, each with a thread."""
        self._threads: set[threading.Thread] = set()
        self._changed = threading.Condition()
        self._stopping = threading.Event()

    def begin(self, resource: str, latency_s: float, work: Callable[[], None]) -> None:
        """Queues a transition of a resource. What `work` raises is logged: it has nobody to tell."""

        def run() -> None:
            if not self._stopping.wait(latency_s) and not self._stopping.is_set():
                work()

        with self._changed:
            if self._stopping.is_set():
                return
            if resource in self._queues:
                self._queues[resource].append(run)
                return
            self._queues[resource] = deque([run])
            thread = threading.Thread(
                target=self._work_off, args=(resource,), name=f"redshift-{resource}", daemon=True
            )
            self._threads.add(thread)
            thread.start()

    def again(self, resource: str, work: Callable[[], None], pause_s: float = RETRY_S) -> None:
        """Queues a transition that failed once more, after a pause in which others have their turn."""
        self.begin(f"{resource} again", pause_s, lambda: self.begin(resource, 0, work))

    def wait_idle(self, timeout_s: float) -> bool:
        """Waits until nothing is under way; False when the time is over."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._queues, timeout_s)

    def stop(self) -> None:
        """Lets the work under way end and forgets the rest: the state on disk says what should be."""
        with self._changed:
            self._stopping.set()
            threads = list(self._threads)
        for thread in threads:
            thread.join()

    def _work_off(self, resource: str) -> None:
        while True:
            with self._changed:
                waiting = self._queues[resource]
                if not waiting:
                    del self._queues[resource]
                    self._threads.remove(threading.current_thread())
                    self._changed.notify_all()
                    return
                work = waiting.popleft()
            try:
                work()
            except Exception:  # noqa: BLE001 - the thread goes on with the next, and the log has the reason
                _log.exception("a transition failed")
