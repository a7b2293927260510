"""Keeps real input in the bucket, in parts, before it is sent: any machine can verify the run and name rows.

A part is a text file. Its first line is a JSON header, the others are the events as they are sent, one a
line: in the contract's own encoding, with the run's id in run_id. The header says how far the input was
read, and the digest of everything up to there: a continued run reads its input again, checks that it is
the same one, and goes on behind it.
"""

from __future__ import annotations

import hashlib
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import BinaryIO

import msgspec

from txnpipe.errors import usage_error
from txnpipe.traffic.dispatch import Outgoing
from txnpipe.traffic.lines import Chunks, Format, Position, rows
from txnpipe.traffic.runs import Rejected, RunStore
from txnpipe.transactions import encode, parse, partition_key

PART_EVENTS = 5000
PART_AGE_S = 1.0
"""Slow input goes on its way in smaller parts: what was read waits no longer than this."""
REMEMBERED_LINES = 100
"""Of the lines that are not sent, this many are named; all are counted."""


class PartHeader(msgspec.Struct, frozen=True, kw_only=True):
    """What a part holds, and where its input ends.

    first_index, events: the indexes in the run. input_bytes, input_sha256, lines: everything read up to here.
    columns: of a CSV. invalid: lines that were not sent, up to here, the first of them in invalid_lines.
    """

    first_index: int = 0
    events: int = 0
    input_bytes: int = 0
    input_sha256: str = ""
    lines: int = 0
    columns: tuple[str, ...] | None = None
    invalid: int = 0
    invalid_lines: tuple[Rejected, ...] = ()
    version: int = 1

    @property
    def end(self) -> int:
        """The index after the last one."""
        return self.first_index + self.events


class InputSource:
    """The records of an input run, from `start` on: what was spooled before, then the rest of the input.

    Iterating yields chunks for the sender, an empty one where the input pauses. `head` is the header of the
    newest part: once iteration has ended it covers the whole input.
    """

    def __init__(
        self,
        store: RunStore,
        run_id: str,
        stream: BinaryIO,
        form: Format,
        *,
        start: int = 0,
        part_events: int = PART_EVENTS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._run_id = run_id
        self._stream = stream
        self._form = form
        self._start = start
        self._part_events = part_events
        self._clock = clock
        self.head = PartHeader()

    def __iter__(self) -> Iterator[Sequence[Outgoing]]:
        keys = self._store.part_keys(self._run_id)
        if keys:
            self.head = read_part(self._store, keys[-1])[0]
        digest = _Digest(iter(Chunks(self._stream)))
        self._skip(digest)
        for key in keys:
            header, events = read_part(self._store, key)
            if header.end > self._start:
                yield [record for record in _outgoing(header, events) if record[0] >= self._start]
        yield from self._rest(digest, len(keys))

    def _skip(self, digest: _Digest) -> None:
        """Reads again what was spooled before."""
        if digest.skip(self.head.input_bytes) != self.head.input_sha256 and self.head.input_bytes:
            raise usage_error(
                f"The input is not the one that the unfinished run {self._run_id} was reading.",
                "Pass --new to start another run with this input.",
            )

    def _rest(self, digest: _Digest, part: int) -> Iterator[Sequence[Outgoing]]:
        position = Position(self.head.input_bytes, self.head.lines, self.head.columns)
        head = self.head
        events: list[bytes] = []
        records: list[Outgoing] = []
        index, invalid, invalid_lines = head.end, head.invalid, list(head.invalid_lines)
        line, ends_at = head.lines, head.input_bytes
        opened = self._clock()

        def close() -> None:
            nonlocal part
            self.head = PartHeader(
                first_index=index - len(events),
                events=len(events),
                input_bytes=ends_at,
                input_sha256=digest.up_to(ends_at),
                lines=line,
                columns=position.columns,
                invalid=invalid,
                invalid_lines=tuple(invalid_lines),
            )
            self._store.put(
                self._store.part_key(self._run_id, part),
                b"\n".join((msgspec.json.encode(self.head), *events)) + b"\n",
            )
            part += 1

        for row in rows(iter(digest), self._form, position):
            if row is not None:
                line, ends_at = row.last_line, row.ends_at
                if row.transaction is not None:
                    transaction = replace(row.transaction, run_id=self._run_id)
                    payload = encode(transaction)
                    events.append(payload)
                    records.append((index, partition_key(transaction), payload))
                    index += 1
                elif row.problem is not None:
                    invalid += 1
                    if len(invalid_lines) < REMEMBERED_LINES:
                        invalid_lines.append(Rejected(row.line, *row.problem))
            overdue = row is None or self._clock() - opened >= PART_AGE_S
            if len(events) >= self._part_events or (events and overdue):
                close()
                yield records
                events, records = [], []
                opened = self._clock()
            elif row is None:
                yield ()
        close()
        yield records


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


def _outgoing(header: PartHeader, events: Sequence[bytes]) -> list[Outgoing]:
    return [(header.first_index + n, partition_key(parse(event)), event) for n, event in enumerate(events)]


class _Digest:
    """Passes chunks on and can tell the SHA-256 of the input up to any offset not asked for before."""

    def __init__(self, chunks: Iterator[bytes | None]) -> None:
        self._chunks = chunks
        self._sha256 = hashlib.sha256()
        self._hashed = 0
        self._kept: deque[bytes] = deque()
        self._again: bytes = b""

    def skip(self, size: int) -> str:
        """Reads `size` bytes and forgets them. Returns their SHA-256."""
        while self._hashed < size:
            chunk = next(self._chunks, b"")
            if chunk is None:
                continue
            if not chunk:
                break
            wanted = chunk[: size - self._hashed]
            self._sha256.update(wanted)
            self._hashed += len(wanted)
            self._again = chunk[len(wanted) :]
        return self._sha256.hexdigest()

    def __iter__(self) -> Iterator[bytes | None]:
        if self._again:
            self._kept.append(self._again)
            yield self._again
        for chunk in self._chunks:
            if chunk is not None:
                self._kept.append(chunk)
            yield chunk

    def up_to(self, offset: int) -> str:
        """The SHA-256 of the first `offset` bytes."""
        while self._hashed < offset and self._kept:
            chunk = self._kept.popleft()
            wanted = chunk[: offset - self._hashed]
            self._sha256.update(wanted)
            self._hashed += len(wanted)
            if len(wanted) < len(chunk):
                self._kept.appendleft(chunk[len(wanted) :])
        return self._sha256.hexdigest()
