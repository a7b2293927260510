"""Doubles of what a mapping works with: a Kinesis engine in memory, a function, a clock set by hand."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, cast

from txnpipe.local.event_sources.delivery import DestinationError, Discard, Surroundings
from txnpipe.local.event_sources.events import Record, RecordRenderer
from txnpipe.local.event_sources.lane import Outside
from txnpipe.local.event_sources.mapping import Mapping
from txnpipe.local.event_sources.store import Store
from txnpipe.local.lambda_runtime.results import InvokeResult
from txnpipe.local.service import ServiceError

STREAM = "arn:aws:kinesis:us-east-1:000000000000:stream/orders"
FUNCTION = "arn:aws:lambda:us-east-1:000000000000:function:loader"
SHARD = "shardId-000000000000"
NOW = 1_700_000_000.0

OK = InvokeResult("ok", b"null", "request")
ERROR = InvokeResult("error", b'{"errorMessage":"no"}', "request")


def a_mapping(**settings: Any) -> Mapping:
    """A mapping with AWS's defaults and these settings."""
    return Mapping(
        **{
            "uuid": "6c6f1f5e-0000-4000-8000-000000000001",
            "region": "us-east-1",
            "source_arn": STREAM,
            "function_arn": FUNCTION,
            "starting_position": "TRIM_HORIZON",
            "created_at": NOW,
            "last_modified": NOW,
            "state": "Enabled",
            **settings,
        }
    )


def records(count: int, *, first: int = 1, arrived_at: float = NOW) -> list[Record]:
    """Rendered records with sequence numbers first, first + 1, ..."""
    renderer = RecordRenderer(STREAM, SHARD, "role")
    return [
        renderer.render(str(number), f"key-{number}", "eA==", arrived_at)
        for number in range(first, first + count)
    ]


def numbers_in(payload: bytes) -> list[int]:
    """The sequence numbers of an event."""
    return [int(record["kinesis"]["sequenceNumber"]) for record in json.loads(payload)["Records"]]


@dataclass
class World:
    """Surroundings of a delivery, all of it recorded.

    answer: what the function does with the sequence numbers of an event; may raise ServiceError.
    """

    answer: Callable[[list[int]], InvokeResult] = lambda _numbers: OK
    now: float = NOW
    events: list[list[int]] = field(default_factory=list)
    discarded: list[Discard] = field(default_factory=list)
    checkpoints: list[int] = field(default_factory=list)
    pauses: list[float] = field(default_factory=list)
    destination_refusals: int = 0
    stop_after_pauses: int | None = None
    is_stopped: bool = False
    oldest_kept: int = 0

    @property
    def surroundings(self) -> Surroundings:
        return Surroundings(
            invoke=self._invoke,
            discard=self._discard,
            checkpoint=lambda number: self.checkpoints.append(int(number)),
            clock=lambda: self.now,
            random=lambda: 1.0,
            pause=self._pause,
            stopped=lambda: self.is_stopped,
            expired=lambda record: int(record.sequence_number) < self.oldest_kept,
        )

    def _invoke(self, payload: bytes) -> InvokeResult:
        self.events.append(numbers_in(payload))
        return self.answer(self.events[-1])

    def _discard(self, discard: Discard) -> None:
        if self.destination_refusals:
            self.destination_refusals -= 1
            raise DestinationError("NoSuchBucket")
        self.discarded.append(discard)

    def _pause(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += seconds
        if self.stop_after_pauses is not None and len(self.pauses) >= self.stop_after_pauses:
            self.is_stopped = True


def failing(numbers: list[int]) -> InvokeResult:
    """A ReportBatchItemFailures response that names these sequence numbers."""
    body = {"batchItemFailures": [{"itemIdentifier": str(number)} for number in numbers]}
    return InvokeResult("ok", json.dumps(body).encode(), "request")


class StoredRecord(NamedTuple):
    sequence_number: str
    partition_key: str
    data: str
    arrived_at: float


@dataclass
class ShardView:
    shard_id: str
    starting_sequence_number: str
    parent_id: str | None = None
    adjacent_parent_id: str | None = None
    open: bool = True
    records: list[StoredRecord] = field(default_factory=list)


@dataclass(frozen=True)
class Page:
    records: Sequence[StoredRecord]
    end_of_shard: bool


def gone() -> ServiceError:
    return ServiceError("ResourceNotFoundException", "not found")


class MemoryEngine:
    """A stream with shards. Waiting never blocks: it advances the clock where nothing new is there."""

    def __init__(self, clock: ManualClock | None = None) -> None:
        self.clock = clock or ManualClock()
        self.stream: dict[str, ShardView] | None = {}
        self.next_number = 1000
        self.on_wait: Callable[[], None] = lambda: None
        self.add_shard(0)

    def add_shard(self, index: int, *, parents: tuple[int, ...] = ()) -> str:
        assert self.stream is not None
        shard_id = f"shardId-{index:012d}"
        named = [f"shardId-{parent:012d}" for parent in parents]
        self.stream[shard_id] = ShardView(
            shard_id,
            str(self._number()),
            named[0] if named else None,
            named[1] if len(named) > 1 else None,
        )
        return shard_id

    def _number(self) -> int:
        self.next_number += 1
        return self.next_number

    def close(self, shard_id: str = SHARD) -> None:
        self._shard(shard_id).open = False

    def put(self, data: str = "x", *, key: str = "k", shard_id: str = SHARD) -> int:
        number = self._number()
        encoded = base64.b64encode(data.encode()).decode()
        self._shard(shard_id).records.append(StoredRecord(str(number), key, encoded, self.clock.now))
        return number

    def _shard(self, shard_id: str) -> ShardView:
        if self.stream is None or shard_id not in self.stream:
            raise gone()
        return self.stream[shard_id]

    def shards(self, stream_arn: str) -> list[ShardView]:
        if self.stream is None or stream_arn != STREAM:
            raise gone()
        return list(self.stream.values())

    def read(self, stream_arn: str, shard_id: str, *, after: str | None, limit: int, max_bytes: int) -> Page:
        shard = self._shard(shard_id)
        newer = [record for record in shard.records if int(record.sequence_number) > int(after or 0)]
        return Page(newer[:limit], not shard.open and len(newer) <= limit)

    def latest(self, stream_arn: str, shard_id: str) -> str | None:
        found = self._shard(shard_id).records
        return found[-1].sequence_number if found else None

    def sequence_at(self, stream_arn: str, shard_id: str, timestamp: float) -> str | None:
        before = [r for r in self._shard(shard_id).records if r.arrived_at < timestamp]
        return before[-1].sequence_number if before else None

    def wait_for_records(self, stream_arn: str, shard_id: str, after: str | None, timeout_s: float) -> bool:
        shard = self._shard(shard_id)
        newer = any(int(record.sequence_number) > int(after or 0) for record in shard.records)
        if not newer:
            self.clock.advance(timeout_s)
            self.on_wait()
        return newer


@dataclass
class ManualClock:
    """A clock that several threads may advance: it never goes back."""

    now: float = NOW
    _mutex: threading.Lock = field(default_factory=threading.Lock)

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        with self._mutex:
            self.now += seconds


class Function:
    """Records the events that reach it; answers each with `answer`."""

    def __init__(self) -> None:
        self.events: list[list[int]] = []
        self.payloads: list[bytes] = []
        self.answer: Callable[[list[int]], InvokeResult] = lambda _numbers: OK

    def __call__(self, function_arn: str, payload: bytes, region: str) -> InvokeResult:
        self.payloads.append(payload)
        self.events.append(numbers_in(payload))
        return self.answer(self.events[-1])

    @property
    def delivered(self) -> list[int]:
        return [number for event in self.events for number in event]


class MemoryStore:
    """The checkpoints of one mapping, for tests that open thousands of stores."""

    def __init__(self) -> None:
        self._positions: dict[tuple[int, int], str] = {}

    def positions(self, _uuid: str, _shard_id: str) -> dict[tuple[int, int], str]:
        return dict(self._positions)

    def set_position(self, _uuid: str, _shard_id: str, lanes: int, lane: int, position: str) -> None:
        self._positions[lanes, lane] = position


def outside(
    engine: MemoryEngine, function: Function, directory: Path | None
) -> tuple[Outside, list[Discard]]:
    """What lanes share, over these doubles and a real store (None: a MemoryStore); and its discards."""
    discards: list[Discard] = []
    return (
        Outside(
            engine=engine,
            store=Store(directory / "mappings.sqlite3") if directory else cast(Store, MemoryStore()),
            invoke=function,
            role_of=lambda _arn, _region: "arn:aws:iam::000000000000:role/loader",
            send=lambda discard, _mapping, _shard: discards.append(discard),
            clock=engine.clock,
            monotonic=engine.clock,
            random=lambda: 0.0,
        ),
        discards,
    )
