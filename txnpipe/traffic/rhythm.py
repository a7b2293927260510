"""A day's rhythm: when the records of a run that tells of days were made.

Each hour of the day (UTC) has a weight; within an hour records are evenly spread. All of it is integer
arithmetic, so it is the same on every machine, and a later record is never dated earlier.
"""

from __future__ import annotations

from bisect import bisect_right
from itertools import accumulate

HOUR_US = 3600 * 1_000_000
DAY_US = 24 * HOUR_US

WEIGHTS: tuple[int, ...] = (
    4, 3, 2, 2, 2, 3, 5, 8, 11, 13, 14, 16, 18, 17, 15, 14, 15, 18, 20, 19, 16, 12, 8, 5,
)  # fmt: skip
"""By hour: quiet nights, a peak at noon and a higher one in the early evening."""

_BEFORE = (0, *accumulate(WEIGHTS))
_DAY = _BEFORE[-1] * HOUR_US


class Rhythm:
    """The times of `count` records from `start` on, over `length`; times in microseconds, since 1970, UTC."""

    def __init__(self, start: int, length: int, count: int) -> None:
        self._count = max(count, 1)
        self._first = _weight_until(start)
        self._total = _weight_until(start + length) - self._first

    def micros(self, index: int) -> int:
        """The time of the record with this index."""
        days, rest = divmod(self._first + index * self._total // self._count, _DAY)
        hour = bisect_right(_BEFORE, rest // HOUR_US) - 1
        return days * DAY_US + hour * HOUR_US + (rest - _BEFORE[hour] * HOUR_US) // WEIGHTS[hour]


def _weight_until(micros: int) -> int:
    """How much weight there was since 1970: an hour of weight w adds w for each of its microseconds."""
    days, rest = divmod(micros, DAY_US)
    hour, within = divmod(rest, HOUR_US)
    return days * _DAY + _BEFORE[hour] * HOUR_US + WEIGHTS[hour] * within
