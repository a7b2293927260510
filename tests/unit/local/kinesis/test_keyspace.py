from __future__ import annotations

from hashlib import md5

from hypothesis import given
from hypothesis import strategies as st

from txnpipe.local.kinesis import keyspace
from txnpipe.local.kinesis.keyspace import END, Merge, Split
from txnpipe.local.kinesis.model import Change, ShardDocument
from txnpipe.local.kinesis.reshard import Reshard


def test_a_partition_key_is_hashed_as_on_aws() -> None:
    assert keyspace.digest("héllo") == md5("héllo".encode()).digest()


def test_even_ranges_are_those_of_create_stream() -> None:
    # From the description of a three-shard stream on AWS.
    assert [(part.start, part.end) for part in keyspace.even_ranges(3)] == [
        (0, 113427455640312821154458202477256070484),
        (113427455640312821154458202477256070485, 226854911280625642308916404954512140969),
        (226854911280625642308916404954512140970, 340282366920938463463374607431768211455),
    ]


def test_doubling_splits_every_shard_once_although_boundaries_round_differently() -> None:
    assert all(isinstance(step, Split) for step in keyspace.plan_uniform(keyspace.even_starts(3), 6))
    assert len(keyspace.plan_uniform(keyspace.even_starts(3), 6)) == 3


def test_halving_merges_pairs() -> None:
    assert keyspace.plan_uniform(keyspace.even_starts(4), 2) == [Merge(0), Merge(1)]


def test_an_even_stream_needs_no_step_to_stay_as_it_is() -> None:
    assert keyspace.plan_uniform(keyspace.even_starts(7), 7) == []


@given(st.integers(1, 40), st.integers(1, 40))
def test_any_two_even_partitions_are_joined_by_a_plan_that_ends_even(before: int, after: int) -> None:
    shards = _apply(_fresh(before), Change("scale", target=after))
    sizes = [int(shard.end_key) - int(shard.start_key) + 1 for shard in shards]
    assert len(shards) == after
    assert max(sizes) - min(sizes) <= keyspace._SNAP * 2
    _assert_partition(shards)


@st.composite
def _changes(draw: st.DrawFn) -> list[tuple[str, int, int]]:
    kind = st.sampled_from(["split", "merge", "scale"])
    return draw(st.lists(st.tuples(kind, st.integers(0, 1000), st.integers(0, END - 1)), max_size=12))


@given(st.integers(1, 6), _changes())
def test_open_shards_partition_the_key_space_after_any_splits_merges_and_updates(
    count: int, changes: list[tuple[str, int, int]]
) -> None:
    shards = _fresh(count)
    for kind, pick, key in changes:
        position = pick % len(shards)
        shard = shards[position]
        start, end = int(shard.start_key), int(shard.end_key)
        if kind == "split" and end - start > 3:
            at = start + 2 + key % (end - start - 2)
            shards = _apply(shards, Change("split", shard=shard.index, at=str(at)))
        elif kind == "merge" and position + 1 < len(shards):
            other = shards[position + 1].index
            shards = _apply(shards, Change("merge", shard=other, other=shard.index))
        elif kind == "scale":
            shards = _apply(shards, Change("scale", target=1 + pick % (2 * len(shards))))
        _assert_partition(shards)


def test_children_start_above_the_end_of_their_parents() -> None:
    reshard = Reshard(_fresh(2), next_index=2, counter=100, now=5.0)
    reshard.apply(Change("scale", target=3))
    shards = {shard.index: shard for shard in reshard.changed}
    for child in shards.values():
        for parent in child.parents:
            end = shards[parent].end_counter
            assert end is not None
            assert child.start_counter > end


def _fresh(count: int) -> list[ShardDocument]:
    return _apply([], Change("create", target=count))


def _apply(shards: list[ShardDocument], change: Change) -> list[ShardDocument]:
    index = max((shard.index for shard in shards), default=-1) + 1
    reshard = Reshard(shards, next_index=index, counter=0, now=1.0)
    reshard.apply(change)
    merged = {shard.index: shard for shard in [*shards, *reshard.changed]}
    still_open = [shard for shard in merged.values() if shard.end_counter is None]
    return sorted(still_open, key=lambda shard: int(shard.start_key))


def _assert_partition(shards: list[ShardDocument]) -> None:
    expected = 0
    for shard in shards:
        assert int(shard.start_key) == expected
        assert int(shard.end_key) >= expected
        expected = int(shard.end_key) + 1
    assert expected == END
