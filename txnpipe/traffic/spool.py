"""Keeps real input in the bucket, in parts, before it is sent: any machine can verify the run and name rows.

A part is a text file. Its first line is a JSON header, the others are the events as they are sent, one a
line: in the contract's own encoding, with the run's id in run_id. The header says how far the input was
read, and the digest of everything up to there: a continued run reads its input again, checks that it is
the same one, and goes on behind it. So what lies behind may change meanwhile: a bad line that stopped the
run may be mended, lines may be added.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import BinaryIO

import msgspec

from txnpipe.errors import usage_error
from txnpipe.traffic.buckets import BucketSums
from txnpipe.traffic.claims import spooled_by_another
from txnpipe.traffic.digest import InputDigest
from txnpipe.traffic.dispatch import Outgoing
from txnpipe.traffic.keys import key_of
from txnpipe.traffic.lines import Chunks, Position, rows
from txnpipe.traffic.manifest import Manifest
from txnpipe.traffic.runs import Rejected, RunStore
from txnpipe.transactions import Transaction, encode, parse

PART_EVENTS = 5000
TIMED_PART_EVENTS = 1000
"""Of a run with a duration: what was read when it ends is still sent."""
PART_AGE_S = 1.0
"""Slow input goes on its way in smaller parts: what was read waits no longer than this."""
REMEMBERED_LINES = 100
"""Of the lines that are not sent, this many are named; all are counted."""


class PartHeader(msgspec.Struct, frozen=True, kw_only=True):
    """What a part holds, and where its input ends.

    first_index, events: the indexes in the run. input_bytes, input_sha256, lines: everything read up to here.
    columns: of a CSV. invalid: rows that were not sent, up to here, the first of them in invalid_lines.
    blank: rows that hold no record, up to here: blank lines and a CSV's header.
    """

    first_index: int = 0
    events: int = 0
    input_bytes: int = 0
    input_sha256: str = ""
    lines: int = 0
    columns: tuple[str, ...] | None = None
    invalid: int = 0
    invalid_lines: tuple[Rejected, ...] = ()
    blank: int = 0
    version: int = 1

    @property
    def end(self) -> int:
        """The index after the last one."""
        return self.first_index + self.events


@dataclass
class _Reading:
    """The part that is being filled. Counts are of the whole input up to here."""

    index: int
    line: int
    ends_at: int
    invalid: int
    invalid_lines: list[Rejected]
    blank: int
    opened: float
    events: list[bytes] = field(default_factory=list)
    records: list[Outgoing] = field(default_factory=list)

    def refuse(self, rejected: Rejected) -> None:
        """Counts a row that is not sent, and names it while there is room."""
        self.invalid += 1
        if len(self.invalid_lines) < REMEMBERED_LINES:
            self.invalid_lines.append(rejected)


class InputSource:
    """The records of an input run, from `start` on: what was spooled before, then the rest of the input.

    Iterating yields chunks for the sender, an empty one where the input pauses. It ends with the input, with
    the manifest's limit, `remaining_s` seconds after it began, or at a bad line where the manifest says so.
    begin is called once, before the first record is spooled. `head` is the header of the newest part: once
    iteration has ended it covers everything that was read.

    stopped: the bad line that ended it; nothing of it is in `head`. sums, first_event, last_event: of every
    record of the run, once iteration has ended.
    """

    def __init__(
        self,
        store: RunStore,
        manifest: Manifest,
        stream: BinaryIO,
        *,
        start: int = 0,
        remaining_s: float | None = None,
        stop_at_errors: bool = False,
        begin: Callable[[], None] | None = None,
        part_events: int | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._manifest = manifest
        self._run_id = manifest.run_id
        self._stream = stream
        self._start = start
        self._remaining_s = remaining_s
        self._stop_at_errors = stop_at_errors
        self._begin = begin
        timed = manifest.duration_s is not None
        self._part_events = part_events or (TIMED_PART_EVENTS if timed else PART_EVENTS)
        self._clock = clock
        self.head = PartHeader()
        self.stopped: Rejected | None = None
        self.sums = BucketSums()
        self.first_event: datetime | None = None
        self.last_event: datetime | None = None

    def __iter__(self) -> Iterator[Sequence[Outgoing]]:
        deadline = None if self._remaining_s is None else self._clock() + self._remaining_s
        keys = self._store.part_keys(self._run_id)
        if keys:
            self.head = read_part(self._store, keys[-1])[0]
        digest = InputDigest(iter(Chunks(self._stream)))
        self._skip(digest)
        for key in keys:
            records = self._read_again(key)
            if records and records[-1][0] >= self._start:
                yield [record for record in records if record[0] >= self._start]
        yield from self._rest(digest, len(keys), deadline)

    def _skip(self, digest: InputDigest) -> None:
        """Reads again what was spooled before."""
        if digest.skip(self.head.input_bytes) != self.head.input_sha256 and self.head.input_bytes:
            raise usage_error(
                f"The input is not the one that the unfinished run {self._run_id} was reading: "
                f"its first {self.head.lines:,} lines have changed.",
                "Restore them, or pass --new to start another run with this input.",
            )

    def _read_again(self, key: str) -> list[Outgoing]:
        header, events = read_part(self._store, key)
        records: list[Outgoing] = []
        for index, event in enumerate(events, header.first_index):
            transaction = parse(event)
            self._count(transaction)
            records.append((index, key_of(transaction, self._manifest.partition_key), event))
        return records

    def _rest(self, digest: InputDigest, part: int, deadline: float | None) -> Iterator[Sequence[Outgoing]]:
        head, limit = self.head, self._manifest.limit
        position = Position(head.input_bytes, head.lines, head.columns)
        now = _Reading(
            head.end, head.lines, head.input_bytes, head.invalid, list(head.invalid_lines), head.blank,
            self._clock(),
        )  # fmt: skip
        full = limit is not None and now.index >= limit
        for row in () if full else rows(iter(digest), self._manifest.input_format or "json", position):
            time_now = self._clock()
            if deadline is not None and time_now >= deadline:
                break
            if row is not None:
                if row.problem is not None:
                    rejected = Rejected(row.line, *row.problem)
                    if self._stop_at_errors:
                        self.stopped = rejected
                        break
                    now.refuse(rejected)
                elif row.transaction is not None:
                    self._take(now, row.transaction)
                else:
                    now.blank += 1
                now.line, now.ends_at = row.last_line, row.ends_at
                digest.row_end = row.ends_at
            if now.index == limit:
                break
            overdue = row is None or time_now - now.opened >= PART_AGE_S
            if len(now.events) >= self._part_events or (now.events and overdue):
                self._close(now, position, digest, part)
                part += 1
                yield now.records
                now.events, now.records, now.opened = [], [], self._clock()
            elif row is None:
                yield ()
        self._close(now, position, digest, part)
        yield now.records

    def _take(self, now: _Reading, transaction: Transaction) -> None:
        transaction = replace(transaction, run_id=self._run_id)
        payload = encode(transaction)
        now.events.append(payload)
        now.records.append((now.index, key_of(transaction, self._manifest.partition_key), payload))
        now.index += 1
        self._count(transaction)

    def _close(self, now: _Reading, position: Position, digest: InputDigest, part: int) -> None:
        if now.ends_at == self.head.input_bytes and not now.events:
            return
        self.head = PartHeader(
            first_index=now.index - len(now.events),
            events=len(now.events),
            input_bytes=now.ends_at,
            input_sha256=digest.up_to(now.ends_at),
            lines=now.line,
            columns=position.columns,
            invalid=now.invalid,
            invalid_lines=tuple(now.invalid_lines),
            blank=now.blank,
        )
        if self.head.end and self._begin is not None:
            self._begin()
            self._begin = None
        if self.head.end:
            data = b"\n".join((msgspec.json.encode(self.head), *now.events)) + b"\n"
            if not self._store.add(self._store.part_key(self._run_id, part), data):
                raise spooled_by_another(self._run_id)

    def _count(self, transaction: Transaction) -> None:
        self.sums.add(transaction)
        when = transaction.timestamp
        if self.first_event is None or when < self.first_event:
            self.first_event = when
        if self.last_event is None or when > self.last_event:
            self.last_event = when


def read_part(store: RunStore, key: str) -> tuple[PartHeader, list[bytes]]:
    """A part's header and events."""
    data = store.get(key)
    if data is None:
        raise usage_error(f"The spooled input {key} is gone.", "Send the input again with --new.")
    header, *events = data.split(b"\n")
    return msgspec.json.decode(header, type=PartHeader), events[:-1]


def spooled_events(store: RunStore, run_id: str) -> Iterator[tuple[PartHeader, list[bytes]]]:
    """All parts of a run, one at a time."""
    for key in store.part_keys(run_id):
        yield read_part(store, key)


def id_of(event: bytes) -> str:
    """The transaction_id of a spooled event, a good deal faster than `parse`: it is the first field."""
    end = event.index(b'"', len(_ID_FIRST))
    text = event[len(_ID_FIRST) : end]
    return text.decode() if b"\\" not in text else parse(event).transaction_id


_ID_FIRST = b'{"transaction_id":"'
