"""Axes: round ticks, and where a value lies between the ends."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

_STEPS_S = (
    0.1,
    0.2,
    0.5,
    1,
    2,
    5,
    10,
    15,
    30,
    60,
    120,
    300,
    600,
    900,
    1800,
    3600,
    7200,
    21_600,
    43_200,
    86_400,
)
LOG_FROM = 20
"""An axis is logarithmic where its largest value is more than this times its smallest."""


@dataclass(frozen=True)
class Scale:
    """An axis from `low` to `high` with its ticks; low > 0 where it is logarithmic."""

    low: float
    high: float
    ticks: tuple[float, ...]
    logarithmic: bool = False

    def place(self, value: float) -> float:
        """Where a value lies: 0 at the low end, 1 at the high end. What is below the low end lies on it:
        a latency is negative where the clocks of Kinesis and of the loader differ."""
        inside = max(value, self.low)
        if not self.logarithmic:
            return (inside - self.low) / (self.high - self.low)
        return (math.log10(inside) - math.log10(self.low)) / (math.log10(self.high) - math.log10(self.low))


def from_zero(values: Sequence[float]) -> Scale:
    """A linear axis from 0 to a round number at or above every value, with 3 to 6 ticks."""
    largest = max(values, default=0.0)
    if largest <= 0:
        largest = 1.0
    rough = largest / 4
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough)
    count = math.ceil(round(largest / step, 9))
    return Scale(0.0, count * step, tuple(round(n * step, 9) for n in range(count + 1)))


def for_latency(values: Sequence[float]) -> Scale:
    """A linear axis, or one in powers of ten where values lie far apart: most are short, the worst is not."""
    positive = [value for value in values if value > 0]
    if not positive or max(positive) <= LOG_FROM * min(positive):
        return from_zero(values)
    first, last = math.floor(math.log10(min(positive))), math.ceil(math.log10(max(positive)))
    return Scale(10.0**first, 10.0**last, tuple(10.0**n for n in range(first, last + 1)), logarithmic=True)


def of_time(span_s: float) -> Scale:
    """An axis of `span_s` seconds with at most seven ticks."""
    step = next((each for each in _STEPS_S if span_s / each <= 6), None)
    if step is None:
        step = math.ceil(span_s / 6 / _STEPS_S[-1]) * _STEPS_S[-1]
    count = math.floor(span_s / step + 1e-9)
    return Scale(0.0, span_s, tuple(round(n * step, 3) for n in range(count + 1)))


def short_number(value: float) -> str:
    """1,200 · 15k · 2.5M: at most six characters for an axis."""
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if value >= size:
            return f"{value / (1e3 if letter == 'k' else size):.4g}{letter}"
    return f"{value:,.0f}" if value >= 10 else f"{value:.3g}"


def duration(seconds: float) -> str:
    """0.5 s · 90 s · 15 min · 6 h · 3 d, where it is round; the smallest unit that is short."""
    for size, unit in ((86_400, "d"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size and seconds % size == 0:
            return f"{seconds / size:.0f} {unit}"
    if seconds > 7200:
        return f"{seconds / 3600:.3g} h"
    if seconds > 120:
        return f"{seconds / 60:.3g} min"
    return f"{seconds:.3g} s"
