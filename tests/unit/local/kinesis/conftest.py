"""An engine with clocks that stand still until a test moves them, and the service above it, without HTTP."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from txnpipe.local.kinesis.engine import KinesisEngine
from txnpipe.local.kinesis.limits import KinesisSettings
from txnpipe.local.kinesis.model import stream_arn
from txnpipe.local.kinesis.service import TARGET_PREFIX, KinesisService
from txnpipe.local.service import Request, ServiceError

REGION = "us-east-1"
START = 1_700_000_000.0
"""Epoch seconds at which every test begins."""


class World:
    """One engine on one directory. `restart` is a stop and a start; `crash` leaves the files as they are."""

    def __init__(self, directory: Path, *, enforce_limits: bool = False, **settings: Any) -> None:
        self.now = START
        self.ticks = 0.0
        self._directory = directory
        self._enforce_limits = enforce_limits
        self._settings = KinesisSettings(**settings)
        self._open()

    def _open(self) -> None:
        self.engine = KinesisEngine(
            self._directory,
            enforce_limits=self._enforce_limits,
            settings=self._settings,
            clock=lambda: self.now,
            monotonic=lambda: self.ticks,
        )
        self.engine.open()
        self.service = KinesisService(self.engine)

    def restart(self) -> None:
        self.engine.stop()
        self._open()

    def crash(self) -> None:
        self._open()

    def advance(self, seconds: float) -> None:
        """Lets time pass, and completes what is due by then."""
        self.now += seconds
        self.ticks += seconds
        self.engine.settle()

    def call(self, operation: str, region: str = REGION, **body: Any) -> Any:
        """Calls an operation; returns the parsed answer ({} where there is none)."""
        return self.send(operation, orjson.dumps(body), region)

    def send(self, operation: str, body: bytes, region: str = REGION) -> Any:
        target = TARGET_PREFIX + operation
        assert self.service.claims("POST", "/", target)
        request = Request("POST", "/", "", target, region, {}, body)
        response = self.service.handle(request)
        assert response.status == 200
        return orjson.loads(response.body) if response.body else {}

    def refusal(self, operation: str, **body: Any) -> tuple[str, str]:
        """The code and the message of the error that a call ends with."""
        with pytest.raises(ServiceError) as caught:
            self.call(operation, **body)
        return caught.value.code, caught.value.message

    def stream(self, name: str = "s", shards: int = 1, **options: Any) -> str:
        """Makes a stream, waits for it and returns its ARN."""
        self.call("CreateStream", StreamName=name, ShardCount=shards, **options)
        self.advance(1)
        return stream_arn(REGION, name)

    def put(self, *texts: str, key: str | None = None, stream: str = "s") -> list[str]:
        """Puts a record for each text, with the text or `key` as key; returns the sequence numbers."""
        entries = [{"Data": encoded(text), "PartitionKey": key or text} for text in texts]
        answer = self.call("PutRecords", StreamName=stream, Records=entries)
        assert answer["FailedRecordCount"] == 0
        return [entry["SequenceNumber"] for entry in answer["Records"]]

    def entries(self, *entries: dict[str, Any], stream: str = "s") -> list[dict[str, str]]:
        """PutRecords of whole entries; what each became."""
        return list(self.call("PutRecords", StreamName=stream, Records=list(entries))["Records"])

    def iterator(self, shard: int = 0, kind: str = "TRIM_HORIZON", stream: str = "s", **more: Any) -> str:
        answer = self.call(
            "GetShardIterator", StreamName=stream, ShardId=shard_id(shard), ShardIteratorType=kind, **more
        )
        return str(answer["ShardIterator"])

    def read(self, shard: int = 0, kind: str = "TRIM_HORIZON", stream: str = "s", **more: Any) -> list[str]:
        """The data of the records that one GetRecords call gives."""
        answer = self.call("GetRecords", ShardIterator=self.iterator(shard, kind, stream, **more))
        return [decoded(record["Data"]) for record in answer["Records"]]

    def status(self, stream: str = "s") -> str:
        summary = self.call("DescribeStreamSummary", StreamName=stream)["StreamDescriptionSummary"]
        return str(summary["StreamStatus"])

    def scale(self, target: int, stream: str = "s") -> None:
        """UpdateShardCount, and the time it takes."""
        self.call(
            "UpdateShardCount", StreamName=stream, TargetShardCount=target, ScalingType="UNIFORM_SCALING"
        )
        self.advance(1)

    def shards(self, stream: str = "s", **more: Any) -> list[dict[str, Any]]:
        return list(self.call("ListShards", StreamName=stream, **more)["Shards"])


def shard_id(index: int) -> str:
    return f"shardId-{index:012d}"


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def decoded(text: str) -> str:
    return base64.b64decode(text).decode()


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = World(tmp_path / "kinesis")
    yield world
    world.engine.stop()


@pytest.fixture
def limited(tmp_path: Path) -> Iterator[World]:
    """As `world`, with AWS's limits on."""
    world = World(tmp_path / "kinesis", enforce_limits=True, shard_quota=20)
    yield world
    world.engine.stop()
