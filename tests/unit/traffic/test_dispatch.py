"""The dispatcher against a stream with limits and failures, on a simulated clock."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from tests.unit.traffic.fakes import FakeStream, spans
from txnpipe.traffic.dispatch import MAX_ATTEMPTS, MAX_CALL_BYTES, Call, Dispatcher, Outgoing
from txnpipe.traffic.stream import Answer, CallFailed


def records(count: int, keys: int = 100, size: int = 10, first: int = 0) -> list[Outgoing]:
    return [(index, f"account-{index * 7919 % keys}", b"x" * size) for index in range(first, first + count)]


@dataclass
class Simulation:
    """Workers that make calls of a fixed duration, on a clock of their own."""

    stream: FakeStream
    workers: int = 2
    call_s: float = 0.01
    now: float = 0.0
    running: list[tuple[float, Call, Answer | None]] = field(default_factory=list)

    def run(self, dispatcher: Dispatcher, feed: list[Outgoing], deadline_s: float = 3600.0) -> float:
        """Feeds and sends everything. Returns the seconds that it took."""
        self.stream.now = lambda: self.now
        started, at = self.now, 0
        while at < len(feed) or not dispatcher.idle:
            assert self.now - started < deadline_s, f"stuck with {dispatcher.queued} records"
            while at < len(feed) and dispatcher.queued < 20_000:
                dispatcher.offer(feed[at : at + 250])
                at += 250
            if dispatcher.stale and not self.running:
                dispatcher.remap(self.stream.open_shards(), self.now)
            while len(self.running) < self.workers and (call := dispatcher.take(self.now)) is not None:
                self.running.append((self.now + self.call_s, call, self._put(call)))
            self._advance(dispatcher)
        return self.now - started

    def _put(self, call: Call) -> Answer | None:
        try:
            return self.stream.put(call.records)
        except CallFailed:
            return None

    def _advance(self, dispatcher: Dispatcher) -> None:
        pause = dispatcher.wait(self.now) if len(self.running) < self.workers else None
        until = [self.now + pause] if pause is not None else []
        self.now = min([*until, *(finish for finish, _, _ in self.running)], default=self.now + 0.001)
        done = [entry for entry in self.running if entry[0] <= self.now]
        self.running = [entry for entry in self.running if entry[0] > self.now]
        for _, call, answer in done:
            if answer is None:
                dispatcher.fail(call, self.now)
            else:
                dispatcher.settle(call, answer.entries, answer.failed, self.now)


@settings(max_examples=30, phases=(Phase.explicit, Phase.reuse, Phase.generate))
@given(
    shards=st.integers(1, 5),
    workers=st.integers(1, 4),
    keys=st.integers(1, 300),
    limit=st.sampled_from([None, 1000]),
    failing=st.sampled_from([0.0, 0.05, 0.3]),
    breaking=st.sampled_from([0.0, 0.1]),
    reshards=st.dictionaries(st.integers(2, 12), st.integers(1, 6), max_size=2),
    seed=st.integers(0, 1000),
)
def test_every_record_is_stored_and_none_is_overtaken(
    shards: int,
    workers: int,
    keys: int,
    limit: int | None,
    failing: float,
    breaking: float,
    reshards: dict[int, int],
    seed: int,
) -> None:
    new_maps = {call: spans(count, first=100 * call) for call, count in reshards.items()}
    stream = FakeStream(
        spans(shards),
        per_second=limit,
        failing=failing,
        breaking=breaking,
        reshards=new_maps,
        rng=random.Random(seed),
    )
    dispatcher = Dispatcher(spans(shards), 0.0, rng=random.Random(seed).random)
    Simulation(stream, workers).run(dispatcher, records(1500, keys))
    assert set(stream.indexes()) == set(range(1500))
    assert stream.overtaken() == []
    assert dispatcher.watermark == 1500
    assert dispatcher.counters.given_up == []
    if not breaking:
        assert sorted(stream.indexes()) == list(range(1500))
        assert dispatcher.counters.acknowledged == 1500


def test_calls_keep_to_500_records_and_10_mib() -> None:
    stream = FakeStream(spans(1))
    dispatcher = Dispatcher(spans(1), 0.0)
    dispatcher.shards()[0].pace.factor = float("inf")
    Simulation(stream).run(dispatcher, records(2000))
    assert max(stream.sizes) == 500

    stream = FakeStream(spans(1))
    dispatcher = Dispatcher(spans(1), 0.0)
    dispatcher.shards()[0].pace.factor = float("inf")
    Simulation(stream).run(dispatcher, records(100, size=300_000))
    assert max(stream.sizes) == MAX_CALL_BYTES // 300_010


@pytest.mark.parametrize("shards", [1, 4, 8])
def test_full_shards_are_filled_to_the_limit_and_hardly_throttled(shards: int) -> None:
    stream = FakeStream(spans(shards), per_second=1000)
    dispatcher = Dispatcher(spans(shards), 0.0)
    count = 20_000 * shards
    seconds = Simulation(stream, workers=3).run(dispatcher, records(count, keys=5000))
    assert count / seconds > 0.97 * 1000 * shards
    assert stream.throttled < 0.01 * stream.attempts


def test_where_there_is_no_limit_the_pace_gets_out_of_the_way() -> None:
    stream = FakeStream(spans(4))
    dispatcher = Dispatcher(spans(4), 0.0)
    seconds = Simulation(stream).run(dispatcher, records(300_000, keys=5000))
    assert 300_000 / seconds > 50_000


def test_megabytes_count_as_much_as_records() -> None:
    stream = FakeStream(spans(1), per_second=1000)
    dispatcher = Dispatcher(spans(1), 0.0)
    dispatcher.shards()[0].pace.refused(0.0)
    seconds = Simulation(stream).run(dispatcher, records(400, size=50_000))
    assert 400 * 50_000 / seconds < 1.05 * 1024 * 1024


def test_a_hot_shard_does_not_slow_the_others_down() -> None:
    stream = FakeStream(spans(4), per_second=1000)
    dispatcher = Dispatcher(spans(4), 0.0)
    simulation = Simulation(stream, workers=3)
    stream.now = lambda: simulation.now
    # One record in two has the same key.
    feed = [(i, "hot" if i % 2 else f"account-{i}", b"x") for i in range(16_000)]
    hot = dispatcher.shards()[dispatcher._shard_map.route("hot")]
    dispatcher.offer(feed)
    while simulation.now < 4.0:
        while len(simulation.running) < 3 and (call := dispatcher.take(simulation.now)) is not None:
            simulation.running.append((simulation.now + 0.01, call, stream.put(call.records)))
        simulation._advance(dispatcher)
    others = [shard for shard in dispatcher.shards() if shard is not hot]
    assert all(not shard.queue for shard in others)
    assert len(hot.queue) > 3000


def test_a_record_that_fails_for_ever_is_given_up_and_stays_below_the_watermark() -> None:
    stream = FakeStream(spans(1), failing=1.0)
    dispatcher = Dispatcher(spans(1), 0.0)
    Simulation(stream).run(dispatcher, records(3))
    assert dispatcher.counters.given_up == [0, 1, 2]
    assert dispatcher.counters.failed == 3 * MAX_ATTEMPTS
    assert dispatcher.watermark == 0


def test_throttling_never_gives_a_record_up() -> None:
    stream = FakeStream(spans(1), per_second=3)
    dispatcher = Dispatcher(spans(1), 0.0)
    Simulation(stream).run(dispatcher, records(50))
    assert sorted(stream.indexes()) == list(range(50))


def test_a_low_rate_travels_in_few_calls() -> None:
    dispatcher = Dispatcher(spans(8), 0.0)
    dispatcher.offer(records(16))
    call = dispatcher.take(0.0)
    assert call is not None
    assert len(call.records) == 16


def test_the_shard_map_is_read_again_only_when_an_answer_names_an_unknown_shard() -> None:
    stream = FakeStream(spans(2), reshards={6: spans(4, first=2)})
    dispatcher = Dispatcher(spans(2), 0.0)
    Simulation(stream).run(dispatcher, records(5000, keys=1000))
    assert stream.listed == 1
    assert [shard.shard_id for shard in dispatcher.shards()] == [span.shard_id for span in spans(4, first=2)]


def test_marks_are_the_last_sequence_number_of_every_shard() -> None:
    stream = FakeStream(spans(3), per_second=1000)
    dispatcher = Dispatcher(spans(3), 0.0)
    Simulation(stream).run(dispatcher, records(6000))
    assert set(dispatcher.marks) == {span.shard_id for span in spans(3)}
    assert max(int(sequence) for sequence in dispatcher.marks.values()) == 6000
