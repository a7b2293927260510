"""Axes: round, in order, and with room for every value."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from txnpipe.proof.report.scales import Scale, duration, for_latency, from_zero, of_time, short_number

VALUES = st.lists(st.floats(0, 1e12, allow_nan=False), max_size=20)


def holds(scale: Scale, values: list[float]) -> None:
    assert all(-1e-9 <= scale.place(value) <= 1 + 1e-9 for value in values)
    assert list(scale.ticks) == sorted(set(scale.ticks))
    assert scale.place(scale.ticks[0]) == 0


@given(VALUES)
def test_an_axis_from_zero_holds_every_value(values: list[float]) -> None:
    tiny = [value for value in values if value == 0 or value > 1e-3]
    scale = from_zero(tiny)
    holds(scale, tiny)
    assert 3 <= len(scale.ticks) <= 6


@given(st.lists(st.floats(0, 1e8).filter(lambda v: v == 0 or v > 1e-3), max_size=20))
def test_an_axis_for_latency_holds_every_value(values: list[float]) -> None:
    holds(for_latency(values), values)


def test_latencies_far_apart_are_drawn_in_powers_of_ten() -> None:
    scale = for_latency([50.0, 90.0, 4000.0])
    assert scale.logarithmic
    assert scale.ticks == (10.0, 100.0, 1000.0, 10_000.0)
    assert not for_latency([50.0, 90.0, 400.0]).logarithmic


@given(st.floats(0.1, 1e9))
def test_an_axis_of_time_has_few_ticks(span_s: float) -> None:
    scale = of_time(span_s)
    assert 1 <= len(scale.ticks) <= 7
    assert scale.ticks[-1] <= span_s + 0.001


def test_numbers_of_an_axis_are_short() -> None:
    assert [short_number(n) for n in (0, 0.5, 2.5, 1200, 15_000, 250_000, 2_500_000, 3e9)] == [
        "0", "0.5", "2.5", "1,200", "15k", "250k", "2.5M", "3G",
    ]  # fmt: skip


def test_durations_have_the_unit_that_suits_them() -> None:
    assert [duration(s) for s in (0, 0.25, 29.7, 90, 120, 900, 5000, 7200, 10_000, 172_800)] == [
        "0 s", "0.25 s", "29.7 s", "90 s", "2 min", "15 min", "83.3 min", "2 h", "2.78 h", "2 d",
    ]  # fmt: skip
