"""A stream and a bucket in memory, with the failures that the real ones have."""

from __future__ import annotations

import hashlib
import io
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from botocore.exceptions import ClientError

from tests.targets import a_target
from txnpipe.aws import Target
from txnpipe.traffic.dispatch import Outgoing
from txnpipe.traffic.manifest import Span
from txnpipe.traffic.put_records import Answer, Entry
from txnpipe.traffic.shardmap import ShardMap
from txnpipe.traffic.stream import CallFailed

RANGE = 1 << 128
THROTTLED = "ProvisionedThroughputExceededException"


def spans(count: int, first: int = 0) -> tuple[Span, ...]:
    """`count` shards of equal width."""
    return tuple(
        Span(f"shardId-{first + n:012d}", str(RANGE * n // count), str(RANGE * (n + 1) // count - 1))
        for n in range(count)
    )


@dataclass
class FakeStream:
    """Kinesis as the sender sees it.

    stored: by shard, (call number, index, key) in the order in which the shard took them. carried: by call,
    what it brought. unknown: what a call that failed as a whole may have
    stored. per_second: limit of a shard, None for none. failing: the chance that a record fails with
    InternalFailure. breaking: the chance that a call fails as a whole, after half of its records were stored.
    """

    shards: tuple[Span, ...]
    now: Callable[[], float] = lambda: 0.0
    per_second: int | None = None
    failing: float = 0.0
    breaking: float = 0.0
    reshards: dict[int, tuple[Span, ...]] = field(default_factory=dict)
    rng: random.Random = field(default_factory=lambda: random.Random(1))
    stored: dict[str, list[tuple[int, int, str]]] = field(default_factory=dict)
    calls: int = 0
    attempts: int = 0
    throttled: int = 0
    sizes: list[int] = field(default_factory=list)
    listed: int = 0
    carried: list[list[tuple[int, str]]] = field(default_factory=list)
    unknown: set[int] = field(default_factory=set)
    _tokens: dict[str, tuple[float, float]] = field(default_factory=dict)
    _sequence: int = 0

    def open_shards(self) -> tuple[Span, ...]:
        self.listed += 1
        return self.shards

    def put(self, records: Sequence[Outgoing]) -> Answer:
        self.calls += 1
        self.attempts += len(records)
        self.sizes.append(len(records))
        self.carried.append([(index, key) for index, key, _ in records])
        if self.calls in self.reshards:
            self.shards = self.reshards[self.calls]
        broken = self.rng.random() < self.breaking
        shard_map = ShardMap(self.shards)
        entries: list[Entry] = []
        full: set[str] = set()
        for position, (index, key, _) in enumerate(records):
            if broken and position >= len(records) // 2:
                self.unknown.update(index for index, _, _ in records[:position])
                raise CallFailed("the connection broke")
            shard_id = shard_map.spans[shard_map.route(key)].shard_id
            if shard_id in full or not self._admits(shard_id):
                full.add(shard_id)
                self.throttled += 1
                entries.append(Entry(error_code=THROTTLED))
            elif self.rng.random() < self.failing:
                entries.append(Entry(error_code="InternalFailure"))
            else:
                self._sequence += 1
                self.stored.setdefault(shard_id, []).append((self.calls, index, key))
                entries.append(Entry(shard_id, str(self._sequence)))
        return Answer(entries, sum(bool(entry.error_code) for entry in entries))

    def _admits(self, shard_id: str) -> bool:
        if self.per_second is None:
            return True
        now = self.now()
        tokens, filled_at = self._tokens.get(shard_id, (float(self.per_second), now))
        tokens = min(tokens + (now - filled_at) * self.per_second, float(self.per_second))
        admitted = tokens >= 1
        self._tokens[shard_id] = (tokens - admitted, now)
        return admitted

    def indexes(self) -> list[int]:
        """Every index that is stored, as often as it is."""
        return [index for records in self.stored.values() for _, index, _ in records]

    def overtaken(self) -> list[int]:
        """Records that a later one of the same key overtook: it was stored by a call without them.

        Within one call PutRecords promises no order, so what the same call carried does not count.
        """
        waiting: dict[str, list[int]] = {}
        for key, index in sorted({(key, index) for carried in self.carried for index, key in carried}):
            waiting.setdefault(key, []).append(index)
        by_call: dict[int, dict[str, set[int]]] = {}
        for records in self.stored.values():
            for call, index, key in records:
                by_call.setdefault(call, {}).setdefault(key, set()).add(index)
        overtaken: list[int] = []
        for call in sorted(by_call):
            carried = {index for index, _ in self.carried[call - 1]}
            for key, stored in by_call[call].items():
                left = [index for index in waiting[key] if index not in stored]
                overtaken += [index for index in left if index < max(stored) and index not in carried]
                waiting[key] = left
        return overtaken

    def out_of_order(self) -> list[int]:
        """Records that are in the stream for the first time after a later one of the same key."""
        highest: dict[str, int] = {}
        seen: set[int] = set()
        late: list[int] = []
        arrivals = [(call, index, key) for records in self.stored.values() for call, index, key in records]
        for _, index, key in sorted(arrivals, key=lambda arrival: arrival[0]):
            if index not in seen and index < highest.get(key, -1):
                late.append(index)
            seen.add(index)
            highest[key] = max(highest.get(key, -1), index)
        return late


class NoSuchKeyError(ClientError):
    """What boto3 raises for an object that is not there."""


class _Exceptions:
    ClientError = ClientError
    NoSuchKey = NoSuchKeyError


def _etag(data: bytes) -> str:
    """Of a plain upload: equal content has an equal one."""
    return f'"{hashlib.md5(data, usedforsecurity=False).hexdigest()}"'


class FakeS3:
    """put_object, with its conditions, get_object, delete_object and list_objects_v2 of one bucket."""

    exceptions = _Exceptions

    def __init__(self, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self.objects: dict[str, tuple[bytes, datetime]] = {}
        self._now = now

    def put_object(self, **request: Any) -> dict[str, Any]:
        found = self.objects.get(request["Key"])
        if "IfMatch" in request and found is None:
            raise NoSuchKeyError({"Error": {"Code": "NoSuchKey"}}, "PutObject")
        if found is not None and (
            "IfNoneMatch" in request or request.get("IfMatch", _etag(found[0])) != _etag(found[0])
        ):
            raise ClientError({"Error": {"Code": "PreconditionFailed"}}, "PutObject")
        self.objects[request["Key"]] = (request["Body"], self._now())
        return {"ETag": _etag(request["Body"])}

    def get_object(self, **request: Any) -> dict[str, Any]:
        if request["Key"] not in self.objects:
            raise NoSuchKeyError({"Error": {"Code": "NoSuchKey"}}, "GetObject")
        data, written_at = self.objects[request["Key"]]
        date = self._now().strftime("%a, %d %b %Y %H:%M:%S GMT")
        return {
            "Body": io.BytesIO(data),
            "ETag": _etag(data),
            "LastModified": written_at.replace(microsecond=0),
            "ResponseMetadata": {"HTTPHeaders": {"date": date}},
        }

    def delete_object(self, **request: Any) -> dict[str, Any]:
        self.objects.pop(request["Key"], None)
        return {}

    def _entry(self, key: str) -> dict[str, Any]:
        data, written_at = self.objects[key]
        return {"Key": key, "LastModified": written_at, "Size": len(data)}

    def get_paginator(self, name: str) -> FakeS3:
        assert name == "list_objects_v2"
        return self

    def paginate(self, **request: Any) -> list[dict[str, Any]]:
        prefix, delimiter = request["Prefix"], request.get("Delimiter")
        keys = sorted(key for key in self.objects if key.startswith(prefix))
        if delimiter is None:
            return [{"Contents": [self._entry(key) for key in keys]}]
        folders = {prefix + key[len(prefix) :].split(delimiter)[0] + delimiter for key in keys}
        return [{"CommonPrefixes": [{"Prefix": folder} for folder in sorted(folders)]}]


def target_with(**clients: Any) -> Target:
    """A target whose clients are these."""

    class Fake(Target):
        def client(self, service: str, **options: Any) -> Any:
            return clients[service]

    return a_target(Fake)
