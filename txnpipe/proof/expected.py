"""What a run should have stored, bucket by bucket, computed from its manifest or read from its spool.

Neither holds the run in memory: checksums are built in one pass, and the rows of single buckets only where a
difference asks for them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Iterator
from datetime import datetime, timedelta
from typing import Protocol

from txnpipe.proof.checksum import Checksum, Content, digest, parts
from txnpipe.traffic.buckets import BUCKET_SQL, BucketSums, bucket_of, content_of_transaction
from txnpipe.traffic.generator import INDEX_DIGITS, Event, Generator
from txnpipe.traffic.manifest import RUN_ID_LENGTH, Manifest
from txnpipe.traffic.runs import RunStore
from txnpipe.traffic.spool import id_of, read_part, spooled_events
from txnpipe.transactions import parse

BUCKET_DIGITS = 3
"""A bucket of a synthetic run is 1,000 consecutive indexes."""
_EPOCH = datetime(1970, 1, 1)


class Expected(Protocol):
    """The rows of one run."""

    run_id: str
    bucket_sql: str
    """The bucket of a row, as an SQL expression over `transactions`."""
    ids_are_ours: bool
    """Whether no other run can have the same ids."""

    def count(self) -> int:
        """How many rows the run asks for; of an input, how many records it has."""
        ...

    def checksums(self) -> dict[str, Checksum]:
        """The checksum of every bucket. Records with the same id are counted as often as they were sent."""
        ...

    def members(self, buckets: Collection[str]) -> Iterator[tuple[str, dict[str, Content]]]:
        """The rows of these buckets, by id; of records with the same id the first one counts."""
        ...

    def find(self, transaction_id: str) -> Content | None:
        """The row with this id."""
        ...

    def rejects(self) -> dict[str, str]:
        """The bad records of the run: SHA-256 of the payload → the reason to reject it for."""
        ...


def expected_of(store: RunStore, manifest: Manifest) -> Expected:
    """What a run should have stored; of a run without a known count, what it has sent so far."""
    if manifest.source == "generated":
        return GeneratedRows(store.with_count(manifest))
    return SpooledRows(store, manifest.run_id)


class GeneratedRows:
    """The rows of a synthetic run. A bucket is named by the ids' common beginning."""

    ids_are_ours = True

    def __init__(self, manifest: Manifest) -> None:
        self.run_id = manifest.run_id
        self._count = manifest.count or 0
        self._rows: int | None = None
        self._generator = Generator(manifest)
        self._mixed = bool(manifest.mix.duplicates or manifest.mix.invalid)
        width = len(manifest.run_id) + 1 + INDEX_DIGITS - BUCKET_DIGITS
        self.bucket_sql = f"SUBSTRING(transaction_id, 1, {width})"

    def count(self) -> int:
        """See `Expected`. Repeats and bad records become no rows."""
        if self._rows is None:
            rows = map(self._generator.row, range(self._count))
            self._rows = sum(row is not None for row in rows) if self._mixed else self._count
        return self._rows

    def rejects(self) -> dict[str, str]:
        """The bad records that were planted: SHA-256 of the payload → the reason to reject it for."""
        found: dict[str, str] = {}
        for index in range(self._count if self._mixed else 0):
            reason = self._generator.reason(index)
            if reason is not None:
                found[hashlib.sha256(self._generator.record(index)[1]).hexdigest()] = reason
        return found

    def checksums(self) -> dict[str, Checksum]:
        """See `Expected`."""
        size = 10**BUCKET_DIGITS
        return {
            self._name(bucket): _checksum(self._contents(bucket)) for bucket in range(-(-self._count // size))
        }

    def members(self, buckets: Collection[str]) -> Iterator[tuple[str, dict[str, Content]]]:
        """See `Expected`."""
        for name in buckets:
            number = self._number(name)
            if number is None:
                yield name, {}
            else:
                yield name, {content.transaction_id: content for content in self._contents(number)}

    def find(self, transaction_id: str) -> Content | None:
        """See `Expected`."""
        index = self.index(transaction_id)
        row = None if index is None else self._generator.row(index)
        return None if row is None else content_of(row)

    def index(self, transaction_id: str) -> int | None:
        """The index of an id of this run."""
        digits = transaction_id.removeprefix(self.run_id + "-")
        if digits == transaction_id or len(digits) != INDEX_DIGITS or not _is_number(digits):
            return None
        return int(digits) if int(digits) < self._count else None

    def _contents(self, bucket: int) -> Iterator[Content]:
        size = 10**BUCKET_DIGITS
        rows = map(self._generator.row, range(bucket * size, min((bucket + 1) * size, self._count)))
        return (content_of(row) for row in rows if row is not None)

    def _name(self, bucket: int) -> str:
        return f"{self.run_id}-{bucket:0{INDEX_DIGITS - BUCKET_DIGITS}d}"

    def _number(self, name: str) -> int | None:
        digits = name.removeprefix(self.run_id + "-")
        if digits == name or not _is_number(digits) or self._name(int(digits)) != name:
            return None
        return int(digits) if int(digits) * 10**BUCKET_DIGITS < self._count else None


class SpooledRows:
    """The rows of an input run. Ids are the user's, so a bucket is named by the first digits of their MD5."""

    bucket_sql = BUCKET_SQL
    ids_are_ours = False

    def __init__(self, store: RunStore, run_id: str) -> None:
        self.run_id = run_id
        self._store = store

    def count(self) -> int:
        """See `Expected`."""
        keys = self._store.part_keys(self.run_id)
        return read_part(self._store, keys[-1])[0].end if keys else 0

    def checksums(self) -> dict[str, Checksum]:
        """See `Expected`. `send` has added them up; only an unfinished run's spool is read."""
        stored = self._store.buckets(self.run_id)
        if stored is not None:
            return stored
        sums = BucketSums()
        for _, events in spooled_events(self._store, self.run_id):
            for event in events:
                sums.add(parse(event))
        return sums.checksums()

    def members(self, buckets: Collection[str]) -> Iterator[tuple[str, dict[str, Content]]]:
        """See `Expected`. One pass over the spool for all of them; only their rows are read in full."""
        found: dict[str, dict[str, Content]] = {bucket: {} for bucket in buckets}
        for transaction_id, event in self._events():
            rows = found.get(bucket_of(transaction_id))
            if rows is not None and transaction_id not in rows:
                rows[transaction_id] = content_of_transaction(parse(event))
        yield from found.items()

    def find(self, transaction_id: str) -> Content | None:
        """See `Expected`."""
        return next(
            (content_of_transaction(parse(event)) for id_, event in self._events() if id_ == transaction_id),
            None,
        )

    def rejects(self) -> dict[str, str]:
        """See `Expected`. What is no transaction is not sent."""
        return {}

    def _events(self) -> Iterator[tuple[str, bytes]]:
        for _, events in spooled_events(self._store, self.run_id):
            for event in events:
                yield id_of(event), event


def content_of(event: Event) -> Content:
    """The row that a synthetic event becomes."""
    seconds, micros = divmod(event.micros, 1_000_000)
    when = _seconds_text(seconds)
    return Content(
        event.transaction_id,
        event.cents,
        event.transaction_type,
        f"{when}.{micros:06d}",
        event.account_id,
        event.merchant,
        event.country,
        event.currency,
    )


def run_of(transaction_id: str) -> str | None:
    """The run that a synthetic event's id names, None where the id is of another making."""
    head, dash, digits = transaction_id[:RUN_ID_LENGTH], transaction_id[RUN_ID_LENGTH : RUN_ID_LENGTH + 1], ""
    digits = transaction_id[RUN_ID_LENGTH + 1 :]
    return head if dash == "-" and len(digits) == INDEX_DIGITS and _is_number(digits) else None


def _checksum(contents: Iterable[Content]) -> Checksum:
    rows = total_high = total_low = 0
    for content in contents:
        high, low = parts(digest(content))
        rows += 1
        total_high += high
        total_low += low
    return Checksum(rows, total_high, total_low)


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit()


_cached_seconds: dict[int, str] = {}


def _seconds_text(seconds: int) -> str:
    text = _cached_seconds.get(seconds)
    if text is None:
        if len(_cached_seconds) > 4096:
            _cached_seconds.clear()
        text = _cached_seconds[seconds] = (_EPOCH + timedelta(seconds=seconds)).isoformat(sep=" ")
    return text
