"""Streams themselves, and what is not offered."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.unit.local.kinesis.conftest import REGION, World, shard_id
from txnpipe.local.kinesis.service import OPERATIONS
from txnpipe.local.kinesis.validation import operations
from txnpipe.local.service import Request, ServiceError

SCALE: dict[str, Any] = {"StreamName": "s", "ScalingType": "UNIFORM_SCALING"}


# -- streams -------------------------------------------------------------------------------------------------


def test_a_stream_is_described_with_all_it_was_made_with(world: World) -> None:
    arn = world.stream(shards=3, MaxRecordSizeInKiB=2048)
    summary = world.call("DescribeStreamSummary", StreamARN=arn)["StreamDescriptionSummary"]
    assert summary == {
        "StreamName": "s",
        "StreamARN": "arn:aws:kinesis:us-east-1:000000000000:stream/s",
        "StreamStatus": "ACTIVE",
        "StreamModeDetails": {"StreamMode": "PROVISIONED"},
        "RetentionPeriodHours": 24,
        "StreamCreationTimestamp": world.now - 1,
        "EnhancedMonitoring": [{"ShardLevelMetrics": []}],
        "EncryptionType": "NONE",
        "OpenShardCount": 3,
        "ConsumerCount": 0,
        "MaxRecordSizeInKiB": 2048,
    }


def test_the_shards_of_a_description_come_in_pages(world: World) -> None:
    world.stream(shards=3)
    first = world.call("DescribeStream", StreamName="s", Limit=2)["StreamDescription"]
    assert [shard["ShardId"] for shard in first["Shards"]] == [shard_id(0), shard_id(1)]
    assert first["HasMoreShards"]
    rest = world.call("DescribeStream", StreamName="s", ExclusiveStartShardId=shard_id(1))[
        "StreamDescription"
    ]
    assert [shard["ShardId"] for shard in rest["Shards"]] == [shard_id(2)]
    assert not rest["HasMoreShards"]


def test_a_second_stream_of_the_name_is_refused(world: World) -> None:
    world.stream()
    assert world.refusal("CreateStream", StreamName="s", ShardCount=1) == (
        "ResourceInUseException",
        "Stream s under account 000000000000 already exists.",
    )


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        ({"StreamName": "s"}, "ValidationException"),
        ({"StreamName": "s", "ShardCount": 0}, "ValidationException"),
        ({"StreamName": "a b", "ShardCount": 1}, "ValidationException"),
        ({"StreamName": "s" * 129, "ShardCount": 1}, "ValidationException"),
        ({"StreamName": "s", "ShardCount": "1"}, "SerializationException"),
        ({"StreamName": "s", "ShardCount": True}, "SerializationException"),
        ({"StreamName": ["s"], "ShardCount": 1}, "SerializationException"),
        ({"StreamName": "s", "ShardCount": 1, "MaxRecordSizeInKiB": 512}, "ValidationException"),
        ({"StreamName": "s", "ShardCount": 1, "Tags": {"a": "<"}}, "InvalidArgumentException"),
        (
            {"StreamName": "s", "ShardCount": 1, "StreamModeDetails": {"StreamMode": "X"}},
            "ValidationException",
        ),
        (
            {"StreamName": "s", "ShardCount": 1, "StreamModeDetails": {"StreamMode": "ON_DEMAND"}},
            "ValidationException",
        ),
        ({"StreamName": "s", "ShardCount": 1, "WarmThroughputMiBps": 5}, "ValidationException"),
        (
            {"StreamName": "s", "ShardCount": 1, "RecordDistributionStrategy": "AUTO"},
            "InvalidArgumentException",
        ),
    ],
)
def test_a_stream_that_cannot_be_is_refused(world: World, request_: dict[str, Any], code: str) -> None:
    assert world.refusal("CreateStream", **request_)[0] == code
    assert world.call("ListStreams")["StreamNames"] == []


def test_all_that_is_wrong_with_a_request_is_said_at_once(world: World) -> None:
    assert world.refusal("UpdateShardCount", StreamName="", TargetShardCount=0)[1] == (
        "4 validation errors detected: Value at 'streamName' failed to satisfy constraint: Member must"
        " have length greater than or equal to 1; Value at 'streamName' failed to satisfy constraint:"
        " Member must satisfy regular expression pattern: [a-zA-Z0-9_.-]+; Value '0' at 'targetShardCount'"
        " failed to satisfy constraint: Member must have value greater than or equal to 1; Value null at"
        " 'scalingType' failed to satisfy constraint: Member must not be null"
    )


def test_an_on_demand_stream_has_four_shards_and_is_not_scaled_by_hand(world: World) -> None:
    world.call("CreateStream", StreamName="s", StreamModeDetails={"StreamMode": "ON_DEMAND"})
    world.advance(1)
    assert len(world.shards()) == 4
    assert world.refusal("UpdateShardCount", TargetShardCount=8, **SCALE) == (
        "ValidationException",
        "Request is invalid. Stream s under account 000000000000 is in On-Demand mode.",
    )
    limits = world.call("DescribeLimits")
    assert (limits["OpenShardCount"], limits["OnDemandStreamCount"]) == (0, 1)


def test_the_mode_is_switched_twice_a_day_at_most(limited: World) -> None:
    arn = limited.stream()

    def switch(mode: str) -> dict[str, Any]:
        return {"StreamARN": arn, "StreamModeDetails": {"StreamMode": mode}}

    for mode in ("ON_DEMAND", "PROVISIONED"):
        limited.call("UpdateStreamMode", **switch(mode))
        limited.advance(1)
    assert limited.refusal("UpdateStreamMode", **switch("ON_DEMAND"))[0] == "LimitExceededException"
    limited.advance(86_400)
    limited.call("UpdateStreamMode", **switch("ON_DEMAND"))


def test_a_switched_stream_keeps_its_shards_and_their_limits(limited: World) -> None:
    arn = limited.stream(shards=3)
    before = limited.shards()
    for mode in ("ON_DEMAND", "PROVISIONED"):
        limited.call("UpdateStreamMode", StreamARN=arn, StreamModeDetails={"StreamMode": mode})
        assert limited.status() == "UPDATING"
        limited.advance(1)
        assert limited.shards() == before
        entries = [{"Data": "", "PartitionKey": "same"}] * 500
        answers = [limited.call("PutRecords", StreamName="s", Records=entries) for _ in range(3)]
        assert [answer["FailedRecordCount"] for answer in answers] == [0, 0, 500]


def test_one_on_demand_stream_too_many_is_refused_by_a_switch_as_well(tmp_path: Path) -> None:
    world = World(tmp_path, on_demand_quota=1)
    world.call("CreateStream", StreamName="a", StreamModeDetails={"StreamMode": "ON_DEMAND"})
    arn = world.stream()
    switch = {"StreamARN": arn, "StreamModeDetails": {"StreamMode": "ON_DEMAND"}}
    code, message = world.refusal("UpdateStreamMode", **switch)
    assert code == "LimitExceededException"
    assert "on-demand stream limit of 1" in message
    world.engine.stop()


def test_a_key_is_applied_and_taken_away_25_times_a_day_at_most(limited: World) -> None:
    limited.stream()
    key = {"StreamName": "s", "EncryptionType": "KMS", "KeyId": "alias/aws/kinesis"}
    for _ in range(25):
        for operation in ("StartStreamEncryption", "StopStreamEncryption"):
            limited.call(operation, **key)
            limited.advance(1)
    for operation in ("StartStreamEncryption", "StopStreamEncryption"):
        assert limited.refusal(operation, **key)[0] == "LimitExceededException"
    limited.advance(86_400)
    limited.call("StartStreamEncryption", **key)


def test_streams_are_listed_in_pages_by_name_or_by_token(world: World) -> None:
    for name in ("b", "a", "c"):
        world.stream(name)
    first = world.call("ListStreams", Limit=2)
    assert (first["StreamNames"], first["HasMoreStreams"]) == (["a", "b"], True)
    assert world.call("ListStreams", NextToken=first["NextToken"])["StreamNames"] == ["c"]
    assert world.call("ListStreams", ExclusiveStartStreamName="b")["StreamNames"] == ["c"]
    world.advance(301)
    assert world.refusal("ListStreams", NextToken=first["NextToken"])[0] == "ExpiredNextTokenException"
    assert world.refusal("ListStreams", NextToken="x")[0] == "InvalidArgumentException"


def test_changing_a_stream_that_is_not_active_is_refused(world: World) -> None:
    world.stream(shards=2)
    world.call("IncreaseStreamRetentionPeriod", StreamName="s", RetentionPeriodHours=25)
    requests: list[tuple[str, dict[str, Any]]] = [
        ("DeleteStream", {}),
        ("SplitShard", {"ShardToSplit": shard_id(0), "NewStartingHashKey": "5"}),
        ("MergeShards", {"ShardToMerge": shard_id(0), "AdjacentShardToMerge": shard_id(1)}),
        ("UpdateShardCount", {"TargetShardCount": 1, "ScalingType": "UNIFORM_SCALING"}),
        ("StartStreamEncryption", {"EncryptionType": "KMS", "KeyId": "alias/aws/kinesis"}),
        ("DecreaseStreamRetentionPeriod", {"RetentionPeriodHours": 24}),
    ]
    for operation, more in requests:
        assert world.refusal(operation, StreamName="s", **more) == (
            "ResourceInUseException",
            "Stream s under account 000000000000 not ACTIVE, instead in state UPDATING",
        )


@pytest.mark.parametrize(
    ("operation", "hours", "message"),
    [
        ("IncreaseStreamRetentionPeriod", 23, "(23 hours) is too short"),
        ("IncreaseStreamRetentionPeriod", 8761, "(8761 hours) is too long"),
        ("IncreaseStreamRetentionPeriod", 30, "Use DecreaseRetentionPeriod API"),
        ("DecreaseStreamRetentionPeriod", 50, "Use IncreaseRetentionPeriod API"),
    ],
)
def test_retention_has_bounds_and_two_ways(world: World, operation: str, hours: int, message: str) -> None:
    world.stream()
    world.call("IncreaseStreamRetentionPeriod", StreamName="s", RetentionPeriodHours=48)
    world.advance(1)
    code, text = world.refusal(operation, StreamName="s", RetentionPeriodHours=hours)
    assert code == "InvalidArgumentException"
    assert message in text


def test_encryption_shows_in_descriptions_and_answers(world: World) -> None:
    world.stream()
    key = {"StreamName": "s", "EncryptionType": "KMS", "KeyId": "alias/aws/kinesis"}
    world.call("StartStreamEncryption", **key)
    assert world.status() == "UPDATING"
    world.advance(1)
    assert world.call("DescribeStream", StreamName="s")["StreamDescription"]["KeyId"] == "alias/aws/kinesis"
    entry = {"Data": "", "PartitionKey": "k"}
    assert world.call("PutRecord", StreamName="s", **entry)["EncryptionType"] == "KMS"
    assert world.call("PutRecords", StreamName="s", Records=[entry])["EncryptionType"] == "KMS"
    records = world.call("GetRecords", ShardIterator=world.iterator())["Records"]
    assert {record["EncryptionType"] for record in records} == {"KMS"}
    world.call("StopStreamEncryption", **key)
    world.advance(1)
    assert world.call("DescribeStream", StreamName="s")["StreamDescription"]["EncryptionType"] == "NONE"


def test_monitoring_is_switched_metric_by_metric(world: World) -> None:
    world.stream()
    answer = world.call("EnableEnhancedMonitoring", StreamName="s", ShardLevelMetrics=["ALL"])
    assert answer["CurrentShardLevelMetrics"] == []
    assert len(answer["DesiredShardLevelMetrics"]) == 7
    answer = world.call("DisableEnhancedMonitoring", StreamName="s", ShardLevelMetrics=["IncomingBytes"])
    assert (len(answer["CurrentShardLevelMetrics"]), len(answer["DesiredShardLevelMetrics"])) == (7, 6)


# -- what is not offered -------------------------------------------------------------------------------------


def test_reading_through_a_consumer_says_what_to_do_instead(world: World) -> None:
    arn = world.stream()
    code, message = world.refusal(
        "SubscribeToShard",
        ConsumerARN=f"{arn}/consumer/c:1",
        ShardId=shard_id(0),
        StartingPosition={"Type": "LATEST"},
    )
    assert code == "UnsupportedOperationException"
    assert "GetRecords" in message


def test_every_operation_of_the_model_is_answered_or_refused_by_name(world: World) -> None:
    assert set(OPERATIONS) <= set(operations())
    for name in set(operations()) - set(OPERATIONS) - {"PutRecords"}:
        code, message = world.refusal(name)
        assert code == "UnsupportedOperationException"
        assert name in message
    assert world.refusal("MakeTea")[0] == "UnknownOperationException"


def test_a_client_that_speaks_cbor_is_told_how_to_speak_json(world: World) -> None:
    headers = {"content-type": "application/x-amz-cbor-1.1"}
    request = Request("POST", "/", "", "Kinesis_20131202.PutRecords", REGION, headers, b"\xbf\xff")
    with pytest.raises(ServiceError, match="AWS_CBOR_ENABLED=false"):
        world.service.handle(request)


def test_a_resource_arn_of_something_else_is_refused(world: World) -> None:
    world.stream()
    for arn in (
        f"arn:aws:kinesis:{REGION}:000000000000:queue/q",
        "arn:aws:kinesis:x:123456789012:stream/none",
    ):
        assert world.refusal("ListTagsForResource", ResourceARN=arn)[0] in (
            "InvalidArgumentException",
            "ResourceNotFoundException",
        )
