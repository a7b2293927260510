"""Pacing by the user's rate."""

from __future__ import annotations

import pytest

from txnpipe.traffic.pacing import RatePace


@pytest.mark.parametrize("rate", [0.5, 7.0, 100.0, 12_345.0])
def test_the_rate_is_kept_over_time(rate: float) -> None:
    pace, now, sent = RatePace(rate, 0.0), 0.0, 0
    while now < 20:
        allowed = pace.allowance(now)
        pace.spend(allowed)
        sent += allowed
        now += pace.wait() if not allowed else 0.01
    assert sent == pytest.approx(rate * 20, rel=0.02, abs=1)


def test_at_most_a_second_is_caught_up_on() -> None:
    pace = RatePace(100, 0.0)
    assert pace.allowance(60.0) == 100


def test_without_a_rate_everything_passes_at_once() -> None:
    pace = RatePace(None, 0.0)
    assert pace.allowance(0.0) > 1_000_000
    assert pace.wait() == 0.0
