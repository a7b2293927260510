"""The records of a synthetic run, as chunks for the sender."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta

from txnpipe.traffic.dispatch import Outgoing
from txnpipe.traffic.generator import Generator
from txnpipe.traffic.manifest import Manifest
from txnpipe.traffic.sender import CHUNK

RESERVED_S = 2.0
"""An open run reserves this much ahead, in seconds at the speed that it has."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class GeneratedSource:
    """The records from `start` on: up to the count, or of an open run until its time is up.

    The records of an open run are all those below its count, which only its end tells. So that a killed one
    does not leave records above it, indexes are reserved before they are made: `reserve(index)` keeps that
    none from `index` on was made. A continued run goes on for `remaining_s` seconds from its first record,
    and makes all below `reserved` in any case.

    made: the index behind the last record that was made.
    """

    def __init__(
        self,
        manifest: Manifest,
        start: int,
        *,
        remaining_s: float = 0.0,
        reserved: int = 0,
        reserve: Callable[[int], None] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._manifest = manifest
        self._generator = Generator(manifest)
        self._start = start
        self._remaining_s = remaining_s
        self._reserved = reserved
        self._reserve = reserve
        self._clock = clock
        self.made = start

    def __iter__(self) -> Iterator[Sequence[Outgoing]]:
        count = self._manifest.count
        if count is not None:
            for first in range(self._start, count, CHUNK):
                yield self._chunk(first, min(first + CHUNK, count))
            return
        least, most = self._reserved, self._manifest.limit or 0
        began = self._clock()
        while self.made < most:
            elapsed = self._clock() - began
            if self.made >= least and elapsed >= self._remaining_s:
                return
            end = min(self.made + CHUNK, most if self.made >= least else least)
            if end > self._reserved:
                speed = (self.made - self._start) / max(elapsed, 1.0)
                self._reserved = min(end + int(speed * RESERVED_S), most)
                if self._reserve is not None:
                    self._reserve(self._reserved)
            yield self._chunk(self.made, end)

    @property
    def event_range(self) -> tuple[datetime | None, datetime | None]:
        """The earliest and the latest event time among the valid records made, UTC."""
        return _moment(self._generator.earliest), _moment(self._generator.latest)

    def _chunk(self, first: int, end: int) -> list[Outgoing]:
        record = self._generator.record
        self.made = end
        return [(index, *record(index)) for index in range(first, end)]


def _moment(micros: int | None) -> datetime | None:
    return None if micros is None else _EPOCH + timedelta(microseconds=micros)
