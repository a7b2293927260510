"""PutRecord and PutRecords: routing, rules, limits."""

from __future__ import annotations

from hashlib import md5

import pytest

from tests.unit.local.kinesis.conftest import World, encoded, shard_id
from txnpipe.local.kinesis.keyspace import END
from txnpipe.local.kinesis.store import pack
from txnpipe.local.service import ServiceError

MIB = 1 << 20


# -- writing -------------------------------------------------------------------------------------------------


def test_records_go_to_the_shard_that_the_md5_of_their_key_says(world: World) -> None:
    world.stream(shards=4)
    ranges = {
        shard["ShardId"]: (
            int(shard["HashKeyRange"]["StartingHashKey"]),
            int(shard["HashKeyRange"]["EndingHashKey"]),
        )
        for shard in world.shards()
    }
    keys = [f"key {index} é" for index in range(200)]
    for key, answer in zip(
        keys, world.entries(*({"Data": "", "PartitionKey": key} for key in keys)), strict=True
    ):
        low, high = ranges[answer["ShardId"]]
        assert low <= int.from_bytes(md5(key.encode()).digest()) <= high


def test_an_explicit_hash_key_overrides_the_partition_key(world: World) -> None:
    world.stream(shards=2)
    answers = world.entries(
        *(
            {"Data": "", "PartitionKey": "k", "ExplicitHashKey": str(key)}
            for key in (0, END // 2 - 1, END // 2, END - 1)
        ),
    )
    assert [answer["ShardId"] for answer in answers] == [shard_id(0)] * 2 + [shard_id(1)] * 2
    assert world.call("PutRecord", StreamName="s", Data="", PartitionKey="k", ExplicitHashKey=str(END - 1))[
        "ShardId"
    ] == shard_id(1)


@pytest.mark.parametrize("operation", ["PutRecord", "PutRecords"])
@pytest.mark.parametrize(
    ("key", "code"),
    [
        (str(END), "InvalidArgumentException"),
        ("-1", "ValidationException"),
        ("007", "ValidationException"),
        ("x", "ValidationException"),
        ("9" * 5000, "ValidationException"),
    ],
)
def test_a_hash_key_out_of_range_or_shape_is_refused(
    world: World, operation: str, key: str, code: str
) -> None:
    world.stream()
    entry = {"Data": "", "PartitionKey": "k", "ExplicitHashKey": key}
    body = entry if operation == "PutRecord" else {"Records": [entry]}
    assert world.refusal(operation, StreamName="s", **body)[0] == code


def test_order_within_a_key_is_the_order_of_the_request(world: World) -> None:
    world.stream()
    texts = [str(index) for index in range(500)]
    numbers = world.put(*texts, key="one")
    assert numbers == sorted(numbers)
    assert world.read() == texts


def test_a_stream_is_named_by_name_or_by_arn_and_both_must_agree(world: World) -> None:
    arn = world.stream()
    entry = {"Data": "", "PartitionKey": "k"}
    assert world.call("PutRecord", StreamARN=arn, **entry)
    assert world.call("PutRecords", StreamARN=arn, StreamName="s", Records=[entry])
    assert world.refusal("PutRecord", StreamARN=arn, StreamName="t", **entry)[0] == "InvalidArgumentException"
    assert world.refusal("PutRecords", Records=[entry])[0] == "InvalidArgumentException"
    other = arn.replace("000000000000", "111111111111")
    assert world.refusal("PutRecord", StreamARN=other, **entry)[0] == "ResourceNotFoundException"


@pytest.mark.parametrize(
    ("records", "message"),
    [
        (
            [],
            "Value at 'records' failed to satisfy constraint: Member must have length greater than or"
            " equal to 1",
        ),
        ([{"Data": "", "PartitionKey": "k"}] * 501, "less than or equal to 500"),
        ([{"Data": ""}], "Value null at 'records.1.member.partitionKey'"),
        ([{"Data": "", "PartitionKey": ""}], "greater than or equal to 1"),
        ([{"Data": "", "PartitionKey": "k" * 257}], "less than or equal to 256"),
        ([{"PartitionKey": "k"}], "Value null at 'records.1.member.data' failed to satisfy constraint"),
    ],
)
def test_a_put_that_breaks_a_rule_is_refused_as_a_whole_in_words_of_aws(
    world: World, records: list[object], message: str
) -> None:
    world.stream()
    code, text = world.refusal("PutRecords", StreamName="s", Records=records)
    assert code == "ValidationException"
    assert message in text
    assert world.read() == []


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"[]",
        b'{"StreamName": "s", "Records": {}}',
        b'{"StreamName": "s", "Records": [{"Data": "!", "PartitionKey": "k"}]}',
        b'{"StreamName": "s", "Records": [{"Data": "YQ", "PartitionKey": "k"}]}',
        b'{"StreamName": "s", "Records": [{"Data": "\xc3\xa9", "PartitionKey": "k"}]}',
        b'{"StreamName": "s", "Records": [{"Data": "", "PartitionKey": 7}]}',
        b'{"StreamName": "s", "Records": [{"Data": "", "PartitionKey": "\\ud800"}]}',
        b'{"StreamName": "s", "Records": [{"Data": "", "PartitionKey": "\xff"}]}',
        b'{"StreamName": 7, "Records": [{"Data": "", "PartitionKey": "k"}]}',
    ],
)
def test_what_is_no_request_at_all_is_a_serialization_error(world: World, body: bytes) -> None:
    world.stream()
    with pytest.raises(ServiceError) as caught:
        world.send("PutRecords", body)
    assert caught.value.code == "SerializationException"


def test_a_record_may_be_as_large_as_the_stream_allows_with_its_key(world: World) -> None:
    world.stream()
    fits, too_long = encoded("x" * (MIB - 1)), encoded("x" * MIB)
    world.entries({"Data": fits, "PartitionKey": "k"})
    assert (
        "less than or equal to 1048576"
        in world.refusal("PutRecords", StreamName="s", Records=[{"Data": too_long, "PartitionKey": "k"}])[1]
    )
    assert (
        world.refusal("PutRecord", StreamName="s", Data=too_long, PartitionKey="k")[0]
        == "ValidationException"
    )
    world.call(
        "UpdateMaxRecordSize",
        StreamARN=world.call("DescribeStream", StreamName="s")["StreamDescription"]["StreamARN"],
        MaxRecordSizeInKiB=2048,
    )
    world.advance(1)
    world.call("PutRecord", StreamName="s", Data=too_long, PartitionKey="k")


def test_all_records_of_a_put_together_are_at_most_10_mib(world: World) -> None:
    world.stream()
    entry = {"Data": encoded("x" * (MIB - 1)), "PartitionKey": "k"}
    assert len(world.entries(*[entry] * 10)) == 10
    assert world.refusal("PutRecords", StreamName="s", Records=[entry] * 11) == (
        "InvalidArgumentException",
        "Records size exceeds 10 MB limit",
    )


def test_a_dry_run_stores_nothing_and_says_it_would_have_worked(world: World) -> None:
    world.stream()
    entry = {"Data": "", "PartitionKey": "k"}
    assert world.refusal("PutRecord", StreamName="s", DryRun=True, **entry)[0] == "DryRunOperationException"
    assert (
        world.refusal("PutRecords", StreamName="s", Records=[entry], DryRun=True)[0]
        == "DryRunOperationException"
    )
    assert world.read() == []


def test_ordering_by_an_earlier_number_is_accepted_and_checked(world: World) -> None:
    world.stream()
    number = world.put("a")[0]
    entry = {"StreamName": "s", "Data": "", "PartitionKey": "k"}
    assert world.call("PutRecord", SequenceNumberForOrdering=number, **entry)["SequenceNumber"] > number
    assert (
        world.refusal("PutRecord", SequenceNumberForOrdering="12", **entry)[0] == "InvalidArgumentException"
    )


# -- limits --------------------------------------------------------------------------------------------------


def test_a_full_shard_refuses_single_records_of_a_put_that_is_answered_with_200(limited: World) -> None:
    limited.stream(shards=2)
    low = {"Data": "", "PartitionKey": "k", "ExplicitHashKey": "0"}
    high = {"Data": "", "PartitionKey": "k", "ExplicitHashKey": str(END - 1)}
    for _ in range(2):
        assert not any("ErrorCode" in answer for answer in limited.entries(*[low] * 500))
    answer = limited.call("PutRecords", StreamName="s", Records=[low, high, low])
    assert answer["FailedRecordCount"] == 2
    assert answer["Records"][0] == {
        "ErrorCode": "ProvisionedThroughputExceededException",
        "ErrorMessage": "Rate exceeded for shard shardId-000000000000 in stream s under account"
        " 000000000000.",
    }
    assert answer["Records"][1]["ShardId"] == shard_id(1)
    assert limited.refusal("PutRecord", StreamName="s", **low)[0] == "ProvisionedThroughputExceededException"
    limited.advance(0.5)
    answers = limited.entries(*[low] * 500), limited.entries(*[low] * 500)
    assert [sum("ErrorCode" in answer for answer in part) for part in answers] == [0, 500]


def test_more_shards_take_more(limited: World) -> None:
    limited.stream()
    assert _accepted(limited, 3000) == 1000
    limited.call("UpdateShardCount", StreamName="s", TargetShardCount=2, ScalingType="UNIFORM_SCALING")
    limited.advance(1)
    assert 1900 <= _accepted(limited, 3000) <= 2000


def _accepted(world: World, count: int) -> int:
    entries = [{"Data": "", "PartitionKey": str(index)} for index in range(count)]
    answers = [world.entries(*entries[start : start + 500]) for start in range(0, count, 500)]
    return sum("SequenceNumber" in answer for part in answers for answer in part)


def test_a_shard_is_read_five_times_a_second_over_the_api_and_freely_by_pollers(limited: World) -> None:
    arn = limited.stream()
    limited.put("a")
    iterator = limited.iterator()
    for _ in range(5):
        limited.call("GetRecords", ShardIterator=iterator)
    assert limited.refusal("GetRecords", ShardIterator=iterator) == (
        "ProvisionedThroughputExceededException",
        "Rate exceeded for shard shardId-000000000000 in stream s under account 000000000000.",
    )
    for _ in range(50):
        assert limited.engine.read(arn, shard_id(0), after=None, limit=1, max_bytes=1).records
    limited.advance(0.2)
    limited.call("GetRecords", ShardIterator=iterator)


def test_iterators_are_given_five_times_a_second_for_each_shard(limited: World) -> None:
    limited.stream(shards=2)
    for _ in range(5):
        limited.iterator(0)
    request = {"StreamName": "s", "ShardId": shard_id(0), "ShardIteratorType": "LATEST"}
    assert limited.refusal("GetShardIterator", **request)[0] == "ProvisionedThroughputExceededException"
    limited.iterator(1)


def test_without_limits_nothing_is_refused(world: World) -> None:
    world.stream()
    assert _accepted(world, 5000) == 5000


# -- while the shards change ---------------------------------------------------------------------------------


def test_a_put_that_a_reshard_overtakes_goes_to_the_children(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.stream()

    def overtaken(keys: list[str], data: list[str]) -> list[tuple[int, str]]:
        monkeypatch.undo()
        world.scale(2)
        return pack(keys, data)

    monkeypatch.setattr("txnpipe.local.kinesis.stream.pack", overtaken)
    answers = world.entries(
        {"Data": "", "PartitionKey": "k", "ExplicitHashKey": "0"},
        {"Data": "", "PartitionKey": "k", "ExplicitHashKey": str(END - 1)},
    )
    assert [answer["ShardId"] for answer in answers] == [shard_id(1), shard_id(2)]
    assert world.read(0) == []
