"""Runs with a duration: their count, where it is known and where only the end tells it."""

from __future__ import annotations

import io
import threading
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from tests.unit.traffic.fakes import FakeStream, spans
from tests.unit.traffic.making import NOW, Feeder, lines
from tests.waiting import PATIENCE_S
from txnpipe.errors import ExitCode, TxnpipeError
from txnpipe.proof.expected import expected_of
from txnpipe.proof.generated_rows import GeneratedRows
from txnpipe.proof.sending import await_count
from txnpipe.traffic.dispatch import Outgoing
from txnpipe.traffic.generator import Generator
from txnpipe.traffic.job import Job
from txnpipe.traffic.manifest import MOST_PER_SECOND, Manifest, generated_run, input_run
from txnpipe.traffic.mix import Mix
from txnpipe.traffic.put_records import Answer
from txnpipe.traffic.runs import RunStore
from txnpipe.traffic.send import choose, send
from txnpipe.traffic.sources import GeneratedSource
from txnpipe.traffic.spool import InputSource


def timed(run: int = 1, **asked: Any) -> Manifest:
    return generated_run(
        run_id=f"20261124T05311{run}-00000{run}",
        pipeline="default",
        seed=1,
        now=NOW,
        **({"duration_s": 30.0} | asked),
    )


def timed_input(run: int = 1, **asked: Any) -> Manifest:
    return input_run(
        run_id=f"20261124T05311{run}-00000{run}",
        pipeline="default",
        input_name="/data/in.jsonl",
        now=NOW,
        **({"duration_s": 30.0} | asked),
    )


@pytest.mark.parametrize(
    ("asked", "count"),
    [
        ({"rate": 100.0}, 3000),
        ({"rate": 100.0, "profile": "ramp"}, 1500),
        ({"rate": 100.0, "profile": "sine"}, 1500),
        ({"rate": 100.0, "profile": "spike"}, 570),
        ({"rate": 0.1}, 3),
        ({}, None),
    ],
)
def test_a_rate_makes_the_count_known_beforehand(asked: dict[str, Any], count: int | None) -> None:
    assert timed(**asked).count == count
    assert timed_input(**asked).limit == count
    assert timed(**asked).limit == (30 * MOST_PER_SECOND if count is None else None)


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"rate": 0.001}, "makes 0 records"),
        ({"rate": 10**9}, "a run has 1 to"),
        ({"mix": Mix(days=1.0)}, "--days spreads a known number"),
        ({"profile": "ramp"}, "--rate-profile ramp needs a rate"),
    ],
)
def test_what_no_timed_run_can_be_made_of_is_refused(asked: dict[str, Any], words: str) -> None:
    with pytest.raises(TxnpipeError, match=words) as caught:
        timed(**asked)
    assert caught.value.exit_code is ExitCode.USAGE


def test_no_event_of_an_open_run_lies_in_the_future() -> None:
    manifest = timed(duration_s=3600.0)
    assert manifest.limit is not None
    generator = Generator(manifest)
    last = generator.event(manifest.limit - 1)
    assert last.micros <= NOW.timestamp() * 1_000_000
    assert Generator(timed(rate=100.0)).event(2999).micros <= NOW.timestamp() * 1_000_000


class Clock:
    """A clock that goes on by so much whenever it is read."""

    def __init__(self, step: float) -> None:
        self.now = 0.0
        self._step = step

    def __call__(self) -> float:
        self.now += self._step
        return self.now


def indexes(source: GeneratedSource) -> list[int]:
    return [index for chunk in source for index, _, _ in chunk]


def test_an_open_run_ends_with_its_time_and_has_every_index_up_to_there() -> None:
    source = GeneratedSource(timed(), 0, remaining_s=30.0, clock=Clock(1.0))
    made = indexes(source)
    assert made == list(range(source.made))
    assert 29 * 250 <= source.made <= 30 * 250


def test_an_open_run_ends_with_its_limit() -> None:
    manifest = msgspec.structs.replace(timed(), limit=1100)
    assert indexes(GeneratedSource(manifest, 0, remaining_s=30.0, clock=Clock(0.0))) == list(range(1100))


def test_indexes_are_reserved_before_they_are_made() -> None:
    reserved = [0]
    source = GeneratedSource(timed(), 0, remaining_s=30.0, reserve=reserved.append, clock=Clock(0.2))
    for chunk in source:
        assert chunk[-1][0] < reserved[-1]
    assert reserved == sorted(set(reserved))
    assert len(reserved) < 40
    assert reserved[-1] - source.made < 5 * 1250


@pytest.mark.parametrize(("remaining_s", "made"), [(0.0, 1300), (3.0, 1300), (20.0, 2000)])
def test_a_continued_open_run_makes_what_was_reserved_and_then_uses_its_time(
    remaining_s: float, made: int
) -> None:
    source = GeneratedSource(timed(), 800, remaining_s=remaining_s, reserved=1300, clock=Clock(1.0))
    found = indexes(source)
    assert found == list(range(800, 800 + len(found)))
    assert source.made >= made
    assert source.made <= made + 20 * 250


class Stopping(FakeStream):
    """A stream on which the program ends after so many calls: nothing is booked or kept any more."""

    ends_after = 10**9

    def put(self, records: Sequence[Outgoing]) -> Answer:
        if self.calls >= self.ends_after:
            raise SystemExit
        return super().put(records)


def test_the_result_tells_how_long_an_open_run_was(store: RunStore) -> None:
    stream = FakeStream(spans(2))
    sent = send(store, stream, choose(store, timed(duration_s=1.0)), workers=1)
    assert sent.result is not None
    assert sorted(stream.indexes()) == list(range(sent.result.count))
    assert sent.result.count > 0
    # A machine that is fast enough reaches the limit of the run before its time is up.
    assert sent.result.sending_s >= 1.0 or sent.result.count == timed(duration_s=1.0).limit
    assert store.with_count(timed(duration_s=1.0)).count == sent.result.count
    expected = expected_of(store, timed(duration_s=1.0))
    assert expected.count() == sent.result.count


def test_a_killed_open_run_is_continued_without_a_gap_and_without_a_record_above_its_count(
    store: RunStore,
) -> None:
    stream = Stopping(spans(2))
    stream.ends_after = 7
    with pytest.raises(SystemExit):
        send(store, stream, choose(store, timed(duration_s=3600.0)), workers=1)
    left = store.marker(timed().run_id)
    assert left is not None
    assert max(stream.indexes()) < left.marker.reserved
    store.write_marker(msgspec.structs.replace(left.marker, sending_s=3599.9))
    job = choose(store, timed(2, duration_s=3600.0))
    assert job.manifest == timed(duration_s=3600.0)
    assert job.remaining_s == pytest.approx(0.1)
    stream.ends_after = 10**9
    sent = send(store, stream, job, workers=1)
    assert sent.result is not None
    assert set(stream.indexes()) == set(range(sent.result.count))
    assert sent.result.sending_s >= 3600.0


def test_an_open_run_whose_time_is_used_up_is_finished_by_what_was_reserved(store: RunStore) -> None:
    stream = FakeStream(spans(1))
    job = choose(store, timed(duration_s=5.0))
    marker = _marker(job, next_index=40, reserved=100, sending_s=9.0)
    sent = send(store, stream, replace(job, earlier=marker), workers=1)
    assert sent.result is not None
    assert stream.indexes() == list(range(40, 100))
    assert sent.result.count == 100


def test_another_duration_is_another_run(store: RunStore) -> None:
    choose(store, timed(1))
    assert choose(store, timed(2, duration_s=31.0)).manifest.run_id == timed(2).run_id
    assert choose(store, timed(3)).manifest == timed(1)


def test_verify_waits_for_the_end_of_an_open_run_that_is_at_work(store: RunStore) -> None:
    job = choose(store, timed())
    host_is_elsewhere = {"host": "elsewhere", "pid": 1}
    store.write_marker(_marker(job, next_index=700, reserved=900, **host_is_elsewhere))
    slept: list[float] = []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        if len(slept) == 3:
            store.write_result(_result(job, 12_345))

    ticks = iter(range(1000))
    counted = await_count(store, job.manifest, 60.0, lambda: float(next(ticks)), sleep)
    assert (counted.count, len(slept)) == (12_345, 3)
    assert GeneratedRows(counted).count() == 12_345


def test_of_an_open_run_that_nobody_works_on_what_is_acknowledged_counts(store: RunStore) -> None:
    job = choose(store, timed())
    assert store.with_count(job.manifest).count == 0
    store.write_marker(_marker(job, next_index=700, reserved=900, pid_started="1"))

    def sleep(seconds: float) -> None:
        raise AssertionError("nothing to wait for")

    assert await_count(store, job.manifest, 60.0, lambda: 0.0, sleep).count == 700


def test_the_count_that_verify_waits_for_has_a_deadline(store: RunStore) -> None:
    job = choose(store, timed())
    store.write_marker(_marker(job, next_index=700, reserved=900, host="elsewhere"))
    ticks = iter(range(1000))
    counted = await_count(store, job.manifest, 5.0, lambda: float(next(ticks)), lambda _: None)
    assert counted.count == 700


def read(source: InputSource) -> list[int]:
    return [index for chunk in source for index, _, _ in chunk]


def test_reading_ends_with_the_time_at_a_row(store: RunStore) -> None:
    source = InputSource(store, timed_input(), io.BytesIO(lines(1000)), remaining_s=30.0, clock=Clock(0.1))
    found = read(source)
    assert found == list(range(len(found)))
    assert 0 < len(found) < 400
    assert source.head.lines == source.head.end == len(found)
    assert source.head.input_bytes == len(lines(len(found)))


def test_reading_ends_with_the_limit_and_waits_for_nothing_more(store: RunStore) -> None:
    has_ended = threading.Event()

    class Endless(Feeder):
        def read1(self, size: int) -> bytes:
            chunk = super().read1(size)
            assert chunk or has_ended.wait(PATIENCE_S)
            return chunk

    manifest = timed_input(rate=10.0)
    source = InputSource(store, manifest, Endless(lines(300)))  # type: ignore[arg-type]
    assert read(source) == list(range(300))
    has_ended.set()
    again = InputSource(store, manifest, io.BytesIO(lines(300) + b"more\n"), start=250)
    assert read(again) == list(range(250, 300))
    assert again.head == source.head


def test_an_input_that_pauses_ends_with_the_time(store: RunStore) -> None:
    has_ended = threading.Event()

    class Pausing:
        def read1(self, size: int) -> bytes:
            assert has_ended.wait(PATIENCE_S)
            return b""

    source = InputSource(store, timed_input(duration_s=0.1), Pausing(), remaining_s=0.1)  # type: ignore[arg-type]
    assert read(source) == []
    has_ended.set()


def test_the_range_of_event_times_is_that_of_all_records(store: RunStore) -> None:
    manifest = timed(count=3000, duration_s=None, mix=Mix(late=0.05, invalid=0.05))
    sent = send(store, FakeStream(spans(1)), choose(store, manifest), workers=1)
    assert sent.result is not None
    generator = Generator(manifest)
    valid = [generator.event(n).micros for n in range(3000) if generator.reason(n) is None]
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    assert sent.result.first_event == epoch + timedelta(microseconds=min(valid))
    assert sent.result.last_event == epoch + timedelta(microseconds=max(valid))


def test_the_range_of_event_times_of_a_continued_run_covers_both_attempts(store: RunStore) -> None:
    stream = Stopping(spans(1))
    stream.ends_after = 3
    with pytest.raises(SystemExit):
        send(store, stream, choose(store, timed(count=3000, duration_s=None)), workers=1)
    left = store.marker(timed().run_id)
    assert left is not None
    store.write_marker(msgspec.structs.replace(left.marker, first_event=NOW - timedelta(days=9)))
    stream.ends_after = 10**9
    sent = send(store, stream, choose(store, timed(2, count=3000, duration_s=None)), workers=1)
    assert sent.result is not None
    assert sent.result.first_event == NOW - timedelta(days=9)
    assert sent.result.last_event is not None
    assert sent.result.last_event > NOW - timedelta(seconds=1)


def _marker(job: Job, **changes: Any) -> Any:
    from tests.unit.traffic.making import marker

    return marker(run_id=job.manifest.run_id, **changes)


def _result(job: Job, count: int) -> Any:
    from txnpipe.traffic.runs import RunResult

    return RunResult(
        run_id=job.manifest.run_id, count=count, attempts=count, throttled=0, failed=0, invalid=0,
        invalid_lines=(), started_at=NOW, finished_at=NOW, marks={},
    )  # fmt: skip
