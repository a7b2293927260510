"""Splits, merges, UpdateShardCount and the listing of shards."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest

from tests.unit.local.kinesis.conftest import World, shard_id
from txnpipe.local.kinesis.keyspace import END

SCALE: dict[str, Any] = {"StreamName": "s", "ScalingType": "UNIFORM_SCALING"}


# -- shards --------------------------------------------------------------------------------------------------


def test_a_split_has_bounds(world: World) -> None:
    world.stream(shards=2)
    for key in (0, 1, END // 2 - 1, END // 2, END - 1):
        code, message = world.refusal(
            "SplitShard", StreamName="s", ShardToSplit=shard_id(0), NewStartingHashKey=str(key)
        )
        assert code == "InvalidArgumentException"
        assert "is not both greater than one plus the shard's StartingHashKey 0" in message


def test_only_neighbours_that_are_open_are_merged_in_either_order(world: World) -> None:
    world.stream(shards=3)
    assert world.refusal(
        "MergeShards", StreamName="s", ShardToMerge=shard_id(0), AdjacentShardToMerge=shard_id(2)
    ) == (
        "InvalidArgumentException",
        "Shards shardId-000000000000 and shardId-000000000002 in stream s under account 000000000000 are"
        " not an adjacent pair of shards eligible for merging",
    )
    world.call("MergeShards", StreamName="s", ShardToMerge=shard_id(1), AdjacentShardToMerge=shard_id(0))
    world.advance(1)
    merged = world.shards()[-1]
    assert (merged["ParentShardId"], merged["AdjacentParentShardId"]) == (shard_id(0), shard_id(1))
    for operation, more in [
        ("SplitShard", {"ShardToSplit": shard_id(0), "NewStartingHashKey": "100"}),
        ("MergeShards", {"ShardToMerge": shard_id(0), "AdjacentShardToMerge": shard_id(1)}),
    ]:
        code, message = world.refusal(operation, StreamName="s", **more)
        assert code == "InvalidArgumentException"
        assert "is closed" in message


@pytest.mark.parametrize("target", [5, 6, 7, 8, 9, 10])
def test_update_shard_count_leaves_an_even_cover_for_every_target(world: World, target: int) -> None:
    world.stream(shards=5)
    world.scale(target)
    ranges = sorted(
        (int(shard["HashKeyRange"]["StartingHashKey"]), int(shard["HashKeyRange"]["EndingHashKey"]))
        for shard in world.shards(ShardFilter={"Type": "AT_LATEST"})
    )
    assert len(ranges) == target
    assert ranges[0][0] == 0
    assert ranges[-1][1] == END - 1
    assert all(left[1] + 1 == right[0] for left, right in pairwise(ranges))
    widths = [high - low for low, high in ranges]
    assert max(widths) - min(widths) < END >> 60


def test_update_shard_count_answers_with_both_counts(world: World) -> None:
    arn = world.stream()
    assert world.call("UpdateShardCount", TargetShardCount=2, **SCALE) == {
        "StreamName": "s",
        "StreamARN": arn,
        "CurrentShardCount": 1,
        "TargetShardCount": 2,
    }
    assert world.status() == "UPDATING"
    assert len(world.shards()) == 1


@pytest.mark.parametrize(
    ("target", "message"),
    [
        (7, "cannot scale up over double your current open shard count"),
        (1, "cannot scale down below half your current open shard count"),
        (10_001, "cannot be greater than 10000"),
    ],
)
def test_update_shard_count_has_bounds(world: World, target: int, message: str) -> None:
    world.stream(shards=3)
    code, text = world.refusal("UpdateShardCount", TargetShardCount=target, **SCALE)
    assert code == "LimitExceededException"
    assert message in text
    assert f"Current open shard count: 3, Target shard count: {target}" in text


def test_an_eleventh_update_in_24_hours_is_refused_also_after_a_restart(limited: World) -> None:
    limited.stream()
    for index in range(10):
        limited.scale(2 if index % 2 == 0 else 1)
    limited.restart()
    code, message = limited.refusal("UpdateShardCount", TargetShardCount=2, **SCALE)
    assert code == "LimitExceededException"
    assert "10 times on stream s" in message
    limited.advance(86_400)
    limited.scale(2)


def test_shards_of_all_streams_count_against_the_quota_while_they_are_being_made(limited: World) -> None:
    limited.stream("s", 12)
    limited.call("CreateStream", StreamName="t", ShardCount=6)
    assert limited.call("DescribeLimits")["OpenShardCount"] == 18
    for operation, more in [
        ("CreateStream", {"StreamName": "u", "ShardCount": 3}),
        ("UpdateShardCount", {"TargetShardCount": 15, **SCALE}),
    ]:
        code, message = limited.refusal(operation, **more)
        assert code == "LimitExceededException"
        assert "Current shard count for the account: 18. Limit: 20." in message
    limited.advance(1)
    limited.call("SplitShard", StreamName="s", ShardToSplit=shard_id(0), NewStartingHashKey="100")
    assert limited.call("DescribeLimits")["OpenShardCount"] == 19


def test_five_streams_are_made_at_once_at_most(limited: World) -> None:
    for index in range(5):
        limited.call("CreateStream", StreamName=f"s{index}", ShardCount=1)
    limited.ticks += 0.1  # another call is allowed, the streams are not ready
    limited.ticks += 0.1
    code, message = limited.refusal("CreateStream", StreamName="s5", ShardCount=1)
    assert (code, "5 streams in state CREATING" in message) == ("LimitExceededException", True)


def test_calls_come_only_so_often(limited: World) -> None:
    limited.call("DescribeLimits")
    assert limited.refusal("DescribeLimits") == (
        "LimitExceededException",
        "Rate exceeded for DescribeLimits in region us-east-1.",
    )
    limited.advance(1)
    limited.call("DescribeLimits")


def test_shards_are_listed_in_pages_and_after_an_id(world: World) -> None:
    world.stream(shards=5)
    first = world.call("ListShards", StreamName="s", MaxResults=2)
    second = world.call("ListShards", NextToken=first["NextToken"], MaxResults=2)
    assert [shard["ShardId"] for shard in second["Shards"]] == [shard_id(2), shard_id(3)]
    rest = world.call("ListShards", StreamName="s", ExclusiveStartShardId=shard_id(3))
    assert [shard["ShardId"] for shard in rest["Shards"]] == [shard_id(4)]
    assert "NextToken" not in rest
    assert (
        world.refusal("ListShards", StreamName="s", NextToken=first["NextToken"])[0]
        == "InvalidArgumentException"
    )
    world.advance(301)
    assert world.refusal("ListShards", NextToken=first["NextToken"])[0] == "ExpiredNextTokenException"


def test_shard_filters_choose_by_place_in_time(world: World) -> None:
    world.stream()
    begun = world.now
    world.advance(10)
    world.scale(2)
    middle = world.now
    world.advance(10)
    world.scale(1)

    def chosen(kind: str, **more: Any) -> list[int]:
        return [int(shard["ShardId"][-2:]) for shard in world.shards(ShardFilter={"Type": kind, **more})]

    assert chosen("AT_LATEST") == [3]
    assert chosen("AT_TRIM_HORIZON") == [0]
    assert chosen("FROM_TRIM_HORIZON") == [0, 1, 2, 3]
    assert chosen("AFTER_SHARD_ID", ShardId=shard_id(1)) == [2, 3]
    assert chosen("AT_TIMESTAMP", Timestamp=begun + 5) == [0]
    assert chosen("AT_TIMESTAMP", Timestamp=middle + 5) == [1, 2]
    assert chosen("FROM_TIMESTAMP", Timestamp=middle + 5) == [1, 2, 3]
    assert chosen("AT_TIMESTAMP", Timestamp=begun - 1000) == [0]
    for bad in ({"Type": "AT_TIMESTAMP"}, {"Type": "AFTER_SHARD_ID"}, {"Type": "AT_LATEST", "ShardId": "x"}):
        assert world.refusal("ListShards", StreamName="s", ShardFilter=bad)[0] == "InvalidArgumentException"


def test_the_next_page_of_a_filtered_list_is_filtered(world: World) -> None:
    world.stream()
    before = world.now
    world.scale(2)
    world.scale(1)
    since = {"Type": "AT_TIMESTAMP", "Timestamp": before + 1.5}
    first = world.call("ListShards", StreamName="s", ShardFilter=since, MaxResults=1)
    # As the Kinesis Client Library asks on: the token alone names the stream and the filter.
    rest = world.call("ListShards", NextToken=first["NextToken"])
    found = [shard["ShardId"] for shard in [*first["Shards"], *rest["Shards"]]]
    assert found == [shard_id(1), shard_id(2)]
