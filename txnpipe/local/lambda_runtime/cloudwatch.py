"""Takes what workers print to CloudWatch Logs, in batches, after the fact.

A worker's output is put into memory and nothing else while its invocation runs; a thread passes it on. Where
that cannot keep up, lines are lost here, not time there. The log file has them all the same.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

PAUSE_S = 0.5
"""Between the first line that waits and the batch that takes it; Lambda's own takes some seconds."""
MAX_WAITING_BYTES = 8_000_000
MAX_BATCH_LINES = 500
"""Lines passed on at once: the gate in front of moto is held for about a millisecond then."""

log = logging.getLogger(__name__)

Event = tuple[int, str]
"""Epoch milliseconds and one line, its line break included."""


@dataclass(frozen=True)
class LogStream:
    """Where one worker's output belongs. role: the function's, which must allow writing it."""

    region: str
    group: str
    name: str
    role: str


class CloudWatchOutput:
    """Collects lines and passes them on with a thread of its own. Thread-safe.

    put: stores lines of one stream, in order.
    """

    def __init__(
        self, put: Callable[[LogStream, list[Event]], None], clock: Callable[[], float] = time.time
    ) -> None:
        self._put = put
        self._clock = clock
        self._lock = threading.Lock()
        self._waiting: dict[LogStream, list[tuple[int, bytes]]] = {}
        self._size = 0
        self._lost = 0
        self._newest_ms = 0
        self._filled = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="lambda-cloudwatch", daemon=True)

    def start(self) -> None:
        """Begins to pass on."""
        self._thread.start()

    def stop(self) -> None:
        """Passes on what is left."""
        self._stopping.set()
        self._filled.set()
        self._thread.join(timeout=5)

    def add(self, stream: LogStream, lines: bytes) -> None:
        """Takes whole lines. Returns at once; never raises."""
        with self._lock:
            if self._size + len(lines) > MAX_WAITING_BYTES:
                self._lost += lines.count(b"\n")
                return
            # A clock that was set back must not put lines out of order: CloudWatch refuses those.
            self._newest_ms = max(self._newest_ms, int(self._clock() * 1000))
            self._waiting.setdefault(stream, []).append((self._newest_ms, lines))
            self._size += len(lines)
        self._filled.set()

    def flush(self) -> None:
        """Passes on everything that waits."""
        with self._lock:
            waiting, self._waiting = self._waiting, {}
            lost, self._lost = self._lost, 0
            self._size = 0
        if lost:
            log.warning("%d lines of functions did not reach CloudWatch Logs: too many at once", lost)
        for stream, chunks in waiting.items():
            events = [
                (at, line.decode(errors="replace")) for at, lines in chunks for line in lines.splitlines(True)
            ]
            for begin in range(0, len(events), MAX_BATCH_LINES):
                try:
                    self._put(stream, events[begin : begin + MAX_BATCH_LINES])
                except Exception:  # whatever the log store does must not end the thread
                    log.exception("lines of %s did not reach CloudWatch Logs", stream.group)
                    break

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._filled.wait()
            self._stopping.wait(PAUSE_S)
            self._filled.clear()
            self.flush()
        self.flush()  # what came while the last batch was passed on
