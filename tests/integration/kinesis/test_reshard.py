"""A consumer that reads parents before children sees each record once, in order for each key, whatever the
shards do meanwhile."""

from __future__ import annotations

import threading
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from tests.integration.kinesis.server import Server, wait_active
from tests.waiting import eventually

KEYS = 40
WRITERS = 3


def test_a_consumer_follows_1_2_4_3_2_1_shards_under_writes(server: Server) -> None:
    client = server.client()
    server.create(client, "s", 1)
    stop = threading.Event()
    sent = [0] * WRITERS

    def write(writer: int) -> None:
        own = server.client()
        keys = [f"{writer}-{key}" for key in range(KEYS)]
        while not stop.is_set():
            entries = [{"Data": str(sent[writer]).encode(), "PartitionKey": key} for key in keys]
            assert own.put_records(StreamName="s", Records=entries)["FailedRecordCount"] == 0
            sent[writer] += 1

    consumed: dict[str, list[int]] = defaultdict(list)
    numbers: dict[str, list[str]] = defaultdict(list)
    consumer = _Consumer(server.client(), consumed, numbers)
    with ThreadPoolExecutor(WRITERS + 1) as pool:
        working = [pool.submit(write, writer) for writer in range(WRITERS)]
        working.append(pool.submit(consumer.follow, stop))

        def until_all_have_written() -> None:
            wanted = [count + 5 for count in sent]
            eventually(
                lambda: (
                    all(count >= least for count, least in zip(sent, wanted, strict=True))
                    or any(each.done() for each in working)
                ),
                "progress of all writers",
            )

        try:
            for target in (2, 4, 3, 2, 1):
                until_all_have_written()
                client.update_shard_count(
                    StreamName="s", TargetShardCount=target, ScalingType="UNIFORM_SCALING"
                )
                wait_active(client, "s")
            until_all_have_written()
        finally:
            stop.set()
    for each in working:
        each.result()
    consumer.follow(stop)

    assert dict(consumed) == {
        f"{writer}-{key}": list(range(sent[writer])) for writer in range(WRITERS) for key in range(KEYS)
    }
    assert all(own == sorted(set(own)) for own in numbers.values())
    open_shards = client.list_shards(StreamName="s", ShardFilter={"Type": "AT_LATEST"})["Shards"]
    assert len(open_shards) == 1


class _Consumer:
    """Reads like the Kinesis Client Library: a shard is begun once all its parents are finished."""

    def __init__(self, client: Any, consumed: dict[str, list[int]], numbers: dict[str, list[str]]) -> None:
        self._client = client
        self._consumed = consumed
        self._numbers = numbers
        self._iterators: dict[str, str] = {}
        self._finished: set[str] = set()

    def follow(self, stop: threading.Event) -> None:
        """Reads until `stop` is set and nothing is left."""
        while True:
            last = stop.is_set()
            self._begin_shards()
            read = sum([self._read(shard) for shard in list(self._iterators)])
            if last and not read:
                return

    def _begin_shards(self) -> None:
        for shard in self._client.list_shards(StreamName="s")["Shards"]:
            name = shard["ShardId"]
            parents = {shard.get("ParentShardId"), shard.get("AdjacentParentShardId")} - {None}
            if name not in self._iterators and name not in self._finished and parents <= self._finished:
                self._iterators[name] = self._client.get_shard_iterator(
                    StreamName="s", ShardId=name, ShardIteratorType="TRIM_HORIZON"
                )["ShardIterator"]

    def _read(self, shard: str) -> int:
        """Reads a page; 1 where there may be more: records came, or children follow."""
        answer = self._client.get_records(ShardIterator=self._iterators.pop(shard), Limit=300)
        for record in answer["Records"]:
            self._consumed[record["PartitionKey"]].append(int(record["Data"]))
            self._numbers[record["PartitionKey"]].append(record["SequenceNumber"])
        if "NextShardIterator" in answer:
            self._iterators[shard] = answer["NextShardIterator"]
            return int(bool(answer["Records"]))
        self._finished.add(shard)
        return 1
