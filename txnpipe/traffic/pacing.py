"""How fast a shard's records may go: a token bucket that learns whether the service throttles."""

from __future__ import annotations

import math

SHARD_RECORDS_PER_SECOND = 1000
"""Kinesis: writes per shard, in records."""
SHARD_BYTES_PER_SECOND = 1024 * 1024
"""Kinesis: writes per shard, 1 MB/s, partition keys included."""

_SAFETY = 0.995
"""Stay this much under a limit that is known to hold: clocks differ, and a throttled record costs more."""
_QUANTUM_S = 0.1
"""While a shard is the limit, records go in portions of this many seconds' worth."""
_BURST_S = 0.2
_PROBE_RECORDS = 50
_PROBE_BYTES = 50 * 1024
_LARGER_PROBE_RECORDS = 200
_LARGER_PROBE_AFTER_S = 1.5
"""A shard that has taken so much above its limit hardly has one; then calls are filled again."""
_LIFTED_AFTER_S = 3.0


class ShardPace:
    """One shard's bucket of records and bytes, filled at the documented limit.

    Before anything was throttled the bucket may be overdrawn, in small portions: a shard has one call out at
    a time, so the first refusal costs a portion. It proves that the limit holds: from then on the pace stays
    just below it, and falls and recovers with further refusals (another producer has its share). Where three
    seconds' worth above the limit passed without a refusal there is no limit, and the bucket steps aside.
    """

    def __init__(self, now: float) -> None:
        self.factor = 1.0
        """Pace in units of the documented limit; infinite once lifted."""
        self.limited = False
        """Whether the service has refused records of this shard."""
        self._records = SHARD_RECORDS_PER_SECOND * _BURST_S
        self._bytes = SHARD_BYTES_PER_SECOND * _BURST_S
        self._filled_at = now
        self._last_change = now

    def allowance(self, now: float, waiting: int) -> int:
        """How many of `waiting` records may go now; 0 while a worthwhile portion is not there yet."""
        if self.factor == math.inf:
            return waiting
        self._fill(now)
        there = int(self._records) if self._bytes > 0 else 0
        if not self.limited:
            surely = -self._records > _LARGER_PROBE_AFTER_S * SHARD_RECORDS_PER_SECOND
            return min(waiting, max(there, _LARGER_PROBE_RECORDS if surely else _PROBE_RECORDS))
        portion = max(1, int(SHARD_RECORDS_PER_SECOND * self.factor * _QUANTUM_S))
        return min(there, waiting) if there >= min(waiting, portion) else 0

    def byte_allowance(self) -> float:
        """Bytes that may go now. One record may overdraw it; the debt is waited for."""
        if self.factor == math.inf:
            return math.inf
        return self._bytes if self.limited else max(self._bytes, _PROBE_BYTES)

    def spend(self, records: int, size: int) -> None:
        """Takes what is being sent out of the bucket."""
        if self.factor == math.inf:
            return
        self._records -= records
        self._bytes -= size
        excess = -min(self._records / SHARD_RECORDS_PER_SECOND, self._bytes / SHARD_BYTES_PER_SECOND)
        if not self.limited and excess > _LIFTED_AFTER_S:
            self.factor = math.inf

    def refused(self, now: float) -> None:
        """The service throttled records of this shard."""
        first = not self.limited
        self.limited = True
        self.factor = _SAFETY if first else max(self.factor * 0.7, 0.1)
        self._records = min(self._records, 0.0) if not first else 0.0
        self._bytes = min(self._bytes, 0.0) if not first else 0.0
        self._filled_at = self._last_change = now

    def wait(self, now: float, waiting: int) -> float:
        """Seconds until `allowance` may be positive."""
        if self.factor == math.inf or not self.limited:
            return 0.0
        portion = min(waiting, max(1, int(SHARD_RECORDS_PER_SECOND * self.factor * _QUANTUM_S)))
        records = (portion - self._records) / (SHARD_RECORDS_PER_SECOND * self.factor)
        size = -self._bytes / (SHARD_BYTES_PER_SECOND * self.factor)
        return max(records, size, 0.0) + 0.001 - (now - self._filled_at)

    def _fill(self, now: float) -> None:
        if self.limited and self.factor < _SAFETY and now - self._last_change >= 0.2:
            self.factor = min(_SAFETY, self.factor + 0.1)
            self._last_change = now
        gone = now - self._filled_at
        records, size = SHARD_RECORDS_PER_SECOND * self.factor, SHARD_BYTES_PER_SECOND * self.factor
        self._records = min(self._records + gone * records, records * _BURST_S)
        self._bytes = min(self._bytes + gone * size, size * _BURST_S)
        self._filled_at = now
