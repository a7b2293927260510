"""A shard's pace before, at and without a limit, on a clock of its own."""

from __future__ import annotations

import math

from txnpipe.traffic.pacing import SHARD_BYTES_PER_SECOND, ShardPace


def drain(pace: ShardPace, now: float, size: int = 10) -> list[int]:
    """Portions of waiting records until there is no more, or 100 of them."""
    portions: list[int] = []
    while len(portions) < 100 and (allowed := pace.allowance(now, 500)):
        pace.spend(allowed, allowed * size)
        portions.append(allowed)
    return portions


def test_after_the_burst_what_is_not_known_to_be_limited_is_tried_in_small_portions() -> None:
    pace = ShardPace(0.0)
    first, *others = drain(pace, 0.0)
    assert first == 200
    assert others == [50] * 31 + [200] * 8 + [500] * 60
    assert pace.wait(0.0, 500) == 0.0


def test_three_seconds_worth_above_the_limit_lift_it() -> None:
    pace = ShardPace(0.0)
    assert sum(drain(pace, 0.0)[:40]) == 200 + 31 * 50 + 8 * 200
    assert pace.factor == math.inf
    assert pace.allowance(0.0, 100_000) == 100_000
    assert pace.byte_allowance() == math.inf


def test_bytes_lift_it_as_records_do() -> None:
    pace = ShardPace(0.0)
    for _ in range(33):
        assert pace.factor == 1.0
        pace.spend(1, SHARD_BYTES_PER_SECOND // 10)
    assert pace.factor == math.inf


def test_after_a_refusal_records_go_a_tenth_of_a_second_at_a_time_and_just_below_the_limit() -> None:
    pace, sent, now = ShardPace(0.0), 0, 0.0
    drain(pace, 0.0)
    pace.refused(0.0)
    assert pace.allowance(0.0, 500) == 0
    while now < 20.0:
        allowed = pace.allowance(now, 500)
        assert allowed == 0 or allowed >= 99
        pace.spend(allowed, allowed * 10)
        sent += allowed
        now += pace.wait(now, 500)
    assert 0.985 * 20_000 < sent <= 0.995 * 20_000


def test_further_refusals_slow_it_down_for_a_while() -> None:
    pace = ShardPace(0.0)
    for _ in range(3):
        pace.refused(0.0)
    assert pace.factor < 0.5
    for step in range(100):
        pace.allowance(step / 10, 0)
    assert pace.factor == 0.995


def test_few_waiting_records_do_not_wait_for_a_portion() -> None:
    pace = ShardPace(0.0)
    pace.refused(0.0)
    assert pace.allowance(0.005, 3) == 3
