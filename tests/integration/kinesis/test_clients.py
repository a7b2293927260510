"""Unmodified clients: boto3 calls every operation and parses every answer; limits as a client meets them."""

from __future__ import annotations

import datetime
import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.integration.kinesis.server import Server, wait_active
from tests.waiting import PATIENCE_S, eventually
from txnpipe.local.kinesis.service import OPERATIONS

PATIENTLY = {"Delay": 1, "MaxAttempts": int(PATIENCE_S)}


def test_boto3_calls_every_operation(server: Server) -> None:
    client = server.client()
    called: set[str] = set()

    def note(model: Any, **_: Any) -> None:
        called.add(model.name)

    client.meta.events.register("before-call.kinesis.*", note)
    client.create_stream(StreamName="s", ShardCount=2, Tags={"a": "1"}, MaxRecordSizeInKiB=1024)
    client.get_waiter("stream_exists").wait(StreamName="s", WaiterConfig=PATIENTLY)
    arn = client.describe_stream(StreamName="s")["StreamDescription"]["StreamARN"]
    assert client.describe_limits()["ShardLimit"] == 500
    assert list(client.get_paginator("list_streams").paginate().search("StreamNames[]")) == ["s"]

    before = datetime.datetime.now(datetime.UTC) - datetime.timedelta(minutes=1)
    client.put_record(StreamName="s", Data=b"\x00\xff", PartitionKey="é", ExplicitHashKey="0")
    iterator = client.get_shard_iterator(
        StreamARN=arn, ShardId="shardId-000000000000", ShardIteratorType="AT_TIMESTAMP", Timestamp=before
    )["ShardIterator"]
    record = client.get_records(ShardIterator=iterator)["Records"][0]
    assert (record["Data"], record["PartitionKey"]) == (b"\x00\xff", "é")
    after = datetime.datetime.now(datetime.UTC) + datetime.timedelta(minutes=1)
    assert before < record["ApproximateArrivalTimestamp"] < after

    client.split_shard(StreamName="s", ShardToSplit="shardId-000000000000", NewStartingHashKey="1000")
    wait_active(client, "s")
    client.merge_shards(
        StreamName="s", ShardToMerge="shardId-000000000002", AdjacentShardToMerge="shardId-000000000003"
    )
    wait_active(client, "s")
    client.update_shard_count(StreamName="s", TargetShardCount=3, ScalingType="UNIFORM_SCALING")
    wait_active(client, "s")
    shards = list(client.get_paginator("list_shards").paginate(StreamName="s").search("Shards[]"))
    assert len([shard for shard in shards if "EndingSequenceNumber" not in shard["SequenceNumberRange"]]) == 3
    ended = client.get_records(ShardIterator=iterator)
    assert (len(ended["ChildShards"]), "NextShardIterator" in ended) == (2, False)

    key = {"EncryptionType": "KMS", "KeyId": "alias/aws/kinesis"}
    changes: list[Callable[[], object]] = [
        lambda: client.increase_stream_retention_period(StreamName="s", RetentionPeriodHours=48),
        lambda: client.decrease_stream_retention_period(StreamName="s", RetentionPeriodHours=24),
        lambda: client.start_stream_encryption(StreamName="s", **key),
        lambda: client.stop_stream_encryption(StreamName="s", **key),
        lambda: client.update_max_record_size(StreamARN=arn, MaxRecordSizeInKiB=2048),
        lambda: client.update_stream_mode(StreamARN=arn, StreamModeDetails={"StreamMode": "ON_DEMAND"}),
    ]
    for change in changes:
        change()
        wait_active(client, "s")
    client.enable_enhanced_monitoring(StreamName="s", ShardLevelMetrics=["ALL"])
    client.disable_enhanced_monitoring(StreamName="s", ShardLevelMetrics=["ALL"])

    client.add_tags_to_stream(StreamName="s", Tags={"b": "2"})
    client.remove_tags_from_stream(StreamName="s", TagKeys=["a"])
    client.tag_resource(ResourceARN=arn, Tags={"c": "3"})
    client.untag_resource(ResourceARN=arn, TagKeys=["b"])
    tags = [{"Key": "c", "Value": "3"}]
    assert client.list_tags_for_stream(StreamName="s")["Tags"] == tags
    assert client.list_tags_for_resource(ResourceARN=arn)["Tags"] == tags
    client.put_resource_policy(ResourceARN=arn, Policy='{"Statement": []}')
    assert client.get_resource_policy(ResourceARN=arn)["Policy"] == '{"Statement": []}'
    client.delete_resource_policy(ResourceARN=arn)

    consumer = client.register_stream_consumer(StreamARN=arn, ConsumerName="c")["Consumer"]["ConsumerARN"]
    described = client.describe_stream_consumer(ConsumerARN=consumer)["ConsumerDescription"]
    assert described["StreamARN"] == arn
    assert len(client.list_stream_consumers(StreamARN=arn)["Consumers"]) == 1
    with pytest.raises(client.exceptions.ClientError, match="UnsupportedOperationException"):
        client.subscribe_to_shard(
            ConsumerARN=consumer, ShardId="shardId-000000000001", StartingPosition={"Type": "LATEST"}
        )
    client.deregister_stream_consumer(ConsumerARN=consumer)
    client.delete_stream(StreamName="s", EnforceConsumerDeletion=True)
    client.get_waiter("stream_not_exists").wait(StreamName="s", WaiterConfig=PATIENTLY)
    assert called == set(OPERATIONS)


def test_errors_are_the_exceptions_of_boto3(server: Server) -> None:
    client = server.client()
    with pytest.raises(client.exceptions.ResourceNotFoundException, match="Stream none under account"):
        client.describe_stream_summary(StreamName="none")
    server.create(client, "s", 1)
    with pytest.raises(client.exceptions.ResourceInUseException):
        client.create_stream(StreamName="s", ShardCount=1)
    with pytest.raises(client.exceptions.LimitExceededException):
        client.update_shard_count(StreamName="s", TargetShardCount=5, ScalingType="UNIFORM_SCALING")
    with pytest.raises(client.exceptions.InvalidArgumentException):
        client.get_records(ShardIterator="x")


def test_a_shard_lets_about_1000_records_a_second_through_and_two_twice_as_many(
    limited_server: Server,
) -> None:
    client = limited_server.client()
    limited_server.create(client, "s", 1)
    one = _Push(client)
    eventually(one.refused, "refusal", interval_s=0)
    assert 1000 <= one.accepted <= one.most
    client.update_shard_count(StreamName="s", TargetShardCount=2, ScalingType="UNIFORM_SCALING")
    wait_active(client, "s")
    two = _Push(client)
    eventually(lambda: two.refused() and two.accepted > two.most, "more than one shard takes", interval_s=0)
    assert two.accepted <= 2 * two.most
    shards = client.list_shards(StreamName="s")["Shards"]
    assert sum(len(_read_once(client, shard["ShardId"])) for shard in shards) == one.accepted + two.accepted


class _Push:
    """Puts as much as it can. A full bucket holds 1,000 records, whatever the time that it takes."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self._began = time.monotonic()
        self.accepted = 0

    def refused(self) -> bool:
        """Puts 500 records more; whether some were refused."""
        entries = [{"Data": b"x", "PartitionKey": str(index)} for index in range(500)]
        failed: int = self._client.put_records(StreamName="s", Records=entries)["FailedRecordCount"]
        self.accepted += 500 - failed
        return failed > 0

    @property
    def most(self) -> float:
        """What one shard may have taken by now: what a full bucket holds, and 1,000 for each second."""
        return 1000 + 1000 * (time.monotonic() - self._began)


def _read_once(client: Any, shard_id: str) -> list[dict[str, Any]]:
    """All records of a small shard, in one of its five reads a second."""
    iterator = client.get_shard_iterator(StreamName="s", ShardId=shard_id, ShardIteratorType="TRIM_HORIZON")
    answer = client.get_records(ShardIterator=iterator["ShardIterator"])
    assert answer["MillisBehindLatest"] == 0
    return list(answer["Records"])
