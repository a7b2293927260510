"""Rates over time: what they add up to, and that exactly this is released, on a simulated clock."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from txnpipe.errors import ExitCode, TxnpipeError
from txnpipe.traffic.rates import MEANS, Form, Rate, RatePace, rate_for

FORMS: tuple[Form, ...] = ("steady", "ramp", "spike", "sine")
rates = st.builds(Rate, st.floats(0.5, 50_000), st.sampled_from(FORMS), st.floats(0.5, 10_000))


def summed(rate: Rate, until: float, steps: int = 20_000) -> float:
    """The integral of a rate by summing it up."""
    width = until / steps
    return math.fsum(rate.at((step + 0.5) * width) for step in range(steps)) * width


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("share", [0.1, 0.3, 0.5, 0.52, 0.9, 1.0])
def test_what_is_released_is_the_integral_of_the_rate(form: Form, share: float) -> None:
    rate = Rate(400.0, form, 60.0)
    assert rate.released(share * 60) == pytest.approx(summed(rate, share * 60), rel=1e-3)


@pytest.mark.parametrize("form", FORMS)
def test_the_asked_rate_is_the_highest_and_the_documented_mean_is_met(form: Form) -> None:
    rate = Rate(1000.0, form, 200.0)
    assert max(rate.at(each / 10) for each in range(2001)) == pytest.approx(1000)
    assert rate.total() == round(1000 * 200 * MEANS[form])
    assert rate.released(10**6) == rate.released(200)
    assert (rate.at(-1), rate.at(201)) == (0, 0)


def test_a_profile_has_its_form() -> None:
    ramp, spike, sine = (Rate(100, form, 100) for form in FORMS if form != "steady")
    assert [ramp.at(t) for t in (0, 25, 100)] == [0, 25, 100]
    assert [spike.at(t) for t in (0, 44, 46, 54, 56)] == [10, 10, 100, 100, 10]
    assert [round(sine.at(t)) for t in (0, 25, 50, 75, 100)] == [0, 50, 100, 50, 0]


@given(rates, st.floats(0, 1))
def test_the_time_of_a_record_is_when_it_is_due(rate: Rate, share: float) -> None:
    assert rate.length_s is not None
    records = rate.released(rate.length_s) * share
    at = rate.reached(records)
    assert 0 <= at <= rate.length_s
    assert rate.released(at + 1e-6) >= records * (1 - 1e-9) - 1e-6
    assert rate.released(at - 2e-6) <= records + 1e-6


@given(rates, st.lists(st.floats(0.001, 1.0), min_size=1, max_size=60), st.integers(0, 10**6))
def test_exactly_what_is_due_is_released_at_every_moment(rate: Rate, steps: list[float], began: int) -> None:
    pace, now, sent = RatePace(rate, float(began)), float(began), 0
    for step in steps:
        now += step
        allowed = pace.allowance(now)
        pace.spend(allowed)
        sent += allowed
        assert sent == pytest.approx(rate.released(now - began), abs=1 + 1e-3)


@pytest.mark.parametrize("form", FORMS)
def test_the_whole_length_releases_the_total_and_no_more(form: Form) -> None:
    rate = Rate(333.3, form, 77.7)
    pace, now, sent = RatePace(rate, 0.0), 0.0, 0
    while now < 200:
        allowed = pace.allowance(now)
        pace.spend(allowed)
        sent += allowed
        now += max(pace.wait(), 0.01) if not allowed else 0.01
    assert sent == rate.total()


@pytest.mark.parametrize("form", ["ramp", "spike", "sine"])
def test_a_count_is_reached_at_the_end_of_its_profile(form: Form) -> None:
    rate = rate_for(250.0, form, count=12_345)
    assert rate is not None
    assert rate.total() == 12_345
    pace = RatePace(rate, 0.0, done=12_344)
    assert pace.allowance(10**6) == 1


@pytest.mark.parametrize("form", FORMS)
def test_where_the_stream_is_slower_the_form_is_kept_and_a_second_is_caught_up_on(form: Form) -> None:
    rate = Rate(100, form, 100)
    pace, now, stalled = RatePace(rate, 0.0), 0.0, 0.0
    released: list[float] = []
    while now - stalled <= 101:
        if now == 50.0:
            now, stalled = now + 60.0, 59.0  # of the 60 seconds one is caught up on at the highest rate
        allowed = pace.allowance(now)
        assert allowed <= 100
        pace.spend(allowed)
        released.append(allowed)
        now += 0.5
    assert sum(released) == rate.total()
    assert max(released) == 100
    assert released[-1] == 0


@pytest.mark.parametrize("rate", [0.5, 7.0, 100.0, 12_345.0])
def test_a_steady_rate_without_an_end_is_kept_over_time(rate: float) -> None:
    pace, now, sent = RatePace(Rate(rate), 0.0), 0.0, 0
    while now < 20:
        allowed = pace.allowance(now)
        pace.spend(allowed)
        sent += allowed
        now += pace.wait() if not allowed else 0.01
    assert sent == pytest.approx(rate * 20, rel=0.02, abs=1)


def test_at_most_a_second_is_caught_up_on() -> None:
    pace = RatePace(Rate(100), 0.0)
    assert pace.allowance(60.0) == 100


def test_without_a_rate_everything_passes_at_once() -> None:
    pace = RatePace(None, 0.0)
    assert pace.allowance(0.0) > 1_000_000
    assert pace.wait() == 0.0


@given(rates, st.floats(0, 0.9))
def test_a_continued_run_goes_on_where_its_profile_was(rate: Rate, share: float) -> None:
    done = int(rate.total() * share)
    pace = RatePace(rate, 1000.0, done)
    assert pace.allowance(1000.0) <= 1
    elapsed = rate.reached(done)
    step = 0.5 / rate.peak
    assert pace.allowance(1000.0 + step) == pytest.approx(rate.released(elapsed + step) - done, abs=1.01)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"peak": None, "form": "ramp"}, "--rate-profile ramp needs a rate"),
        ({"peak": 10.0, "form": "sine"}, "--rate-profile sine needs to know how long"),
    ],
)
def test_a_profile_without_rate_or_length_is_refused(arguments: dict[str, Any], words: str) -> None:
    with pytest.raises(TxnpipeError, match=words) as caught:
        rate_for(**arguments)
    assert caught.value.exit_code is ExitCode.USAGE
    with pytest.raises(ValueError, match="needs a length"):
        Rate(1.0, "ramp")
    with pytest.raises(ValueError, match="no total"):
        Rate(1.0).total()
