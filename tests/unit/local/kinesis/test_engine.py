from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.local.kinesis.conftest import START, World, decoded, shard_id
from txnpipe.errors import TxnpipeError
from txnpipe.local.kinesis.engine import KinesisEngine
from txnpipe.local.service import ServiceError


def _all(world: World, arn: str, shard: int = 0, after: str | None = None) -> list[str]:
    result = world.engine.read(arn, shard_id(shard), after=after, limit=100_000, max_bytes=1 << 30)
    return [decoded(record.data) for record in result.records]


# -- life of a stream ----------------------------------------------------------------------------------------


def test_a_stream_is_creating_then_active_then_deleting_then_gone(world: World) -> None:
    world.call("CreateStream", StreamName="s", ShardCount=2)
    assert world.status() == "CREATING"
    assert world.shards() == []
    assert (
        world.refusal("PutRecord", StreamName="s", Data="", PartitionKey="k")[0]
        == "ResourceNotFoundException"
    )
    world.advance(1)
    assert world.status() == "ACTIVE"
    assert len(world.shards()) == 2
    world.call("DeleteStream", StreamName="s")
    assert world.status() == "DELETING"
    world.advance(1)
    assert world.refusal("DescribeStreamSummary", StreamName="s") == (
        "ResourceNotFoundException",
        "Stream s under account 000000000000 not found.",
    )


def test_a_deleted_stream_leaves_no_file_and_its_name_is_free(world: World, tmp_path: Path) -> None:
    world.stream()
    old = world.put("a")[0]
    world.call("DeleteStream", StreamName="s")
    world.advance(1)
    assert list((tmp_path / "kinesis").iterdir()) == []
    world.stream()
    assert world.put("b")[0] > old
    assert world.read() == ["b"]


@pytest.mark.parametrize("name", ["..", ".", ".hidden", "CON", "a" * 128, "A", "a"])
def test_any_name_that_aws_allows_is_safe_on_disk(world: World, tmp_path: Path, name: str) -> None:
    world.stream(name)
    world.put("x", stream=name)
    world.restart()
    assert world.read(stream=name) == ["x"]
    assert {path.name for path in tmp_path.iterdir()} == {"kinesis"}


def test_streams_of_one_name_in_two_regions_are_two(world: World) -> None:
    world.stream()
    world.call("CreateStream", region="eu-west-1", StreamName="s", ShardCount=3)
    world.advance(1)
    world.put("a")
    assert world.call("ListStreams", region="eu-west-1")["StreamNames"] == ["s"]
    assert len(world.call("ListShards", region="eu-west-1", StreamName="s")["Shards"]) == 3
    assert len(world.shards()) == 1


# -- restarts ------------------------------------------------------------------------------------------------


def test_everything_is_there_after_a_restart(world: World) -> None:
    arn = world.stream(shards=2, Tags={"team": "fraud"})
    world.put(*"abcdefgh")
    before = (world.shards(), _all(world, arn, 0), _all(world, arn, 1))
    world.restart()
    assert (world.shards(), _all(world, arn, 0), _all(world, arn, 1)) == before
    assert world.call("ListTagsForStream", StreamName="s")["Tags"] == [{"Key": "team", "Value": "fraud"}]


def test_a_crash_loses_nothing_that_was_acknowledged(world: World) -> None:
    arn = world.stream()
    world.put("a", "b")
    world.crash()
    assert _all(world, arn) == ["a", "b"]


@pytest.mark.parametrize("status", ["CREATING", "UPDATING", "DELETING"])
def test_a_crash_in_a_transition_is_finished_by_the_next_start(world: World, status: str) -> None:
    if status == "CREATING":
        world.call("CreateStream", StreamName="s", ShardCount=1)
    else:
        world.stream()
    if status == "UPDATING":
        world.call("UpdateShardCount", StreamName="s", TargetShardCount=2, ScalingType="UNIFORM_SCALING")
    if status == "DELETING":
        world.call("DeleteStream", StreamName="s")
    assert world.status() == status
    world.crash()
    if status == "DELETING":
        assert world.call("ListStreams")["StreamNames"] == []
    else:
        assert world.status() == "ACTIVE"
        assert len(world.shards()) == (3 if status == "UPDATING" else 1)


def test_a_stream_half_made_or_half_deleted_is_cleared_away(world: World, tmp_path: Path) -> None:
    for name in (".new-1", ".deleted-2"):
        (tmp_path / "kinesis" / name).mkdir()
        (tmp_path / "kinesis" / name / "stream.sqlite").touch()
    world.restart()
    assert list((tmp_path / "kinesis").iterdir()) == []


def test_a_file_that_is_no_database_is_named_with_a_way_out(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / "stream.sqlite").write_bytes(b"not a database, but long enough to look like one" * 40)
    with pytest.raises(TxnpipeError) as caught:
        KinesisEngine(tmp_path, enforce_limits=False).open()
    assert "local reset" in caught.value.fix
    assert isinstance(caught.value.__cause__, sqlite3.Error)


@given(st.lists(st.sampled_from(["put", "restart", "crash", "back", "reshard", "trim"]), max_size=14))
@settings(max_examples=25)
def test_sequence_numbers_only_grow_whatever_happens(
    tmp_path_factory: pytest.TempPathFactory, steps: list[str]
) -> None:
    world = World(tmp_path_factory.mktemp("engine"))
    world.stream()
    numbers = world.put("first")
    for step in steps:
        if step == "restart":
            world.restart()
        elif step == "crash":
            world.crash()
        elif step == "back":
            world.now -= 100_000
        elif step == "trim":
            world.now += 200_000
            world.engine.maintain()
        elif step == "reshard":
            count = len(world.shards(ShardFilter={"Type": "AT_LATEST"}))
            world.call(
                "UpdateShardCount",
                StreamName="s",
                TargetShardCount=3 - count,
                ScalingType="UNIFORM_SCALING",
            )
            world.advance(1)
        numbers += world.put("x", "y", key="k")
    assert numbers == sorted(numbers)
    assert len(set(numbers)) == len(numbers)
    assert {len(number) for number in numbers} == {56}
    world.engine.stop()


# -- the API for parts in the same process -------------------------------------------------------------------


def test_read_continues_strictly_after_a_number(world: World) -> None:
    arn = world.stream()
    numbers = world.put("a", "b", "c")
    result = world.engine.read(arn, shard_id(0), after=numbers[0], limit=1, max_bytes=1 << 20)
    assert [(r.sequence_number, r.partition_key, decoded(r.data)) for r in result.records] == [
        (numbers[1], "b", "b")
    ]
    assert not result.end_of_shard
    assert _all(world, arn, after=numbers[2]) == []


def test_how_far_behind_a_reader_is_counts_from_its_last_record(world: World) -> None:
    arn = world.stream()
    world.put("a")
    world.advance(2)
    world.put("b")
    world.advance(3)
    first = world.engine.read(arn, shard_id(0), after=None, limit=1, max_bytes=1 << 20)
    assert first.millis_behind_latest == 5000
    last = first.records[0].sequence_number
    assert (
        world.engine.read(arn, shard_id(0), after=last, limit=9, max_bytes=1 << 20).millis_behind_latest == 0
    )


def test_latest_is_the_newest_record_or_none(world: World) -> None:
    arn = world.stream()
    assert world.engine.latest(arn, shard_id(0)) is None
    numbers = world.put("a", "b")
    assert world.engine.latest(arn, shard_id(0)) == numbers[1]
    world.restart()
    assert world.engine.latest(arn, shard_id(0)) == numbers[1]


def test_sequence_at_gives_the_place_before_the_first_record_since_then(world: World) -> None:
    arn = world.stream()
    begun = world.now
    world.put("a", "b")
    world.advance(10)
    world.put("c", "d")
    for timestamp, expected in [
        (begun - 5, ["a", "b", "c", "d"]),
        (begun, ["a", "b", "c", "d"]),
        (begun + 1, ["c", "d"]),
        (begun + 10, ["c", "d"]),
        (begun + 11, []),
    ]:
        position = world.engine.sequence_at(arn, shard_id(0), timestamp)
        assert _all(world, arn, after=position) == expected


@given(st.lists(st.integers(-50, 50), min_size=1, max_size=12), st.integers(-200, 200))
@settings(max_examples=30)
def test_sequence_at_misses_no_record_even_when_the_clock_steps_back(
    tmp_path_factory: pytest.TempPathFactory, steps: list[int], offset: int
) -> None:
    world = World(tmp_path_factory.mktemp("engine"))
    arn = world.stream()
    arrivals = []
    for index, step in enumerate(steps):
        world.now += step
        arrivals.append(world.now)
        world.put(str(index))
    since = START + offset
    first = next((index for index, arrived in enumerate(arrivals) if arrived >= since), len(steps))
    position = world.engine.sequence_at(arn, shard_id(0), since)
    assert _all(world, arn, after=position) == [str(index) for index in range(first, len(steps))]
    world.engine.stop()


def test_a_gone_stream_an_unknown_shard_and_a_wrong_number_are_typed_errors(world: World) -> None:
    arn = world.stream()
    for stream, shard, after, code in [
        (arn + "x", shard_id(0), None, "ResourceNotFoundException"),
        (arn, shard_id(9), None, "ResourceNotFoundException"),
        (arn, shard_id(0), "17", "InvalidArgumentException"),
    ]:
        with pytest.raises(ServiceError) as caught:
            world.engine.read(stream, shard, after=after, limit=1, max_bytes=1)
        assert caught.value.code == code


def test_waiting_ends_at_once_when_something_is_there_or_the_shard_is_closed(world: World) -> None:
    arn = world.stream()
    assert not world.engine.wait_for_records(arn, shard_id(0), None, 0)
    number = world.put("a")[0]
    assert world.engine.wait_for_records(arn, shard_id(0), None, 0)
    assert not world.engine.wait_for_records(arn, shard_id(0), number, 0)
    world.call("SplitShard", StreamName="s", ShardToSplit=shard_id(0), NewStartingHashKey=str(1 << 127))
    world.advance(1)
    assert world.engine.wait_for_records(arn, shard_id(0), number, 0)


def test_waiting_does_not_take_trimmed_records_for_new_ones(world: World) -> None:
    arn = world.stream()
    world.put("a")
    world.advance(25 * 3600)
    world.engine.maintain()
    assert not world.engine.wait_for_records(arn, shard_id(0), None, 0)
    world.restart()
    assert not world.engine.wait_for_records(arn, shard_id(0), None, 0)
    world.put("b")
    assert world.engine.wait_for_records(arn, shard_id(0), None, 0)


def test_shard_views_tell_the_whole_lineage(world: World) -> None:
    arn = world.stream()
    world.call("SplitShard", StreamName="s", ShardToSplit=shard_id(0), NewStartingHashKey=str(1 << 127))
    world.advance(1)
    world.call("MergeShards", StreamName="s", ShardToMerge=shard_id(1), AdjacentShardToMerge=shard_id(2))
    world.advance(1)
    views = world.engine.shards(arn)
    assert [(view.shard_id, view.parent_id, view.adjacent_parent_id, view.open) for view in views] == [
        (shard_id(0), None, None, False),
        (shard_id(1), shard_id(0), None, False),
        (shard_id(2), shard_id(0), None, False),
        (shard_id(3), shard_id(1), shard_id(2), True),
    ]
    assert views[3].ending_sequence_number is None
    assert views[0].ending_sequence_number is not None
    assert views[0].ending_sequence_number < views[1].starting_sequence_number


# -- retention -----------------------------------------------------------------------------------------------


def test_records_are_trimmed_once_they_are_older_than_the_retention_period(world: World) -> None:
    arn = world.stream()
    world.put("old")
    world.advance(23 * 3600)
    world.put("new")
    world.engine.maintain()
    assert _all(world, arn) == ["old", "new"]
    world.advance(2 * 3600)
    world.engine.maintain()
    assert _all(world, arn) == ["new"]


def test_a_closed_shard_disappears_with_its_last_record_and_its_number_is_not_used_again(
    world: World,
) -> None:
    world.stream()
    world.put("a")
    world.call("UpdateShardCount", StreamName="s", TargetShardCount=2, ScalingType="UNIFORM_SCALING")
    world.advance(1)
    world.advance(25 * 3600)
    world.engine.maintain()
    world.restart()
    assert [shard["ShardId"] for shard in world.shards()] == [shard_id(1), shard_id(2)]
    world.call("UpdateShardCount", StreamName="s", TargetShardCount=1, ScalingType="UNIFORM_SCALING")
    world.advance(1)
    assert world.shards()[-1]["ShardId"] == shard_id(3)


def test_a_shorter_retention_period_takes_effect_at_once_and_a_longer_one_brings_nothing_back(
    world: World,
) -> None:
    arn = world.stream()
    world.call("IncreaseStreamRetentionPeriod", StreamName="s", RetentionPeriodHours=48)
    world.advance(1)
    world.put("a")
    world.advance(30 * 3600)
    world.call("DecreaseStreamRetentionPeriod", StreamName="s", RetentionPeriodHours=24)
    assert _all(world, arn) == []
    world.advance(1)
    world.put("b")
    world.advance(25 * 3600)
    world.call("IncreaseStreamRetentionPeriod", StreamName="s", RetentionPeriodHours=100)
    assert _all(world, arn) == []


def test_the_disk_gets_back_what_expired_records_took(world: World) -> None:
    arn = world.stream()
    for _ in range(30):
        world.put("x" * 1_000_000, key="k")
    world.advance(25 * 3600)
    world.put("new")
    file = world.engine._stores[arn].directory / "stream.sqlite"
    world.engine.maintain()
    assert file.stat().st_size < 20_000_000
    assert _all(world, arn) == ["new"]


# -- a disk that is full -------------------------------------------------------------------------------------


def test_a_transition_that_cannot_be_saved_is_tried_again(world: World) -> None:
    arn = world.stream()
    world.call("UpdateShardCount", StreamName="s", TargetShardCount=2, ScalingType="UNIFORM_SCALING")
    writer = world.engine._stores[arn]._writer
    writer.execute("PRAGMA query_only = ON")
    world.advance(1)
    assert world.status() == "UPDATING"
    writer.execute("PRAGMA query_only = OFF")
    world.advance(1)
    assert world.status() == "ACTIVE"
    assert len(world.shards()) == 3
