"""Up to where everything is acknowledged: what a continued run may skip."""

from __future__ import annotations

from collections.abc import Sequence

BLOCK_BITS = 10
"""Counted in blocks of 1,024 indexes: a continuation sends at most that many again beyond what was open."""


class Watermark:
    """Counts open indexes by block. Indexes are opened in ascending order and closed in any."""

    def __init__(self, start: int = 0) -> None:
        self._start = start
        self._next = start
        self._open: dict[int, int] = {}

    def open(self, indexes: Sequence[int]) -> None:
        """These indexes are on their way; each is greater than all before it."""
        counts = self._open
        for index in indexes:
            block = index >> BLOCK_BITS
            counts[block] = counts.get(block, 0) + 1
        if indexes:
            self._next = indexes[-1] + 1
            self._drop_finished()

    def close(self, indexes: Sequence[int]) -> None:
        """These indexes are acknowledged."""
        counts = self._open
        for index in indexes:
            counts[index >> BLOCK_BITS] -= 1
        self._drop_finished()

    @property
    def value(self) -> int:
        """No index below it is open."""
        for block, count in self._open.items():
            if count:
                return max(block << BLOCK_BITS, self._start)
        return self._next

    def _drop_finished(self) -> None:
        # Blocks were inserted in ascending order; the newest may yet grow.
        newest = (self._next - 1) >> BLOCK_BITS
        finished = []
        for block, count in self._open.items():
            if count or block == newest:
                break
            finished.append(block)
        for block in finished:
            del self._open[block]
