"""The checksums of an input, bucket by bucket: what `verify` compares before it reads any of the input again.

Ids of an input are the user's, so a bucket is named by the first digits of their MD5: 4,096 of them.
"""

from __future__ import annotations

import hashlib
from datetime import datetime
from decimal import Decimal

import msgspec

from txnpipe.traffic.content import Checksum, content_of_transaction, digest, parts
from txnpipe.transactions import Transaction

BUCKET_SQL = "SUBSTRING(MD5(transaction_id), 1, 3)"
"""The bucket of a row, as an SQL expression over `transactions`."""


_PROBE = Transaction(
    "probe", Decimal("-12.50"), "purchase", datetime(2026, 1, 2, 3, 4, 5, 6), merchant="Café"
)


class _Stored(msgspec.Struct):
    """buckets: rows and the two sums of each. probe: the parts of a known row's digest: they tell whether the
    digests were made as this version makes them."""

    buckets: dict[str, tuple[int, int, int]]
    probe: tuple[int, int]


class BucketSums:
    """Adds up rows, bucket by bucket. Records with the same id count as often as they were added."""

    def __init__(self) -> None:
        self._sums: dict[str, list[int]] = {}

    def add(self, transaction: Transaction) -> None:
        """Adds a row."""
        high, low = parts(digest(content_of_transaction(transaction)))
        total = self._sums.setdefault(bucket_of(transaction.transaction_id), [0, 0, 0])
        total[0] += 1
        total[1] += high
        total[2] += low

    def checksums(self) -> dict[str, Checksum]:
        """The checksum of every bucket that has a row."""
        return {bucket: Checksum(*total) for bucket, total in self._sums.items()}

    def encoded(self) -> bytes:
        """All of it as JSON."""
        buckets = {bucket: (rows, high, low) for bucket, (rows, high, low) in self._sums.items()}
        return msgspec.json.encode(_Stored(buckets, _probe()))


def decode_sums(data: bytes) -> dict[str, Checksum] | None:
    """What `BucketSums.encoded` wrote; None where a version wrote it that makes other digests."""
    stored = msgspec.json.decode(data, type=_Stored)
    if stored.probe != _probe():
        return None
    return {bucket: Checksum(*total) for bucket, total in stored.buckets.items()}


def _probe() -> tuple[int, int]:
    return parts(digest(content_of_transaction(_PROBE)))


def bucket_of(transaction_id: str) -> str:
    """The bucket of a row."""
    return hashlib.md5(transaction_id.encode(), usedforsecurity=False).hexdigest()[:3]
