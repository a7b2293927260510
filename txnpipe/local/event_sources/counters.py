"""What a mapping has done since the daemon started, for `status`."""

from __future__ import annotations

import threading
from dataclasses import dataclass

from txnpipe.local.event_sources.mapping import NOTHING_PROCESSED


@dataclass(frozen=True)
class MappingCounters:
    """records, batches: delivered. failures: invocations that failed. discarded: records given up.

    iterator_age_ms: age of the oldest record that was read and not yet delivered; 0 when all are.
    """

    uuid: str
    function_arn: str
    source_arn: str
    state: str
    last_result: str
    records: int
    batches: int
    failures: int
    discarded: int
    iterator_age_ms: int


class Tally:
    """The counting behind MappingCounters, and the last processing result. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._oldest: dict[object, float] = {}
        self.last_result = NOTHING_PROCESSED
        self.records = 0
        self.batches = 0
        self.failures = 0
        self.discarded = 0

    def delivered(self, records: int) -> None:
        """A batch, or the first part of it, is through."""
        with self._lock:
            self.records += records
            self.batches += 1
            self.last_result = "OK"

    def failed(self, problem: str) -> None:
        """An invocation failed."""
        with self._lock:
            self.failures += 1
            self.last_result = f"PROBLEM: {problem}"

    def problem(self, problem: str) -> None:
        """Something other than an invocation is in the way."""
        with self._lock:
            self.last_result = f"PROBLEM: {problem}"

    def problem_over(self, problem: str) -> None:
        """That problem, if it was the last thing said, is no more."""
        with self._lock:
            if self.last_result == f"PROBLEM: {problem}":
                self.last_result = "OK" if self.records else NOTHING_PROCESSED

    def gave_up(self, records: int) -> None:
        """Records were discarded."""
        with self._lock:
            self.discarded += records

    def waiting_since(self, lane: object, arrived_at: float | None) -> None:
        """The oldest record that a lane holds arrived then; None: it holds none."""
        with self._lock:
            if arrived_at is None:
                self._oldest.pop(lane, None)
            else:
                self._oldest[lane] = arrived_at

    def iterator_age_ms(self, now: float) -> int:
        """See MappingCounters. `now`: epoch seconds."""
        with self._lock:
            return max((max(0, int((now - oldest) * 1000)) for oldest in self._oldest.values()), default=0)
