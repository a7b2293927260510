"""The sender of `txnpipe send` against the engine, while the stream is resharded: nothing is lost, nothing
comes twice, and with `ordered` the records of a key arrive in their order."""

from __future__ import annotations

import itertools
import threading
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest

from tests.integration.kinesis.server import Server, read_shard, wait_active
from tests.targets import a_target
from tests.waiting import eventually
from txnpipe.aws import Credentials, Target
from txnpipe.traffic.dispatch import Outgoing
from txnpipe.traffic.sender import Progress, Sender
from txnpipe.traffic.stream import KinesisStream

KEYS = 300


def stream_of(server: Server, name: str) -> KinesisStream:
    """The stream on a target of which only Kinesis is there."""
    target = a_target(
        Target,
        endpoint_url=f"http://127.0.0.1:{server.port}",
        credentials=Credentials("key", "secret"),
    )
    return KinesisStream(target, name)


class Source:
    """Records until it is told to stop, each key's in ascending order: 5,000 a second at most."""

    def __init__(self) -> None:
        self.stopped = threading.Event()
        self.made = 0

    def __iter__(self) -> Iterator[list[Outgoing]]:
        for first in itertools.count(0, 250):
            if self.stopped.is_set():
                return
            yield [(n, f"account-{n * 7919 % KEYS}", str(n).encode()) for n in range(first, first + 250)]
            self.made = first + 250
            self.stopped.wait(0.05)


def reshard_while_sending(server: Server, *, ordered: bool) -> tuple[Progress, int]:
    client = server.client()
    server.create(client, "s", 1)
    stream, source = stream_of(server, "s"), Source()
    sender = Sender(stream, stream.open_shards(), workers=3, ordered=ordered)
    with ThreadPoolExecutor(1) as pool:
        sending = pool.submit(sender.run, iter(source))
        try:
            for target in (2, 4, 3):
                client.update_shard_count(
                    StreamName="s", TargetShardCount=target, ScalingType="UNIFORM_SCALING"
                )
                wait_active(client, "s")
                _until_all_open_shards_take_records(client, sender, sending)
        finally:
            source.stopped.set()
    return sending.result(), source.made


def _until_all_open_shards_take_records(client: Any, sender: Sender, sending: Future[Progress]) -> None:
    shards = client.list_shards(StreamName="s", ShardFilter={"Type": "AT_LATEST"})["Shards"]
    wanted = {shard["ShardId"] for shard in shards}
    eventually(
        lambda: wanted <= sender._dispatcher.marks.keys() or sending.done(),
        f"records in all of {sorted(wanted)}",
    )


def read_parents_first(client: Any) -> dict[str, list[int]]:
    """By key, what the stream holds, as a consumer that reads parents before children sees it."""
    found: dict[str, list[int]] = defaultdict(list)
    for shard in client.list_shards(StreamName="s")["Shards"]:  # ids ascend with age
        for record in read_shard(client, "s", shard["ShardId"]):
            found[record["PartitionKey"]].append(int(record["Data"]))
    return found


@pytest.mark.parametrize("ordered", [False, True])
def test_a_reshard_in_mid_run_loses_nothing_repeats_nothing_and_keeps_order(
    server: Server, ordered: bool
) -> None:
    progress, made = reshard_while_sending(server, ordered=ordered)
    found = read_parents_first(server.client())
    assert sorted(itertools.chain(*found.values())) == list(range(made))
    assert progress.acknowledged == progress.watermark == made
    told = {shard.shard_id: shard.acknowledged for shard in progress.shards if shard.acknowledged}
    client = server.client()
    shards = [shard["ShardId"] for shard in client.list_shards(StreamName="s")["Shards"]]
    stored = {shard: len(read_shard(client, "s", shard)) for shard in shards}
    assert told == {shard: count for shard, count in stored.items() if count}
    if ordered:
        assert all(indexes == sorted(indexes) for indexes in found.values())
