"""The search for one record in a stream, whose shards others read, too."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from txnpipe.errors import TxnpipeError
from txnpipe.proof.in_stream import PAUSE_S, Place, StreamSearch

SHARD = "shardId-000000000000"
LAST_HASH = str(2**128 - 1)


class Clock:
    """Time that passes by sleeping."""

    def __init__(self) -> None:
        self.now = 0.0
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.slept.append(seconds)


class Kinesis:
    """A stream of one shard whose reads give the scripted answers, and in the end nothing."""

    def __init__(self, *answers: dict[str, Any] | str, first_iterator: str = "") -> None:
        self.answers = list(answers)
        self.first_iterator = first_iterator
        self.reads = 0

    def get_shard_iterator(self, **_where: Any) -> dict[str, Any]:
        if self.first_iterator:
            raise _error(self.first_iterator, "GetShardIterator")
        return {"ShardIterator": "iterator"}

    def get_records(self, **_request: Any) -> dict[str, Any]:
        self.reads += 1
        answer = self.answers.pop(0) if self.answers else _answer()
        if isinstance(answer, str):
            raise _error(answer, "GetRecords")
        return answer

    def get_paginator(self, _operation: str) -> Any:
        return self

    def paginate(self, **_request: Any) -> list[dict[str, Any]]:
        hashes = {"StartingHashKey": "0", "EndingHashKey": LAST_HASH}
        return [{"Shards": [{"ShardId": SHARD, "HashKeyRange": hashes}]}]


def _error(code: str, operation: str) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": "no"}}, operation)


def _answer(*numbers: int, behind: int = 0) -> dict[str, Any]:
    records = [{"SequenceNumber": str(n), "PartitionKey": "key", "Data": b"%d" % n} for n in numbers]
    return {"Records": records, "NextShardIterator": "next", "MillisBehindLatest": behind}


def _search(kinesis: Kinesis, clock: Clock) -> StreamSearch:
    return StreamSearch(kinesis, "stream", timeout_s=5, clock=clock, sleep=clock.sleep)


THROTTLED = "ProvisionedThroughputExceededException"


def test_a_read_that_finds_the_shard_busy_waits_and_reads_again() -> None:
    clock = Clock()
    search = _search(Kinesis(THROTTLED, THROTTLED, _answer(7)), clock)
    assert search.holds(Place(SHARD, "7")) is True
    assert clock.slept == [PAUSE_S, PAUSE_S]


def test_a_shard_that_stays_busy_ends_in_no_answer_and_not_in_an_error() -> None:
    search = _search(Kinesis(*[THROTTLED] * 100), Clock())
    assert search.holds(Place(SHARD, "7")) is None
    assert search.out_of_time


def test_a_read_may_be_empty_before_the_record_comes() -> None:
    assert _search(Kinesis(_answer(behind=900), _answer(7)), Clock()).holds(Place(SHARD, "7")) is True


@pytest.mark.parametrize("answer", [_answer(8), _answer()])
def test_a_record_that_is_no_longer_there(answer: dict[str, Any]) -> None:
    assert _search(Kinesis(answer), Clock()).holds(Place(SHARD, "7")) is False


@pytest.mark.parametrize("code", ["ResourceNotFoundException", "InvalidArgumentException"])
def test_a_shard_that_is_no_longer_there(code: str) -> None:
    assert _search(Kinesis(first_iterator=code), Clock()).holds(Place(SHARD, "7")) is False


def test_another_error_names_call_and_stream() -> None:
    with pytest.raises(TxnpipeError, match="from the stream stream: GetRecords answered InternalFailure"):
        _search(Kinesis("InternalFailure"), Clock()).holds(Place(SHARD, "7"))


def test_a_record_is_found_by_its_data() -> None:
    kinesis = Kinesis(_answer(1, 2, behind=5), THROTTLED, _answer(behind=3), _answer(3, 4))
    assert _search(kinesis, Clock()).find("key", None, lambda data: data == b"4") == Place(SHARD, "4")


def test_a_search_ends_at_the_tip_of_the_shard() -> None:
    kinesis = Kinesis(_answer(1, 2))
    search = _search(kinesis, Clock())
    assert search.find("key", None, lambda data: data == b"4") is None
    assert kinesis.reads == 2
    assert not search.out_of_time


def test_a_search_ends_in_time_in_a_stream_that_never_ends() -> None:
    search = _search(Kinesis(*[_answer(behind=9)] * 100), Clock())
    assert search.find("key", None, lambda data: True) is None
    assert search.out_of_time
