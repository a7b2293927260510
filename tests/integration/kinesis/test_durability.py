"""What was acknowledged is there, once: with many writers at once, and when the process is killed."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import BotoCoreError, ClientError

from tests.integration.kinesis.server import Server, read_shard
from tests.waiting import eventually

WRITERS = 8
RECORDS_EACH = 2400


@pytest.fixture
def killable(tmp_path: Path) -> Iterator[Server]:
    server = Server(tmp_path / "kinesis").start()
    yield server
    server.stop()


def test_eight_writers_at_once_lose_and_repeat_nothing(server: Server) -> None:
    client = server.client()
    server.create(client, "s", 4)

    def write(writer: int) -> None:
        own = server.client()
        for start in range(0, RECORDS_EACH, 100):
            entries = [
                {"Data": f"{writer}:{index}".encode(), "PartitionKey": f"{writer}-{index % 20}"}
                for index in range(start, start + 100)
            ]
            assert own.put_records(StreamName="s", Records=entries)["FailedRecordCount"] == 0

    with ThreadPoolExecutor(WRITERS) as pool:
        assert list(pool.map(write, range(WRITERS))) == [None] * WRITERS

    seen: Counter[bytes] = Counter()
    numbers: list[str] = []
    for shard in client.list_shards(StreamName="s")["Shards"]:
        records = read_shard(client, "s", shard["ShardId"])
        own = [record["SequenceNumber"] for record in records]
        assert own == sorted(own)
        numbers += own
        seen.update(record["Data"] for record in records)
        positions: dict[str, int] = {}
        for record in records:
            index = int(record["Data"].partition(b":")[2])
            assert index > positions.get(record["PartitionKey"], -1)
            positions[record["PartitionKey"]] = index
    assert len(numbers) == len(set(numbers)) == WRITERS * RECORDS_EACH == 19_200
    assert set(seen.values()) == {1}


def test_a_kill_in_the_middle_of_writing_loses_nothing_that_was_acknowledged(killable: Server) -> None:
    client = killable.client()
    killable.create(client, "s", 2)
    acknowledged: dict[str, bytes] = {}
    lock = threading.Lock()
    halfway, killing = threading.Event(), threading.Event()

    def write(writer: int) -> None:
        own = killable.client()
        for call in range(100_000):
            entries = [{"Data": f"{writer}:{call}:{i}".encode(), "PartitionKey": str(i)} for i in range(50)]
            try:
                answer = own.put_records(StreamName="s", Records=entries)
            except (BotoCoreError, ClientError):
                if not killing.is_set():
                    raise
                return  # the process is gone
            with lock:
                for entry, result in zip(entries, answer["Records"], strict=True):
                    acknowledged[result["SequenceNumber"]] = entry["Data"]  # type: ignore[assignment]
                if len(acknowledged) > 15_000:
                    halfway.set()

    with ThreadPoolExecutor(4) as pool:
        writing = [pool.submit(write, writer) for writer in range(4)]
        try:
            eventually(
                lambda: halfway.is_set() or any(each.done() for each in writing),
                "15,000 acknowledged records",
            )
        finally:
            killing.set()
            killable.kill()
    for each in writing:
        each.result()
    killable.start()

    stored: dict[str, bytes] = {}
    count = 0
    for shard in client.list_shards(StreamName="s")["Shards"]:
        records = read_shard(client, "s", shard["ShardId"])
        count += len(records)
        stored.update((record["SequenceNumber"], record["Data"]) for record in records)
    assert {number: stored.get(number) for number in acknowledged} == acknowledged
    assert count == len(stored)  # no number twice
    assert len(set(stored.values())) == count  # no record twice
    newest = client.put_record(StreamName="s", Data=b"after", PartitionKey="k")["SequenceNumber"]
    assert newest > max(stored)


@pytest.mark.parametrize("operation", ["create", "scale", "delete"])
def test_a_kill_right_after_a_change_was_accepted_does_not_undo_it(killable: Server, operation: str) -> None:
    client = killable.client()
    if operation == "create":
        client.create_stream(StreamName="s", ShardCount=3)
    else:
        killable.create(client, "s", 2)
        client.put_record(StreamName="s", Data=b"kept", PartitionKey="k")
        if operation == "scale":
            client.update_shard_count(StreamName="s", TargetShardCount=3, ScalingType="UNIFORM_SCALING")
        else:
            client.delete_stream(StreamName="s")
    killable.kill()
    killable.start()
    if operation == "delete":
        assert client.list_streams()["StreamNames"] == []
        return
    summary: dict[str, Any] = client.describe_stream_summary(StreamName="s")["StreamDescriptionSummary"]
    assert (summary["StreamStatus"], summary["OpenShardCount"]) == ("ACTIVE", 3)
    if operation == "scale":
        shards = client.list_shards(StreamName="s")["Shards"]
        kept = [record["Data"] for shard in shards for record in read_shard(client, "s", shard["ShardId"])]
        assert kept == [b"kept"]
