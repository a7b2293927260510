"""Pollers in the engine's own process wait for records, and wake as soon as there is something to do."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

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
        deadline = time.monotonic() + 5
        while not self.engine.shards(ARN):
            assert time.monotonic() < deadline
            time.sleep(0.01)

    def call(self, operation: str, **body: Any) -> None:
        text = orjson.dumps({"StreamName": "s", **body})
        target = f"Kinesis_20131202.{operation}"
        self._service.handle(Request("POST", "/", "", target, "us-east-1", {}, text))


class Waiter:
    """Waits for a shard in a thread of its own."""

    def __init__(self, engine: KinesisEngine, shard: str, after: str | None) -> None:
        self._began_at = time.perf_counter()
        self._thread = threading.Thread(target=self._wait, args=(engine, shard, after))
        self._thread.start()
        time.sleep(0.01)  # so that it sleeps before anything happens

    def _wait(self, engine: KinesisEngine, shard: str, after: str | None) -> None:
        self.woken = engine.wait_for_records(ARN, shard, after, 5)
        self.woken_at = time.perf_counter()

    def join(self) -> float:
        """Waits for it to wake; how many seconds it slept."""
        self._thread.join()
        return self.woken_at - self._began_at


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    running = Running(tmp_path / "kinesis")
    yield running
    running.engine.stop()


def test_a_record_wakes_who_waits_for_its_shard_within_milliseconds(running: Running) -> None:
    delays = []
    for _ in range(21):
        waiter = Waiter(running.engine, SHARD, running.engine.latest(ARN, SHARD))
        running.call("PutRecord", Data="", PartitionKey="k", ExplicitHashKey="0")
        stored_at = time.perf_counter()
        waiter.join()
        assert waiter.woken
        delays.append(waiter.woken_at - stored_at)
    assert min(delays) < 0.002
    assert sorted(delays)[10] < 0.02  # the machine may be busy with something else


def test_a_record_of_another_shard_wakes_nobody(running: Running) -> None:
    running.call("PutRecord", Data="", PartitionKey="k", ExplicitHashKey="0")
    assert not running.engine.wait_for_records(ARN, OTHER, None, 0.05)


def test_a_reshard_and_a_delete_wake_everybody(running: Running) -> None:
    waiter = Waiter(running.engine, OTHER, None)
    running.call("SplitShard", ShardToSplit=SHARD, NewStartingHashKey="1000")
    assert waiter.join() < 4
    assert waiter.woken
    waiter = Waiter(running.engine, OTHER, None)
    running.call("DeleteStream")
    assert waiter.join() < 4
    assert waiter.woken


def test_stopping_the_engine_lets_nobody_wait(running: Running) -> None:
    waiter = Waiter(running.engine, OTHER, None)
    running.engine.stop()
    assert waiter.join() < 4
