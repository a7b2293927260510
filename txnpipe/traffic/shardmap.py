"""Which shard a partition key goes to: the MD5 of the key falls into one shard's range of hash keys.

Source: Kinesis, PutRecord: "an MD5 hash function is used to map partition keys to 128-bit integer values".
"""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from collections.abc import Iterable

from txnpipe.traffic.manifest import Span


class ShardMap:
    """The open shards of a stream, by hash key."""

    def __init__(self, spans: Iterable[Span]) -> None:
        self.spans = tuple(sorted(spans, key=lambda span: int(span.starting_hash_key)))
        if not self.spans:
            raise ValueError("a stream has at least one open shard")
        self._starts = [int(span.starting_hash_key).to_bytes(16, "big") for span in self.spans]

    def route(self, partition_key: str) -> int:
        """The position in `spans` of the shard that takes this key."""
        if len(self._starts) == 1:
            return 0
        return max(bisect_right(self._starts, _digest(partition_key)) - 1, 0)


def hash_key(partition_key: str) -> int:
    """The 128-bit hash key of a partition key."""
    return int.from_bytes(_digest(partition_key), "big")


def _digest(partition_key: str) -> bytes:
    """The hash key as 16 bytes, the highest first: they compare as the number does."""
    return hashlib.md5(partition_key.encode(), usedforsecurity=False).digest()
