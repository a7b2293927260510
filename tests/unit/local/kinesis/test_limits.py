from __future__ import annotations

from txnpipe.local.kinesis.limits import MEBIBYTE, CallRates, ShardLimits, TokenBucket


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_shard_takes_1000_records_at_once_and_1000_more_each_second() -> None:
    clock = Clock()
    limits = ShardLimits(clock)
    assert sum(limits.admit(10) for _ in range(3000)) == 1000
    clock.now = 0.5
    assert sum(limits.admit(10) for _ in range(3000)) == 500


def test_a_shard_takes_one_mebibyte_a_second() -> None:
    clock = Clock()
    limits = ShardLimits(clock)
    assert sum(limits.admit(MEBIBYTE // 4) for _ in range(10)) == 4
    clock.now = 0.25
    assert sum(limits.admit(MEBIBYTE // 4) for _ in range(10)) == 1


def test_a_record_refused_for_its_size_costs_no_record() -> None:
    limits = ShardLimits(Clock())
    assert limits.admit(MEBIBYTE)
    assert not any(limits.admit(10) for _ in range(2000))
    bucket = TokenBucket(1, 5, Clock())
    assert bucket.take(5)
    bucket.give_back(2)
    assert bucket.take(2)


def test_a_record_larger_than_a_second_passes_when_the_shard_was_idle_and_is_paid_back() -> None:
    clock = Clock()
    limits = ShardLimits(clock)
    assert limits.admit(10 * MEBIBYTE)
    clock.now = 9.0
    assert not limits.admit(1)
    clock.now = 9.1
    assert limits.admit(1)


def test_a_shard_is_read_five_times_a_second() -> None:
    clock = Clock()
    limits = ShardLimits(clock)
    assert sum(limits.admit_read() for _ in range(20)) == 5
    clock.now = 0.2
    assert sum(limits.admit_read() for _ in range(20)) == 1


def test_a_large_read_is_paid_for_by_the_next_ones_at_two_mebibytes_a_second() -> None:
    clock = Clock()
    limits = ShardLimits(clock)
    assert limits.admit_read()
    limits.count_read(10 * MEBIBYTE)
    clock.now = 4.0
    assert not limits.admit_read()
    clock.now = 4.1
    assert limits.admit_read()


def test_calls_are_counted_for_the_account_in_a_region_or_for_a_stream() -> None:
    rates = CallRates(Clock())
    assert sum(rates.admit("CreateStream", "us-east-1", name) for name in "abcdefgh") == 5
    assert rates.admit("CreateStream", "eu-west-1", "a")
    assert sum(rates.admit("ListStreamConsumers", "us-east-1", "a") for _ in range(9)) == 5
    assert rates.admit("ListStreamConsumers", "us-east-1", "b")
    assert all(rates.admit("GetRecords", "us-east-1", "a") for _ in range(100))
