"""Which shards a mapping reads, from where, and in which order."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.local.event_sources.doubles import NOW, SHARD, Function, MemoryEngine, a_mapping, outside
from tests.waiting import PATIENCE_S, eventually
from txnpipe.local.event_sources.counters import Tally
from txnpipe.local.event_sources.lane import lane_of
from txnpipe.local.event_sources.mapping import Mapping
from txnpipe.local.event_sources.poller import MappingPoller, starting_rows
from txnpipe.local.event_sources.store import ShardRow

SECOND, THIRD = "shardId-000000000001", "shardId-000000000002"


class Bench:
    """Pollers over doubles. Their threads wait in the engine until something is put."""

    def __init__(self, directory: Path) -> None:
        self.engine = MemoryEngine()
        self.engine.on_wait = lambda: time.sleep(0.001)  # a waiting lane must let the others run
        self.function = Function()
        self.outside, _ = outside(self.engine, self.function, directory)
        self.tally = Tally()
        self.pollers: list[MappingPoller] = []

    def begin(self, mapping: Mapping | None = None) -> Mapping:
        """Saves a new mapping with where it starts, as the registry does."""
        mapping = mapping or a_mapping()
        self.outside.store.save(mapping, starting_rows(mapping, self.engine))
        return mapping

    def poller(self, mapping: Mapping) -> MappingPoller:
        self.pollers.append(MappingPoller(mapping, self.outside, self.tally))
        return self.pollers[-1]

    def until_delivered(self, count: int, poller: MappingPoller) -> list[int]:
        """Looks at the stream again and again, as the supervisor does, until so much is delivered."""

        def look() -> bool:
            poller.discover()
            return len(self.function.delivered) >= count

        eventually(look, f"{count} records", interval_s=0.002)
        return self.function.delivered

    def stop(self) -> None:
        for poller in self.pollers:
            poller.start()  # the supervisor ends at once, after its lanes
            assert poller.stop(PATIENCE_S)
        self.pollers.clear()


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path)
    yield made
    made.stop()


def test_trim_horizon_starts_with_the_oldest_record(bench: Bench) -> None:
    old = bench.engine.put()
    mapping = bench.begin()
    new = bench.engine.put()
    assert bench.until_delivered(2, bench.poller(mapping)) == [old, new]


def test_latest_starts_with_what_arrives_after_the_mapping_was_made(bench: Bench) -> None:
    bench.engine.put()
    mapping = bench.begin(a_mapping(starting_position="LATEST"))
    new = bench.engine.put()
    assert bench.until_delivered(1, bench.poller(mapping)) == [new]


def test_at_timestamp_starts_with_what_arrived_then_or_later(bench: Bench) -> None:
    bench.engine.put()
    bench.engine.clock.now = NOW + 10
    at = bench.engine.put()
    mapping = bench.begin(a_mapping(starting_position="AT_TIMESTAMP", starting_timestamp=NOW + 10))
    assert bench.until_delivered(1, bench.poller(mapping)) == [at]


@pytest.mark.parametrize("position", ["TRIM_HORIZON", "LATEST"])
def test_shards_that_appear_later_start_at_trim_horizon(bench: Bench, position: str) -> None:
    mapping = bench.begin(a_mapping(starting_position=position))
    bench.engine.close()
    bench.engine.add_shard(1, parents=(0,))
    put = bench.engine.put(shard_id=SECOND)
    assert bench.until_delivered(1, bench.poller(mapping)) == [put]


def test_a_child_waits_until_its_parent_is_delivered(bench: Bench) -> None:
    mapping = bench.begin()
    parent = [bench.engine.put(key="a") for _ in range(5)]
    bench.engine.close()
    bench.engine.add_shard(1, parents=(0,))
    child = [bench.engine.put(key="a", shard_id=SECOND) for _ in range(5)]
    assert bench.until_delivered(10, bench.poller(mapping)) == parent + child


def test_a_merged_shard_waits_for_both_parents(bench: Bench) -> None:
    bench.engine.add_shard(1)
    mapping = bench.begin()
    bench.engine.add_shard(2, parents=(0, 1))
    child = bench.engine.put(shard_id=THIRD)
    bench.engine.close(SHARD)
    poller = bench.poller(mapping)
    for _ in range(20):
        poller.discover()
        threading.Event().wait(0.002)
    assert bench.function.delivered == [], "the other parent is still open"
    bench.engine.close(SECOND)
    assert bench.until_delivered(1, poller) == [child]


def test_a_parent_that_has_expired_is_not_waited_for(bench: Bench) -> None:
    bench.engine.add_shard(1, parents=(0,))
    assert bench.engine.stream is not None
    del bench.engine.stream[SHARD]
    mapping = bench.begin()
    put = bench.engine.put(shard_id=SECOND)
    assert bench.until_delivered(1, bench.poller(mapping)) == [put]


def test_a_new_poller_continues_at_the_checkpoints(bench: Bench) -> None:
    mapping = bench.begin()
    first = bench.engine.put()
    bench.until_delivered(1, bench.poller(mapping))
    bench.stop()
    second = bench.engine.put()
    assert bench.until_delivered(2, bench.poller(mapping)) == [first, second]


def test_a_finished_shard_stays_finished(bench: Bench) -> None:
    mapping = bench.begin()
    bench.engine.put()
    bench.engine.close()
    bench.until_delivered(1, bench.poller(mapping))
    # A lane that is stopped right after the last record has not seen the end of its shard.
    eventually(
        lambda: bench.outside.store.shards(mapping.uuid)[SHARD].finished, "finished shard", interval_s=0.002
    )
    bench.stop()
    again = bench.poller(mapping)
    again.discover()
    assert not again._running, "there is nothing to read"


def test_a_poller_has_stopped_once_the_end_of_a_shard_is_saved(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    mapping = bench.begin()
    bench.engine.put()
    bench.engine.close()
    saving, release = threading.Event(), threading.Event()
    put_shard = bench.outside.store.put_shard

    def slow(uuid: str, row: ShardRow) -> None:
        if row.finished:
            saving.set()
            assert release.wait(PATIENCE_S)
        put_shard(uuid, row)

    monkeypatch.setattr(bench.outside.store, "put_shard", slow)
    poller = MappingPoller(mapping, bench.outside, bench.tally)
    poller.start()
    assert saving.wait(PATIENCE_S)
    assert not poller.stop(0.5), "what is being saved would be lost with the mapping's store"
    release.set()
    assert poller.stop(PATIENCE_S)
    assert bench.outside.store.shards(mapping.uuid)[SHARD].finished


def test_a_missing_stream_shows_as_a_problem_until_it_is_back(bench: Bench) -> None:
    mapping = bench.begin()
    poller = bench.poller(mapping)
    stream, bench.engine.stream = bench.engine.stream, None
    poller.discover()
    assert bench.tally.last_result == "PROBLEM: Stream not found"
    bench.engine.stream = stream
    poller.discover()
    assert bench.tally.last_result == "No records processed"


def test_a_stream_made_again_under_the_name_is_read_from_its_beginning(bench: Bench) -> None:
    mapping = bench.begin()
    old = bench.engine.put()
    poller = bench.poller(mapping)
    bench.until_delivered(1, poller)
    bench.engine.stream = {}
    bench.engine.next_number = 0  # AWS gives larger numbers; smaller ones are the harder case
    bench.engine.add_shard(0)
    new = [bench.engine.put(), bench.engine.put()]
    assert bench.until_delivered(3, poller) == [old, *new]


def test_another_number_of_lanes_starts_at_what_all_lanes_have_delivered(bench: Bench) -> None:
    keys = {lane_of(f"key-{number}", 2): f"key-{number}" for number in range(10)}
    mapping = bench.begin(a_mapping(lanes=2))
    put = [bench.engine.put(key=keys[lane]) for lane in (0, 1, 0, 1)]
    for lane, position in ((0, put[0]), (1, put[3])):
        bench.outside.store.set_position(mapping.uuid, SHARD, 2, lane, str(position))
    delivered = bench.until_delivered(3, bench.poller(a_mapping(lanes=1)))
    assert delivered == put[1:]


def test_other_lanes_start_over_where_one_lane_had_delivered_nothing(bench: Bench) -> None:
    mapping = bench.begin(a_mapping(lanes=2))
    put = [bench.engine.put() for _ in range(3)]
    bench.outside.store.set_position(mapping.uuid, SHARD, 2, 1, str(put[2]))
    assert bench.until_delivered(3, bench.poller(a_mapping(lanes=1))) == put


def test_shards_that_expired_are_forgotten(bench: Bench) -> None:
    bench.engine.add_shard(1)
    mapping = bench.begin()
    assert bench.engine.stream is not None
    del bench.engine.stream[SECOND]
    bench.poller(mapping).discover()
    assert list(bench.outside.store.shards(mapping.uuid)) == [SHARD]
