from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from txnpipe.local.kinesis import sequence

COUNTERS = st.integers(0, (1 << 63) - 1)
SHARDS = st.integers(0, (1 << 32) - 1)


@given(SHARDS, COUNTERS)
def test_a_number_has_56_digits_and_gives_back_what_went_in(shard: int, counter: int) -> None:
    text = str(sequence.encode(shard, counter))
    assert len(text) == 56
    assert sequence.decode(text) == (shard, counter)


@given(SHARDS, COUNTERS, SHARDS, COUNTERS)
def test_numbers_order_as_counters_do_whatever_the_shard(a: int, low: int, b: int, high: int) -> None:
    if low < high:
        assert str(sequence.encode(a, low)) < str(sequence.encode(b, high))


@pytest.mark.parametrize("text", ["", "0", "-5", "12a", "９" * 56, "9" * 56, "9" * 5000, "4" * 56])
def test_what_is_not_a_number_of_ours_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        sequence.decode(text)


def test_a_stream_made_later_under_the_same_name_counts_above_the_first() -> None:
    assert sequence.first_counter(1_700_000_000.001) - sequence.first_counter(1_700_000_000.0) == 1 << 20


@pytest.mark.parametrize(
    ("name", "index"), [("shardId-000000000007", 7), ("7", 7), ("shardId-x", None), ("", None)]
)
def test_shards_are_known_by_their_id_or_their_number(name: str, index: int | None) -> None:
    assert sequence.shard_index(name) == index
