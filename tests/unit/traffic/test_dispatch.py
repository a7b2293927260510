"""The dispatcher against a stream with limits and failures, on a simulated clock."""

from __future__ import annotations

import itertools
import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from tests.unit.traffic.fakes import FakeStream, spans
from txnpipe.traffic import dispatch
from txnpipe.traffic.dispatch import MAX_ATTEMPTS, MAX_CALL_BYTES, Call, Dispatcher, Outgoing
from txnpipe.traffic.put_records import Answer, Entry
from txnpipe.traffic.stream import CallFailed


def records(count: int, keys: int = 100, size: int = 10, first: int = 0) -> list[Outgoing]:
    return [(index, f"account-{index * 7919 % keys}", b"x" * size) for index in range(first, first + count)]


@dataclass
class Simulation:
    """Workers that make calls, on a clock of their own. A call takes `call_s`, up to `jitter` times more."""

    stream: FakeStream
    workers: int = 2
    call_s: float = 0.01
    jitter: float = 0.0
    rng: random.Random = field(default_factory=lambda: random.Random(1))
    now: float = 0.0
    running: list[tuple[float, Call, Answer | None]] = field(default_factory=list)
    acknowledged: set[int] = field(default_factory=set)
    on_change: Callable[[], None] | None = None

    def run(self, dispatcher: Dispatcher, feed: list[Outgoing], deadline_s: float = 3600.0) -> float:
        """Feeds and sends everything. Returns the seconds that it took."""
        self.stream.now = lambda: self.now
        started, at = self.now, 0
        while at < len(feed) or not dispatcher.idle:
            assert self.now - started < deadline_s, f"stuck with {dispatcher.queued} records"
            while at < len(feed) and dispatcher.wants_more():
                dispatcher.offer(feed[at : at + 250])
                at += 250
            if dispatcher.stale and not self.running:
                dispatcher.remap(self.stream.open_shards(), self.now)
            while len(self.running) < self.workers and (call := dispatcher.take(self.now)) is not None:
                taken = self.call_s * (1 + self.jitter * self.rng.random())
                self.running.append((self.now + taken, call, self._put(call)))
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
                answered = zip(call.records, answer.entries, strict=True)
                self.acknowledged |= {record[0] for record, entry in answered if entry.sequence_number}
        if self.on_change is not None:
            self.on_change()


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
    ordered=st.booleans(),
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
    ordered: bool,
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
    dispatcher = Dispatcher(spans(shards), 0.0, rng=random.Random(seed).random, ordered=ordered)
    simulation = Simulation(stream, workers, jitter=5, rng=random.Random(seed))

    def watch() -> None:
        missing = set(range(1500)) - simulation.acknowledged
        assert dispatcher.watermark == min(missing, default=1500)

    simulation.on_change = watch
    simulation.run(dispatcher, records(1500, keys))
    assert set(stream.indexes()) == set(range(1500))
    repeated = {index for index, times in Counter(stream.indexes()).items() if times > 1}
    assert repeated <= stream.unknown
    assert stream.overtaken() == []
    if ordered:
        assert stream.out_of_order() == []
        assert all(len({key for _, key in carried}) == len(carried) for carried in stream.carried)
    assert dispatcher.watermark == 1500
    assert dispatcher.counters.given_up == []
    assert dispatcher.counters.acknowledged == 1500
    assert dispatcher.counters.acknowledged_by.total() == 1500


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
    # One record in two has the same key: for 3,000 of the others 4,000 must wait at the hot shard.
    feed = iter([(i, "hot" if i % 2 else f"account-{i}", b"x") for i in range(400_000)])
    hot = dispatcher.shards()[dispatcher._shard_map.route("hot")].shard_id

    def run_until(end: float) -> None:
        while simulation.now < end:
            while dispatcher.wants_more():
                dispatcher.offer(list(itertools.islice(feed, 250)))
            while len(simulation.running) < 3 and (call := dispatcher.take(simulation.now)) is not None:
                simulation.running.append((simulation.now + 0.01, call, stream.put(call.records)))
            simulation._advance(dispatcher)

    run_until(5.0)
    before = dispatcher.counters.acknowledged_by.copy()
    run_until(25.0)
    after = dispatcher.counters.acknowledged_by
    assert all(after[each] - before[each] > 0.97 * 20_000 for each in after)
    assert after[hot] > 0
    assert dispatcher.queued > 20 * 2000
    assert stream.throttled < 0.01 * stream.attempts


def test_what_waits_stays_within_its_memory_though_a_shard_has_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(dispatch, "BACKLOG_BYTES", 30_000 * (100 + dispatch.RECORD_OVERHEAD))
    dispatcher = Dispatcher(spans(2), 0.0)
    other = next(key for key in map(str, range(99)) if dispatcher._shard_map.route(key) == 1)
    hot = next(key for key in map(str, range(99)) if dispatcher._shard_map.route(key) == 0)
    offered = 0
    # Now and then the other shard gets a record, and sends it.
    while dispatcher.wants_more():
        chunk = [(offered + n, hot, b"x" * 100) for n in range(249)]
        dispatcher.offer([*chunk, (offered + 249, other, b"x" * 100)])
        offered += 250
    assert dispatcher.queued == 30_000


def test_a_shard_that_gets_no_records_does_not_make_the_others_queue() -> None:
    dispatcher = Dispatcher(spans(4), 0.0)
    offered = 0
    while dispatcher.wants_more():
        dispatcher.offer([(offered + n, "the only key", b"x") for n in range(250)])
        offered += 250
    assert offered == dispatch.LOOK_AHEAD


def test_given_up_with_order_holds_all_later_records_of_the_key() -> None:
    class Broken(FakeStream):
        def put(self, records: Sequence[Outgoing]) -> Answer:
            answer = super().put(records)
            entries = [
                Entry(error_code="InternalFailure") if key == "bad" else entry
                for (_, key, _), entry in zip(records, answer.entries, strict=True)
            ]
            return Answer(entries, sum(not entry.sequence_number for entry in entries))

    dispatcher = Dispatcher(spans(2), 0.0, ordered=True)
    feed: list[Outgoing] = [(n, "bad" if n % 3 == 0 else f"account-{n % 7}", b"x") for n in range(9000)]
    Simulation(Broken(spans(2))).run(dispatcher, feed)
    assert sorted(dispatcher.counters.given_up) == list(range(0, 9000, 3))
    assert dispatcher.counters.acknowledged == 6000
    assert dispatcher.counters.failed == MAX_ATTEMPTS
    assert dispatcher.watermark == 0
    assert (dispatcher.queued, dispatcher.queued_bytes) == (0, 0)


def test_with_order_a_call_carries_a_key_once_and_all_others_meanwhile() -> None:
    dispatcher = Dispatcher(spans(1), 0.0, ordered=True)
    dispatcher.shards()[0].pace.factor = float("inf")
    dispatcher.offer([(n, "hot" if n % 2 else f"account-{n}", b"x") for n in range(400)])
    call = dispatcher.take(0.0)
    assert call is not None
    assert [index for index, _, _ in call.records] == [0, 1, *range(2, 400, 2)]


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


def test_shards_without_a_limit_wait_alike_and_little() -> None:
    dispatcher = Dispatcher(spans(4), 0.0)
    most = 0

    def look() -> None:
        nonlocal most
        most = max(most, dispatcher.queued)

    simulation = Simulation(FakeStream(spans(4)), workers=1, on_change=look)
    simulation.run(dispatcher, records(200_000, keys=5000))
    assert most < 6 * dispatch.SHARD_BACKLOG
