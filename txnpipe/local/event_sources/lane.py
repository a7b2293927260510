"""One lane: reads a shard in order, keeps the records of its own partition keys, and delivers them.

Without a parallelization factor a shard has one lane, which keeps every record. With a factor of N it has N
lanes, each with the partition keys that hash to it and a checkpoint of its own: a key's records stay in
order, a lane that retries does not hold up the others, and none of them ever passes over an undelivered
record of its own.
"""

from __future__ import annotations

import logging
import random
import sqlite3
import threading
import time
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from txnpipe.local.event_sources.counters import Tally
from txnpipe.local.event_sources.delivery import Discard, Result, Surroundings, deliver
from txnpipe.local.event_sources.events import MAX_EVENT_BYTES, Record, RecordRenderer, fitting
from txnpipe.local.event_sources.filters import RecordFilter
from txnpipe.local.event_sources.mapping import Mapping
from txnpipe.local.event_sources.store import Store
from txnpipe.local.service import ServiceError

_log = logging.getLogger(__name__)

WAIT_S = 0.5
"""The longest wait for records, and so the longest that a stop goes unnoticed."""
READ_BYTES = 4_500_000
"""Decoded data of one read: about one event's worth, since base64 adds a third."""
SCAN_RECORDS = 1000
"""Records of one read where some are passed over."""
SAVE_SCANNED_S = 1.0
"""How often a lane saves that it has passed over records."""
UNEXPECTED_PAUSE_S = 1.0


class Stored(Protocol):
    """A record as the Kinesis engine gives it."""

    @property
    def sequence_number(self) -> str: ...

    @property
    def partition_key(self) -> str: ...

    @property
    def data(self) -> str: ...

    @property
    def arrived_at(self) -> float: ...


class Page(Protocol):
    """What one read of the engine gives."""

    @property
    def records(self) -> Sequence[Stored]: ...

    @property
    def end_of_shard(self) -> bool: ...


class Engine(Protocol):
    """The Kinesis engine, as far as a mapping uses it. Every call may raise ResourceNotFoundException."""

    def shards(self, stream_arn: str) -> Sequence[Any]: ...

    def read(
        self, stream_arn: str, shard_id: str, *, after: str | None, limit: int, max_bytes: int
    ) -> Page: ...

    def latest(self, stream_arn: str, shard_id: str) -> str | None: ...

    def sequence_at(self, stream_arn: str, shard_id: str, timestamp: float) -> str | None: ...

    def wait_for_records(
        self, stream_arn: str, shard_id: str, after: str | None, timeout_s: float
    ) -> bool: ...


@dataclass(frozen=True)
class Outside:
    """What the lanes of all mappings share.

    invoke: (function ARN, payload, region) → result; ServiceError: it did not run. role_of: (function ARN,
    region) → ARN of the function's role. send: hands discarded records of a shard to the destination.
    clock: epoch seconds; monotonic: seconds.
    """

    engine: Engine
    store: Store
    invoke: Callable[[str, bytes, str], Result]
    role_of: Callable[[str, str], str]
    send: Callable[[Discard, Mapping, str], None]
    clock: Callable[[], float] = time.time
    monotonic: Callable[[], float] = time.monotonic
    random: Callable[[], float] = random.random


def sequence_order(sequence_number: str) -> tuple[int, str]:
    """Sort key of sequence numbers: they are numbers without leading zeros."""
    return len(sequence_number), sequence_number


def lane_of(partition_key: str, lanes: int) -> int:
    """The lane of a partition key."""
    return zlib.crc32(partition_key.encode()) % lanes


class Lane:
    """position: everything of this lane up to here is delivered; None: start at TRIM_HORIZON."""

    def __init__(
        self,
        mapping: Mapping,
        shard_id: str,
        lane: int,
        position: str | None,
        outside: Outside,
        tally: Tally,
        stop: threading.Event,
    ) -> None:
        self.shard_id = shard_id
        self.lane = lane
        self.position = position
        self.finished = False
        """The shard is closed and this lane has delivered its last record."""
        self._mapping = mapping
        self._outside = outside
        self._tally = tally
        self._stop = stop
        self._filter = RecordFilter(mapping.filters)
        self._keeps_all = mapping.lanes == 1 and not mapping.filters
        self._scanned = position
        self._buffer: list[Record] = []
        self._buffered_bytes = 0
        self._window_end = 0.0
        self._end = False
        self._saved_at = outside.monotonic()
        self._world = Surroundings(
            invoke=lambda payload: outside.invoke(mapping.function_arn, payload, mapping.region),
            discard=lambda discard: outside.send(discard, mapping, shard_id),
            checkpoint=self._checkpoint,
            clock=outside.clock,
            random=outside.random,
            pause=stop.wait,
            stopped=stop.is_set,
            expired=self._has_expired,
        )

    def run(self) -> None:
        """Delivers until stopped, or the shard is finished, or the stream or the shard is gone."""
        try:
            while not self._stop.is_set() and not self.finished:
                try:
                    self.step()
                except ServiceError as error:
                    if error.code == "ResourceNotFoundException":
                        return
                    self._unexpected(error)
                except Exception as error:  # noqa: BLE001 - a lane must outlive what nobody thought of
                    self._unexpected(error)
        finally:
            self._save_scanned()
            self._tally.waiting_since(self, None)

    def _unexpected(self, error: Exception) -> None:
        _log.exception("Mapping %s, shard %s", self._mapping.uuid, self.shard_id)
        self._tally.problem(f"Internal error: {error}")
        # What was read is read again from the checkpoint: nothing in memory is trusted after this.
        self._buffer, self._buffered_bytes, self._scanned, self._end = [], 0, self.position, False
        self._stop.wait(UNEXPECTED_PAUSE_S)

    def step(self) -> None:
        """Gathers one batch and delivers it, or notices the end of the shard."""
        self._gather()
        if self._stop.is_set():
            return
        if not self._buffer:
            self.finished = self._end
            return
        count = fitting(self._buffer, self._mapping.batch_size)
        batch = self._buffer[:count]
        if not deliver(batch, self._mapping, self._tally, self._world):
            return
        del self._buffer[:count]
        self._buffered_bytes = sum(len(record.text) for record in self._buffer)
        self._window_end = self._outside.monotonic() + self._mapping.window_s
        self._tally.waiting_since(self, self._buffer[0].arrived_at if self._buffer else None)

    def _gather(self) -> None:
        """Reads until the buffer holds a batch, the batching window ends, or the shard does."""
        engine, arn = self._outside.engine, self._mapping.source_arn
        woken = False
        while not self._stop.is_set() and not self._full():
            if not self._read() and woken:
                self._pass_over_trimmed()
            if self._end or self._full() or (self._buffer and self._window_over()):
                return
            if not self._buffer:
                self._save_scanned_sometimes()
            woken = engine.wait_for_records(arn, self.shard_id, self._scanned, self._patience())

    def _full(self) -> bool:
        return len(self._buffer) >= self._mapping.batch_size or self._buffered_bytes >= MAX_EVENT_BYTES

    def _window_over(self) -> bool:
        return self._outside.monotonic() >= self._window_end

    def _patience(self) -> float:
        if not self._buffer:
            return WAIT_S
        return min(WAIT_S, max(0.0, self._window_end - self._outside.monotonic()))

    def _read(self) -> bool:
        """Reads once. Whether there was anything."""
        outside, mapping = self._outside, self._mapping
        wanted = mapping.batch_size - len(self._buffer) if self._keeps_all else SCAN_RECORDS
        page = outside.engine.read(
            mapping.source_arn, self.shard_id, after=self._scanned, limit=wanted, max_bytes=READ_BYTES
        )
        self._end = page.end_of_shard
        if not page.records:
            return False
        if not self._buffer:
            self._window_end = outside.monotonic() + mapping.window_s
        renderer = RecordRenderer(mapping.source_arn, self.shard_id, self._role())
        for record in page.records:
            number, key, data, arrived_at = (
                record.sequence_number,
                record.partition_key,
                record.data,
                record.arrived_at,
            )
            if self._keeps_all or self._keeps(number, key, data, arrived_at):
                rendered = renderer.render(number, key, data, arrived_at)
                self._buffer.append(rendered)
                self._buffered_bytes += len(rendered.text)
        self._scanned = page.records[-1].sequence_number
        if self._buffer:
            self._tally.waiting_since(self, self._buffer[0].arrived_at)
        return True

    def _keeps(self, number: str, key: str, data: str, arrived_at: float) -> bool:
        mine = self._mapping.lanes == 1 or lane_of(key, self._mapping.lanes) == self.lane
        return mine and self._filter.passes(number, key, data, arrived_at)

    def _role(self) -> str:
        try:
            return self._outside.role_of(self._mapping.function_arn, self._mapping.region)
        except ServiceError:
            return ""  # no such function: the invocation will say so

    def _has_expired(self, record: Record) -> bool:
        """Whether the first record that the stream still has after the checkpoint comes after this one."""
        page = self._outside.engine.read(
            self._mapping.source_arn, self.shard_id, after=self.position, limit=1, max_bytes=1
        )
        first = page.records[0].sequence_number if page.records else None
        return first is None or sequence_order(first) > sequence_order(record.sequence_number)

    def _pass_over_trimmed(self) -> None:
        """Moves on where the shard's records beyond `scanned` have expired before they were read."""
        engine, arn = self._outside.engine, self._mapping.source_arn
        newest = engine.latest(arn, self.shard_id)  # before the read: what arrives later must not be missed
        if not self._read() and newest is not None:
            self._scanned = newest

    def _checkpoint(self, sequence_number: str) -> None:
        """Everything up to this record, which is of the buffer, is delivered."""
        if self._buffer and sequence_number == self._buffer[-1].sequence_number and self._scanned is not None:
            # The last one held: the records passed over after it are done with, too.
            sequence_number = self._scanned
        self.position = sequence_number
        self._save()

    def _save(self) -> None:
        if self.position is None:
            return
        self._saved_at = self._outside.monotonic()
        try:
            self._outside.store.set_position(
                self._mapping.uuid, self.shard_id, self._mapping.lanes, self.lane, self.position
            )
        except sqlite3.Error as error:
            # Delivered all the same. A restart from the older checkpoint repeats it.
            _log.warning("Checkpoint of mapping %s not saved: %s", self._mapping.uuid, error)
            self._tally.problem(f"Checkpoint could not be saved: {error}")

    def _save_scanned_sometimes(self) -> None:
        if self._outside.monotonic() - self._saved_at >= SAVE_SCANNED_S:
            self._save_scanned()

    def _save_scanned(self) -> None:
        if not self._buffer and self._scanned != self.position:
            self.position = self._scanned
            self._save()
