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
_WINDOW_S = 0.25
_PROBE_PORTION = 100
_LIFTED_AFTER_S = 3.0


class ShardPace:
    """One shard's bucket of records and bytes.

    It starts at the documented limit. While records wait and nothing was ever throttled it doubles every
    quarter of a second, in small portions, so that the first refusal is cheap. A refusal proves that the
    limit holds: from then on the pace stays just below it, and falls and recovers with further refusals
    (another producer has its share). Where three seconds' worth above the limit passed without a refusal
    there is no limit, and the bucket steps aside.
    """

    def __init__(self, now: float) -> None:
        self.factor = 1.0
        """Pace in units of the documented limit; infinite once lifted."""
        self.limited = False
        """Whether the service has refused records of this shard."""
        self._records = SHARD_RECORDS_PER_SECOND * _BURST_S
        self._bytes = SHARD_BYTES_PER_SECOND * _BURST_S
        self._filled_at = now
        self._window_started = now
        self._window_cost = 0.0
        self._excess = 0.0
        self._last_change = now

    def allowance(self, now: float, waiting: int) -> int:
        """How many of `waiting` records may go now; 0 while a worthwhile portion is not there yet."""
        if self.factor == math.inf:
            return waiting
        self._fill(now)
        if self._bytes <= 0:
            return 0
        portion = SHARD_RECORDS_PER_SECOND * self.factor * _QUANTUM_S
        if self.factor > 1.0:
            portion = min(portion, _PROBE_PORTION)
        allowed = min(int(self._records), waiting)
        if self.factor > 1.0:
            allowed = min(allowed, _PROBE_PORTION)
        return allowed if allowed >= min(waiting, max(1, int(portion))) else 0

    def byte_allowance(self) -> float:
        """Bytes that may go now. One record may overdraw it; the debt is waited for."""
        return math.inf if self.factor == math.inf else self._bytes

    def spend(self, records: int, size: int, now: float) -> None:
        """Takes what is being sent out of the bucket."""
        if self.factor == math.inf:
            return
        self._records -= records
        self._bytes -= size
        self._window_cost += max(records / SHARD_RECORDS_PER_SECOND, size / SHARD_BYTES_PER_SECOND)
        if now - self._window_started >= _WINDOW_S:
            self._close_window(now)

    def refused(self, now: float) -> None:
        """The service throttled records of this shard."""
        first = not self.limited
        self.limited = True
        self.factor = _SAFETY if first else max(self.factor * 0.7, 0.1)
        self._records = min(self._records, 0.0)
        self._bytes = min(self._bytes, 0.0)
        self._filled_at = self._last_change = now

    def wait(self, now: float, waiting: int) -> float:
        """Seconds until `allowance` may be positive."""
        if self.factor == math.inf:
            return 0.0
        portion = min(waiting, max(1, int(SHARD_RECORDS_PER_SECOND * self.factor * _QUANTUM_S)))
        if self.factor > 1.0:
            portion = min(portion, _PROBE_PORTION)
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

    def _close_window(self, now: float) -> None:
        elapsed = now - self._window_started
        self._excess = max(0.0, self._excess + self._window_cost - elapsed)
        demanded = self._window_cost >= 0.7 * self.factor * elapsed
        self._window_started, self._window_cost = now, 0.0
        if self.limited:
            return
        if self._excess > _LIFTED_AFTER_S:
            self.factor = math.inf
        elif demanded:
            self.factor *= 2
        else:
            self.factor = max(1.0, self.factor / 2)
