"""How fast records are released: a rate as a pure function of the time since the first record.

--rate is the highest rate of a profile; none goes above it, so the shards that it needs are those of --rate:

steady    the rate, from beginning to end
ramp      from nothing up to the rate; half of it on average
sine      one wave, from nothing up to the rate and back; half of it on average
spike     a tenth of the rate, and all of it during the middle tenth of the time; 0.19 of it on average

All but steady need to know how long they are. What may have been released by a time is the integral up to it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from txnpipe.errors import usage_error

Form = Literal["steady", "ramp", "spike", "sine"]

SPIKE_BASE = 0.1
"""Outside the spike, as a share of the rate."""
SPIKE_FROM, SPIKE_TO = 0.45, 0.55
"""When the spike is, as shares of the length."""
MEANS: dict[Form, float] = {
    "steady": 1.0,
    "ramp": 0.5,
    "sine": 0.5,
    "spike": SPIKE_BASE + (1.0 - SPIKE_BASE) * (SPIKE_TO - SPIKE_FROM),
}
"""The average of each profile, as a share of the rate."""
_UNLIMITED = 1 << 30
_ROUNDING = 1e-6
"""In records: integrals of floating-point numbers end a little beside the whole number that is meant."""
_WAIT_S = 0.01
"""Records are waited for at least this long, so that they travel together."""


@dataclass(frozen=True)
class Rate:
    """Records per second over the time of a run. length_s: seconds; None for a steady rate without end."""

    peak: float
    form: Form = "steady"
    length_s: float | None = None

    def __post_init__(self) -> None:
        if self.length_s is None and self.form != "steady":
            raise ValueError("a profile needs a length")

    def at(self, elapsed_s: float) -> float:
        """Records per second at this time; 0 outside the run."""
        if elapsed_s < 0 or (self.length_s is not None and elapsed_s > self.length_s):
            return 0.0
        return (
            self.peak if self.length_s is None else self.peak * _share(self.form, elapsed_s / self.length_s)
        )

    def released(self, elapsed_s: float) -> float:
        """Records that are due by this time: the integral of `at`."""
        if self.length_s is None:
            return self.peak * max(elapsed_s, 0.0)
        x = min(max(elapsed_s / self.length_s, 0.0), 1.0)
        return self.peak * self.length_s * _integral(self.form, x)

    def reached(self, records: float) -> float:
        """The time in seconds at which so many records are due; the end where there are never so many."""
        if self.length_s is None:
            return records / self.peak
        if records >= self.released(self.length_s):
            return self.length_s
        low, high = 0.0, self.length_s
        while high - low > 1e-6 and low < (middle := (low + high) / 2) < high:
            low, high = (low, middle) if self.released(middle) >= records else (middle, high)
        return high

    def total(self) -> int:
        """Records of the whole length. Raises ValueError where there is no end."""
        if self.length_s is None:
            raise ValueError("a rate without an end has no total")
        return int(self.released(self.length_s) + _ROUNDING)


def rate_for(
    peak: float | None, form: Form, *, duration_s: float | None = None, count: int | None = None
) -> Rate | None:
    """The rate that was asked for; without a duration it is as long as `count` records take.

    Raises TxnpipeError (USAGE) for a profile without a rate or without a known length.
    """
    if peak is None:
        if form != "steady":
            raise usage_error(
                f"--rate-profile {form} needs a rate.", "Pass its highest one, such as --rate 1000."
            )
        return None
    if duration_s is not None:
        return Rate(peak, form, duration_s)
    if form == "steady":
        return Rate(peak)
    if count is None:
        raise usage_error(
            f"--rate-profile {form} needs to know how long the run is.",
            "Pass --duration, such as --duration 5m.",
        )
    return Rate(peak, form, count / (peak * MEANS[form]))


class RatePace:
    """Releases records at a rate; None lets everything pass.

    now: monotonic seconds. done: records that an earlier attempt of the run has released. Where the stream is
    slower than the rate, the time of the rate stands still: at most a second's worth of records is caught up
    on, and the form of a profile is kept.
    """

    def __init__(self, rate: Rate | None, now: float, done: int = 0) -> None:
        self._rate = rate
        self._spent = done
        self._now = now
        self._began = now - (rate.reached(done) if rate else 0.0)

    def allowance(self, now: float) -> int:
        """How many records may be released now."""
        rate, self._now = self._rate, now
        if rate is None:
            return _UNLIMITED
        due = rate.released(now - self._began) - self._spent
        most = rate.peak + 1.0  # a record that was due in part does not count as one to catch up on
        if due > most:
            self._began = now - rate.reached(self._spent + most)
            due = most
        return max(min(int(due + _ROUNDING), math.ceil(rate.peak)), 0)

    def spend(self, records: int) -> None:
        """Books what was released."""
        self._spent += records

    def wait(self) -> float:
        """Seconds until the next record, at least a hundredth of a second so that records travel together."""
        if self._rate is None:
            return 0.0
        return max(self._rate.reached(self._spent + 1) - (self._now - self._began), _WAIT_S)


def _share(form: Form, x: float) -> float:
    """The rate after the share x of the time, as a share of the highest one."""
    if form == "ramp":
        return x
    if form == "sine":
        return (1.0 - math.cos(2.0 * math.pi * x)) / 2.0
    if form == "spike":
        return 1.0 if SPIKE_FROM <= x <= SPIKE_TO else SPIKE_BASE
    return 1.0


def _integral(form: Form, x: float) -> float:
    """The integral of `_share` from 0 to x."""
    if form == "ramp":
        return x * x / 2.0
    if form == "sine":
        return x / 2.0 - math.sin(2.0 * math.pi * x) / (4.0 * math.pi)
    if form == "spike":
        return SPIKE_BASE * x + (1.0 - SPIKE_BASE) * min(max(x - SPIKE_FROM, 0.0), SPIKE_TO - SPIKE_FROM)
    return x
