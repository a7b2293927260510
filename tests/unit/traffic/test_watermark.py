"""The watermark never claims what is open, and claims everything in the end."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from txnpipe.traffic.watermark import BLOCK_BITS, Watermark

BLOCK = 1 << BLOCK_BITS


@given(st.integers(0, 5000), st.integers(1, 6000), st.randoms(use_true_random=False))
def test_no_index_below_the_watermark_is_open(start: int, count: int, rng: object) -> None:
    shuffle = rng.shuffle  # type: ignore[attr-defined]
    watermark = Watermark(start)
    watermark.open(range(start, start + count))
    order = list(range(start, start + count))
    shuffle(order)
    open_indexes = set(order)
    for at in range(0, count, 97):
        some = order[at : at + 97]
        watermark.close(some)
        open_indexes -= set(some)
        lowest = min(open_indexes, default=start + count)
        assert start <= watermark.value <= lowest
        assert lowest - watermark.value < BLOCK
    assert watermark.value == start + count


def test_closing_in_order_moves_it_along() -> None:
    watermark = Watermark()
    for first in range(0, 10 * BLOCK, BLOCK):
        watermark.open(range(first, first + BLOCK))
        watermark.close(range(first, first + BLOCK))
        assert watermark.value == first + BLOCK


def test_it_forgets_what_is_done() -> None:
    watermark = Watermark()
    for first in range(0, 100 * BLOCK, 100):
        watermark.open(range(first, first + 100))
        watermark.close(range(first, first + 100))
    assert len(watermark._open) <= 2
