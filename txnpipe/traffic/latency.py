"""How long calls take: a histogram of constant size, and what is read off it."""

from __future__ import annotations

import math
from dataclasses import dataclass

LEAST_MS = 0.05
GROWTH = 1.05
"""A bucket is five per cent wider than the one before: so exact are the percentiles."""
BUCKETS = 350
"""Up to 20 minutes; what takes longer counts as that."""

_LOG_GROWTH = math.log(GROWTH)


@dataclass(frozen=True)
class Latency:
    """Milliseconds of so many calls. Percentiles are at most GROWTH above the true ones; max is exact."""

    calls: int
    p50: float
    p95: float
    p99: float
    max: float


class Histogram:
    """Counts durations in buckets that grow by GROWTH."""

    def __init__(self) -> None:
        self._counts = [0] * BUCKETS
        self._calls = 0
        self._max = 0.0

    def add(self, ms: float) -> None:
        """Counts one duration."""
        bucket = 0 if ms <= LEAST_MS else math.ceil(math.log(ms / LEAST_MS) / _LOG_GROWTH)
        self._counts[min(bucket, BUCKETS - 1)] += 1
        self._calls += 1
        self._max = max(self._max, ms)

    def latency(self) -> Latency | None:
        """The percentiles so far; None where nothing was counted."""
        if not self._calls:
            return None
        return Latency(self._calls, self._below(0.5), self._below(0.95), self._below(0.99), self._max)

    def _below(self, share: float) -> float:
        """What `share` of the durations do not exceed: the upper end of the bucket, at most the maximum."""
        wanted, seen = math.ceil(share * self._calls), 0
        for bucket, count in enumerate(self._counts):
            seen += count
            if seen >= wanted:
                return min(LEAST_MS * GROWTH**bucket, self._max)
        return self._max
