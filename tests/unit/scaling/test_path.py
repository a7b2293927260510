"""The steps from one number of shards to another."""

from __future__ import annotations

from collections import deque
from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st

from txnpipe.scaling.path import MAX_SHARDS, allowed_step, reshard_path, shards_for

counts = st.one_of(st.integers(1, 300), st.integers(1, MAX_SHARDS))


@given(counts, counts)
def test_every_step_is_one_that_kinesis_accepts_and_the_last_one_arrives(current: int, target: int) -> None:
    at = current
    for step in reshard_path(current, target):
        assert allowed_step(at, step)
        at = step
    assert at == target


@cache
def distances(current: int, largest: int = 300) -> dict[int, int]:
    """The fewest changes to every other number of shards, by breadth-first search over all legal steps."""
    found = {current: 0}
    waiting = deque([current])
    while waiting:
        at = waiting.popleft()
        for step in range(-(-at // 2), min(2 * at, largest) + 1):
            if step not in found:
                found[step] = found[at] + 1
                waiting.append(step)
    return found


@given(st.integers(1, 150), st.integers(1, 150))
def test_no_path_is_shorter(current: int, target: int) -> None:
    assert len(reshard_path(current, target)) == distances(current)[target]


@pytest.mark.parametrize(
    ("current", "target", "steps"),
    [
        (1, 4, (2, 4)),
        (1, 5, (2, 4, 5)),
        (5, 1, (3, 2, 1)),
        (4, 4, ()),
        (3, 5, (5,)),
        (8, 3, (4, 3)),
        (1, 1024, (2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)),
    ],
)
def test_examples(current: int, target: int, steps: tuple[int, ...]) -> None:
    assert reshard_path(current, target) == steps


@pytest.mark.parametrize(("current", "target"), [(0, 1), (1, 0), (1, -3), (1, MAX_SHARDS + 1)])
def test_numbers_that_no_stream_can_have_are_refused(current: int, target: int) -> None:
    with pytest.raises(ValueError, match="1 to 10000"):
        reshard_path(current, target)


@pytest.mark.parametrize(
    ("current", "target", "allowed"),
    [(4, 8, True), (4, 9, False), (4, 2, True), (4, 1, False), (5, 3, True), (5, 2, False), (4, 4, False)],
)
def test_what_one_change_may_do(current: int, target: int, allowed: bool) -> None:
    assert allowed_step(current, target) is allowed


@pytest.mark.parametrize(
    ("rate", "size", "headroom", "shards"),
    [(3000, 300, 0.2, 4), (1000, 300, 0.0, 1), (1001, 300, 0.0, 2), (100, 20_000, 0.0, 2), (0, 300, 0.2, 1)],
)
def test_shards_for_a_load(rate: float, size: float, headroom: float, shards: int) -> None:
    assert shards_for(rate, size, headroom) == shards
