"""GetShardIterator and GetRecords: where reading begins, goes on and ends."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from tests.unit.local.kinesis.conftest import World, encoded, shard_id
from txnpipe.local.kinesis.keyspace import END

# -- iterators -----------------------------------------------------------------------------------------------


def test_every_iterator_type_begins_where_it_says(world: World) -> None:
    world.stream()
    begun = world.now
    numbers = world.put("a", "b")
    world.advance(10)
    world.put("c")
    latest = world.iterator(kind="LATEST")
    world.put("d")
    assert world.read(kind="TRIM_HORIZON") == ["a", "b", "c", "d"]
    assert world.read(kind="AT_SEQUENCE_NUMBER", StartingSequenceNumber=numbers[1]) == ["b", "c", "d"]
    assert world.read(kind="AFTER_SEQUENCE_NUMBER", StartingSequenceNumber=numbers[1]) == ["c", "d"]
    assert world.read(kind="AT_TIMESTAMP", Timestamp=begun) == ["a", "b", "c", "d"]
    assert world.read(kind="AT_TIMESTAMP", Timestamp=begun + 0.5) == ["c", "d"]
    records = world.call("GetRecords", ShardIterator=latest)["Records"]
    assert [record["PartitionKey"] for record in records] == ["d"]


def test_the_start_of_a_shard_can_be_used_as_a_sequence_number(world: World) -> None:
    world.stream()
    world.put("a")
    start = world.shards()[0]["SequenceNumberRange"]["StartingSequenceNumber"]
    assert world.read(kind="AT_SEQUENCE_NUMBER", StartingSequenceNumber=start) == ["a"]
    assert world.read(kind="AFTER_SEQUENCE_NUMBER", StartingSequenceNumber=start) == ["a"]


def test_iterators_lead_through_a_shard_page_by_page_and_survive_a_restart(world: World) -> None:
    world.stream()
    world.put(*(str(index) for index in range(250)))
    iterator, seen = world.iterator(), []
    for _ in range(4):
        answer = world.call("GetRecords", ShardIterator=iterator, Limit=100)
        seen += [record["PartitionKey"] for record in answer["Records"]]
        iterator = answer["NextShardIterator"]
        assert len(iterator) <= 512
        world.restart()
    assert seen == [str(index) for index in range(250)]
    assert answer["MillisBehindLatest"] == 0
    world.put("later")
    assert len(world.call("GetRecords", ShardIterator=iterator)["Records"]) == 1


def test_one_answer_holds_at_most_10_mib(world: World) -> None:
    world.stream()
    entry = {"Data": encoded("x" * 1_000_000), "PartitionKey": "k"}
    world.entries(*[entry] * 10)
    world.entries(*[entry] * 5)
    answer = world.call("GetRecords", ShardIterator=world.iterator())
    assert len(answer["Records"]) == 10
    assert len(world.call("GetRecords", ShardIterator=answer["NextShardIterator"])["Records"]) == 5


def test_an_iterator_expires_after_five_minutes(world: World) -> None:
    world.stream()
    iterator = world.iterator()
    world.advance(300)
    world.call("GetRecords", ShardIterator=iterator)
    world.advance(1)
    code, message = world.refusal("GetRecords", ShardIterator=iterator)
    assert code == "ExpiredIteratorException"
    assert "UTC 2023 while right now it is" in message


def test_an_iterator_of_a_deleted_stream_does_not_read_its_namesake(world: World) -> None:
    world.stream()
    iterator = world.iterator()
    world.call("DeleteStream", StreamName="s")
    world.advance(1)
    world.stream()
    assert world.refusal("GetRecords", ShardIterator=iterator)[0] == "ResourceNotFoundException"


@pytest.mark.parametrize("iterator", ["x", "AAAA", encoded("[]"), encoded('["a",1,0,"x",5]'), "é"])
def test_a_made_up_iterator_is_invalid(world: World, iterator: str) -> None:
    assert world.refusal("GetRecords", ShardIterator=iterator) == (
        "InvalidArgumentException",
        "Invalid ShardIterator.",
    )


@pytest.mark.parametrize(
    ("kind", "more", "message"),
    [
        ("AT_SEQUENCE_NUMBER", {}, "Request specified AT_SEQUENCE_NUMBER and no StartingSequenceNumber."),
        (
            "LATEST",
            {"StartingSequenceNumber": "1"},
            "Request specified LATEST and also a StartingSequenceNumber.",
        ),
        ("AT_TIMESTAMP", {}, "Must specify timestampInMillis"),
        (
            "AT_TIMESTAMP",
            {"Timestamp": 1_800_000_000.0},
            "cannot be greater than the currentTimestampInMillis",
        ),
        (
            "AT_SEQUENCE_NUMBER",
            {"StartingSequenceNumber": "1"},
            "StartingSequenceNumber 1 used in GetShardIterator",
        ),
    ],
)
def test_what_an_iterator_begins_with_must_fit_its_type(
    world: World, kind: str, more: dict[str, Any], message: str
) -> None:
    world.stream()
    code, text = world.refusal(
        "GetShardIterator", StreamName="s", ShardId=shard_id(0), ShardIteratorType=kind, **more
    )
    assert code == "InvalidArgumentException"
    assert message in text


def test_a_number_of_another_shard_or_stream_is_refused_with_its_reason(world: World) -> None:
    world.stream(shards=2)
    number = world.entries({"Data": "", "PartitionKey": "k", "ExplicitHashKey": "0"})[0]["SequenceNumber"]
    request = {
        "StreamName": "s",
        "ShardIteratorType": "AFTER_SEQUENCE_NUMBER",
        "StartingSequenceNumber": number,
    }
    assert world.refusal("GetShardIterator", ShardId=shard_id(1), **request)[1] == (
        "Invalid StartingSequenceNumber. It encodes shardId-000000000000, while it was used in a call to a"
        " shard with shardId-000000000001"
    )
    world.advance(1000)
    world.stream("later")
    request["StreamName"] = "later"
    assert (
        "did not come from this stream"
        in world.refusal("GetShardIterator", ShardId=shard_id(0), **request)[1]
    )
    assert world.refusal("GetShardIterator", ShardId=shard_id(5), **request) == (
        "ResourceNotFoundException",
        "Could not find shard shardId-000000000005 in stream later under account 000000000000.",
    )


# -- after a reshard -----------------------------------------------------------------------------------------


def test_a_closed_shard_ends_with_its_children_and_no_next_iterator(world: World) -> None:
    world.stream()
    world.put("a", "b")
    iterator = world.iterator()
    world.call("UpdateShardCount", StreamName="s", TargetShardCount=2, ScalingType="UNIFORM_SCALING")
    world.put("c")  # while UPDATING
    world.advance(1)
    answer = world.call("GetRecords", ShardIterator=iterator, Limit=2)
    assert "ChildShards" not in answer
    answer = world.call("GetRecords", ShardIterator=answer["NextShardIterator"])
    assert [record["PartitionKey"] for record in answer["Records"]] == ["c"]
    assert "NextShardIterator" not in answer
    assert [(child["ShardId"], child["ParentShards"]) for child in answer["ChildShards"]] == [
        (shard_id(1), [shard_id(0)]),
        (shard_id(2), [shard_id(0)]),
    ]
    assert answer["ChildShards"][1]["HashKeyRange"] == {
        "StartingHashKey": str(END // 2),
        "EndingHashKey": str(END - 1),
    }


def test_records_go_to_the_children_with_larger_numbers(world: World) -> None:
    world.stream()
    old = world.put("a")[0]
    world.call("SplitShard", StreamName="s", ShardToSplit=shard_id(0), NewStartingHashKey=str(END // 3))
    world.advance(1)
    answer = world.entries({"Data": "", "PartitionKey": "a"})[0]
    assert answer["ShardId"] in (shard_id(1), shard_id(2))
    parent = world.shards()[0]["SequenceNumberRange"]
    assert old < parent["EndingSequenceNumber"] < answer["SequenceNumber"]


def test_an_answer_is_json_that_any_parser_reads(world: World) -> None:
    world.stream()
    world.call("PutRecord", StreamName="s", Data=encoded("☃"), PartitionKey='"\\☃')
    answer = world.call("GetRecords", ShardIterator=world.iterator())
    assert answer["Records"][0]["PartitionKey"] == '"\\☃'
    assert orjson.loads(orjson.dumps(answer)) == answer
