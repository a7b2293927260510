"""Pollers in the engine's own process wait for records, and wake as soon as there is something to do."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from tests.waiting import PATIENCE_S, eventually
from txnpipe.local.kinesis.engine import KinesisEngine
from txnpipe.local.kinesis.model import stream_arn
from txnpipe.local.kinesis.service import KinesisService
from txnpipe.local.service import Request

ARN = stream_arn("us-east-1", "s")
SHARD = "shardId-000000000000"
OTHER = "shardId-000000000001"


class Running:
    """An engine with its housekeeper, and a stream of two shards."""

    def __init__(self, directory: Path) -> None:
        self.engine = KinesisEngine(directory, enforce_limits=False)
        self.engine.start()
        self._service = KinesisService(self.engine)
        self.call("CreateStream", ShardCount=2)
        eventually(lambda: self.engine.shards(ARN), "shards")

    def call(self, operation: str, **body: Any) -> None:
        text = orjson.dumps({"StreamName": "s", **body})
        target = f"Kinesis_20131202.{operation}"
        self._service.handle(Request("POST", "/", "", target, "us-east-1", {}, text))


class Waiter:
    """Waits for a shard in a thread of its own, for an hour if nothing wakes it."""

    def __init__(self, engine: KinesisEngine, shard: str, after: str | None) -> None:
        self.woken: bool | None = None
        changed = engine.stream(ARN).shard(shard).changed
        self._thread = threading.Thread(target=self._wait, args=(engine, shard, after), daemon=True)
        self._thread.start()
        eventually(lambda: vars(changed)["_waiters"], "thread that sleeps")

    def _wait(self, engine: KinesisEngine, shard: str, after: str | None) -> None:
        self.woken = engine.wait_for_records(ARN, shard, after, 3600)

    def until_woken(self) -> None:
        self._thread.join(PATIENCE_S)
        assert self.woken is True


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    running = Running(tmp_path / "kinesis")
    yield running
    running.engine.stop()


def test_a_record_wakes_who_waits_for_its_shard(running: Running) -> None:
    for _ in range(5):
        waiter = Waiter(running.engine, SHARD, running.engine.latest(ARN, SHARD))
        running.call("PutRecord", Data="", PartitionKey="k", ExplicitHashKey="0")
        waiter.until_woken()


def test_a_record_of_another_shard_wakes_nobody(running: Running) -> None:
    running.call("PutRecord", Data="", PartitionKey="k", ExplicitHashKey="0")
    assert not running.engine.wait_for_records(ARN, OTHER, None, 0.05)


def test_a_reshard_and_a_delete_wake_everybody(running: Running) -> None:
    waiter = Waiter(running.engine, OTHER, None)
    running.call("SplitShard", ShardToSplit=SHARD, NewStartingHashKey="1000")
    waiter.until_woken()
    waiter = Waiter(running.engine, OTHER, None)
    running.call("DeleteStream")
    waiter.until_woken()


def test_stopping_the_engine_lets_nobody_wait(running: Running) -> None:
    waiter = Waiter(running.engine, OTHER, None)
    running.engine.stop()
    waiter.until_woken()
