"""The histogram against sorted lists."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from txnpipe.traffic.latency import GROWTH, LEAST_MS, Histogram


@given(st.lists(st.floats(LEAST_MS, 600_000), min_size=1, max_size=300))
def test_percentiles_are_within_a_bucket_of_the_true_ones(durations: list[float]) -> None:
    histogram = Histogram()
    for duration in durations:
        histogram.add(duration)
    latency = histogram.latency()
    assert latency is not None
    assert latency.calls == len(durations)
    assert latency.max == max(durations)
    ordered = sorted(durations)
    for share, found in ((0.5, latency.p50), (0.95, latency.p95), (0.99, latency.p99)):
        true = ordered[math.ceil(share * len(ordered)) - 1]
        assert true * (1 - 1e-9) <= found <= true * GROWTH * (1 + 1e-9)


def test_nothing_counted_is_no_latency() -> None:
    assert Histogram().latency() is None


@given(st.floats(0, 1e12))
def test_any_duration_has_a_bucket(duration: float) -> None:
    histogram = Histogram()
    histogram.add(duration)
    latency = histogram.latency()
    assert latency is not None
    assert latency.p50 <= latency.p99 <= latency.max == duration
