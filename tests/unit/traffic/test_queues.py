"""The two queues of a shard against plain lists."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from txnpipe.traffic.queues import ByKey, Fifo, Outgoing, Queue


@given(st.booleans(), st.integers(1, 12), st.integers(0, 10_000))
def test_each_record_leaves_once_and_each_key_in_its_order(by_key: bool, keys: int, seed: int) -> None:
    rng = random.Random(seed)
    queue: Queue = ByKey() if by_key else Fifo()
    waiting: list[Outgoing] = []
    out: list[Outgoing] = []
    left: list[Outgoing] = []
    for index in range(120):
        record = (index, f"key-{rng.randrange(keys)}", b"x" * rng.randrange(20))
        queue.append(record)
        waiting.append(record)
        if not out and rng.random() < 0.4:
            out = queue.take(rng.randrange(1, 20), rng.randrange(20, 300), rng.randrange(1, 300)).records
            waiting = [each for each in waiting if each not in out]
        elif out and rng.random() < 0.6:
            stored = [each for each in out if rng.random() < 0.7]
            back = [each for each in out if each not in stored]
            queue.stored(stored)
            queue.back(back)
            left += stored
            waiting = sorted([*waiting, *back])
            out = []
        assert len(queue) == len(waiting)
        assert sorted(queue) == waiting
        if not out:
            assert queue.lowest() == (waiting[0][0] if waiting else None)
        assert bool(queue.ready) == bool(waiting) or out
    if by_key:
        for key in {key for _, key, _ in left}:
            indexes = [index for index, own, _ in left if own == key]
            assert indexes == sorted(indexes)


@pytest.mark.parametrize("queue", [Fifo(), ByKey()])
def test_a_call_takes_what_fits(queue: Queue) -> None:
    for index in range(10):
        queue.append((index, f"key-{index}", b"x" * 95))
    assert [record[0] for record in queue.take(10, 350, 1000).records] == [0, 1, 2]
    assert [record[0] for record in queue.take(10, 1000, 250).records] == [3, 4]
    assert [record[0] for record in queue.take(10, 1000, 1).records] == [5]
    assert queue.take(10, 99, 1000).records == []
    assert [record[0] for record in queue.take(2, 1000, 1000).records] == [6, 7]
    assert len(queue) == 2


def test_sizes_count_the_bytes_of_keys() -> None:
    queue = Fifo()
    queue.append((0, "Zoë", b"12345"))
    queue.append((1, "k", b"1"))
    taken = queue.take(2, 100, 100)
    assert (taken.payload, taken.size) == (6, 6 + 4 + 1)
