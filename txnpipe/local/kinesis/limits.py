"""AWS's limits on throughput and calls, as token buckets with an injected clock.

Sources: Kinesis Data Streams Developer Guide, "Quotas and limits"; API reference of each operation.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

MEBIBYTE = 1 << 20

MAX_RECORDS_PER_PUT = 500
MAX_BYTES_PER_PUT = 10 * MEBIBYTE
"""PutRecords: data and partition keys of all records of one call."""
MAX_RECORDS_PER_GET = 10_000
MAX_BYTES_PER_GET = 10 * MEBIBYTE
"""GetRecords: what one call returns at most."""
ITERATOR_LIFETIME_S = 300
TOKEN_LIFETIME_S = 300
MAX_STREAM_SHARDS = 10_000
SCALINGS_PER_DAY = 10
MODE_SWITCHES_PER_DAY = 2
KEY_CHANGES_PER_DAY = 25
"""StartStreamEncryption with a new key, and, counted apart, StopStreamEncryption (API reference)."""
MAX_CREATING_STREAMS = 5
MAX_CONSUMERS = 20
MAX_CREATING_CONSUMERS = 5
MAX_TAGS = 50
ON_DEMAND_SHARDS = 4
"""What a new on-demand stream starts with."""
MIN_RETENTION_HOURS = 24
MAX_RETENTION_HOURS = 8760
DAY_S = 86_400.0

CALLS_PER_SECOND: dict[str, tuple[float, str]] = {
    "CreateStream": (5, "account"),
    "DeleteStream": (5, "account"),
    "DescribeLimits": (1, "account"),
    "DescribeStream": (10, "account"),
    "DescribeStreamSummary": (20, "account"),
    "ListStreams": (5, "account"),
    "MergeShards": (5, "account"),
    "SplitShard": (5, "account"),
    "UpdateShardCount": (10, "account"),
    "RegisterStreamConsumer": (5, "account"),
    "DeregisterStreamConsumer": (5, "stream"),
    "DescribeStreamConsumer": (20, "stream"),
    "ListStreamConsumers": (5, "stream"),
    "ListShards": (1000, "stream"),
    "AddTagsToStream": (5, "account"),
    "RemoveTagsFromStream": (5, "account"),
    "ListTagsForStream": (5, "account"),
    "IncreaseStreamRetentionPeriod": (5, "stream"),
    "DecreaseStreamRetentionPeriod": (5, "stream"),
}
"""Operation: calls a second, and what they are counted for: the account in a region, or one stream in it."""


_ROUNDING = 1e-6
"""Five times 0.2 s must be a second, whatever floating point makes of it."""


class TokenBucket:
    """Lets `rate` units a second pass, and `capacity` at once. Thread-safe.

    `clock` counts seconds and never steps back. A single request larger than the capacity passes when the
    bucket is full and leaves it in debt: Kinesis takes a 10 MiB record on a 1 MiB/s shard, now and then.
    """

    def __init__(self, rate: float, capacity: float, clock: Callable[[], float]) -> None:
        self._rate = rate
        self._capacity = capacity
        self._clock = clock
        self._tokens = capacity
        self._at = clock()
        self._lock = threading.Lock()

    def take(self, amount: float) -> bool:
        """Takes `amount` if it is there."""
        with self._lock:
            self._refill()
            if self._tokens + _ROUNDING < min(amount, self._capacity):
                return False
            self._tokens -= amount
            return True

    def spend(self, amount: float) -> None:
        """Takes `amount` whether it is there or not: what an answer weighs is known only afterwards."""
        with self._lock:
            self._refill()
            self._tokens -= amount

    def give_back(self, amount: float) -> None:
        """Returns what was taken and not used."""
        with self._lock:
            self._tokens = min(self._capacity, self._tokens + amount)

    def empty(self) -> bool:
        """Whether not even a little is there now."""
        with self._lock:
            self._refill()
            return self._tokens <= 0

    def _refill(self) -> None:
        now = self._clock()
        self._tokens = min(self._capacity, self._tokens + (now - self._at) * self._rate)
        self._at = now


class ShardLimits:
    """What one shard lets through: 1,000 records and 1 MiB a second in, 5 calls and 2 MiB a second out."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._records = TokenBucket(1000, 1000, clock)
        self._bytes = TokenBucket(MEBIBYTE, MEBIBYTE, clock)
        self._reads = TokenBucket(5, 5, clock)
        self._read_bytes = TokenBucket(2 * MEBIBYTE, 2 * MEBIBYTE, clock)
        self._iterators = TokenBucket(5, 5, clock)

    def admit(self, size: int) -> bool:
        """Whether a record of `size` bytes (data and key) may be written now."""
        if not self._records.take(1):
            return False
        if self._bytes.take(size):
            return True
        self._records.give_back(1)
        return False

    def admit_read(self) -> bool:
        """Whether GetRecords may be called now."""
        return not self._read_bytes.empty() and self._reads.take(1)

    def count_read(self, size: int) -> None:
        """Books what a GetRecords call returned, in bytes."""
        self._read_bytes.spend(size)

    def admit_iterator(self) -> bool:
        """Whether GetShardIterator may be called now."""
        return self._iterators.take(1)


class CallRates:
    """Counts control-plane calls against CALLS_PER_SECOND."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._buckets: dict[tuple[str, str, str], TokenBucket] = {}
        self._lock = threading.Lock()

    def admit(self, operation: str, region: str, stream: str) -> bool:
        """Whether `operation` may be called now, in `region`, on the stream of that name or ARN."""
        limit = CALLS_PER_SECOND.get(operation)
        if limit is None:
            return True
        rate, scope = limit
        key = (operation, region, stream if scope == "stream" else "")
        with self._lock:
            bucket = self._buckets.get(key)
            if bucket is None:
                bucket = self._buckets[key] = TokenBucket(rate, rate, self._clock)
        return bucket.take(1)


@dataclass(frozen=True)
class KinesisSettings:
    """How long transitions take here (seconds), and the account's quotas.

    AWS takes tens of seconds; a short but real transition keeps clients honest about waiting. 500 shards is
    the quota of most regions, 50 that of on-demand streams (Developer Guide, "Quotas and limits").
    """

    create_s: float = 0.15
    update_s: float = 0.15
    delete_s: float = 0.1
    shard_quota: int = 500
    on_demand_quota: int = 50
    trim_every_s: float = 30.0
    checkpoint_bytes: int = 4 * MEBIBYTE
    """Write-ahead log beyond which the housekeeper moves it into the database file."""
