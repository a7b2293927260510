"""How a lane reads a shard, makes batches, and moves its checkpoint."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.unit.local.event_sources.doubles import (
    ERROR,
    NOW,
    OK,
    SHARD,
    Function,
    MemoryEngine,
    a_mapping,
    outside,
)
from txnpipe.local.event_sources.counters import Tally
from txnpipe.local.event_sources.lane import Lane, lane_of
from txnpipe.local.event_sources.mapping import Mapping


class Bench:
    """A lane over doubles."""

    def __init__(self, directory: Path) -> None:
        self.engine = MemoryEngine()
        self.function = Function()
        self.outside, self.discards = outside(self.engine, self.function, directory)
        self.stop = threading.Event()
        self.tally = Tally()

    def lane(self, mapping: Mapping | None = None, *, lane: int = 0, position: str | None = None) -> Lane:
        return Lane(mapping or a_mapping(), SHARD, lane, position, self.outside, self.tally, self.stop)

    def stop_when_waiting(self, waits: int = 1) -> None:
        left = [waits]

        def on_wait() -> None:
            left[0] -= 1
            if left[0] <= 0:
                self.stop.set()

        self.engine.on_wait = on_wait

    def saved(self, lanes: int = 1, lane: int = 0) -> str | None:
        return self.outside.store.positions(a_mapping().uuid, SHARD).get((lanes, lane))


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def test_without_a_window_records_go_out_as_soon_as_they_are_there(bench: Bench) -> None:
    first = bench.engine.put()
    lane = bench.lane()
    lane.step()
    assert bench.function.events == [[first]]
    assert bench.engine.clock.now == NOW, "nothing was waited for"


def test_batches_are_no_larger_than_the_batch_size(bench: Bench) -> None:
    put = [bench.engine.put() for _ in range(7)]
    lane = bench.lane(a_mapping(batch_size=3))
    for _ in range(3):
        lane.step()
    assert bench.function.events == [put[:3], put[3:6], put[6:]]


def test_with_a_window_a_batch_gathers_until_the_window_ends(bench: Bench) -> None:
    put = [bench.engine.put()]
    bench.engine.on_wait = lambda: put.append(bench.engine.put()) if len(put) < 3 else None
    bench.lane(a_mapping(window_s=5)).step()
    assert bench.function.events == [put]
    assert bench.engine.clock.now == NOW + 5


def test_a_full_batch_does_not_wait_for_the_window(bench: Bench) -> None:
    put = [bench.engine.put() for _ in range(2)]
    bench.lane(a_mapping(window_s=300, batch_size=2)).step()
    assert bench.function.events == [put]
    assert bench.engine.clock.now == NOW


def test_an_event_has_no_more_than_six_megabytes(bench: Bench) -> None:
    for _ in range(9):
        bench.engine.put("x" * 750_000)  # a million characters of base64
    lane = bench.lane()
    lane.step()
    lane.step()
    assert [len(event) for event in bench.function.events] == [6, 3]
    assert max(map(len, bench.function.payloads)) <= 6_291_456


def test_the_checkpoint_follows_each_batch_and_a_new_lane_continues_there(bench: Bench) -> None:
    put = [bench.engine.put() for _ in range(4)]
    bench.lane(a_mapping(batch_size=2)).step()
    assert bench.saved() == str(put[1])
    bench.lane(position=bench.saved()).step()
    assert bench.function.events == [put[:2], put[2:]]


def test_a_failed_batch_leaves_the_checkpoint_where_it_was(bench: Bench) -> None:
    bench.engine.put()
    bench.function.answer = lambda _numbers: (bench.stop.set(), ERROR)[1]  # type: ignore[func-returns-value]
    bench.lane().run()
    assert bench.saved() is None


def test_a_closed_shard_that_is_delivered_is_finished(bench: Bench) -> None:
    bench.engine.put()
    bench.engine.close()
    lane = bench.lane()
    lane.run()
    assert lane.finished
    assert len(bench.function.events) == 1


def test_a_closed_shard_does_not_wait_for_its_window(bench: Bench) -> None:
    bench.engine.put()
    bench.engine.close()
    bench.lane(a_mapping(window_s=300)).run()
    assert bench.engine.clock.now == NOW
    assert len(bench.function.events) == 1


def test_a_lane_ends_when_its_stream_is_gone(bench: Bench) -> None:
    bench.engine.stream = None
    lane = bench.lane()
    lane.run()
    assert not lane.finished


def test_filtered_records_never_reach_the_function_and_are_not_read_again(bench: Bench) -> None:
    keep = bench.engine.put('{"type":"refund"}')
    skipped = bench.engine.put('{"type":"purchase"}')
    lane = bench.lane(a_mapping(filters=('{"data":{"type":["refund"]}}',)))
    lane.step()
    assert bench.function.events == [[keep]]
    assert bench.saved() == str(skipped), "the record passed over at the end is done with as well"


def test_a_lane_that_only_passes_over_records_saves_that_now_and_then(bench: Bench) -> None:
    last = [bench.engine.put('{"type":"purchase"}') for _ in range(3)][-1]
    bench.stop_when_waiting(waits=4)
    bench.lane(a_mapping(filters=('{"data":{"type":["refund"]}}',))).run()
    assert bench.function.events == []
    assert bench.saved() == str(last)


def test_lanes_share_the_keys_and_keep_each_keys_order(bench: Bench) -> None:
    put = [(f"key-{number % 7}", bench.engine.put(key=f"key-{number % 7}")) for number in range(50)]
    bench.engine.close()
    mapping = a_mapping(lanes=3, batch_size=4)
    delivered = []
    for lane in range(3):
        bench.lane(mapping, lane=lane).run()
        expected = [number for key, number in put if lane_of(key, 3) == lane]
        assert bench.function.delivered == expected
        delivered += bench.function.delivered
        bench.function.events.clear()
    assert sorted(delivered) == [number for _, number in put]


def test_a_lane_that_fails_does_not_hold_up_the_others(bench: Bench) -> None:
    keys = {lane_of(f"key-{number}", 2): f"key-{number}" for number in range(10)}
    bench.engine.put(key=keys[0])
    good = bench.engine.put(key=keys[1])
    bench.engine.close()
    bench.lane(a_mapping(lanes=2), lane=1).run()
    assert bench.function.delivered == [good]
    assert bench.saved(2, 0) is None
    assert bench.saved(2, 1) == str(good)


def test_trimmed_records_are_passed_over(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = bench.engine
    engine.put()
    assert engine.stream is not None
    engine.stream[SHARD].records.clear()
    trimmed = str(engine.next_number)
    real_latest, real_wait = engine.latest, engine.wait_for_records

    def latest(*arguments: Any) -> str | None:
        return real_latest(*arguments) or trimmed

    def wait(arn: str, shard: str, after: str | None, timeout: float) -> bool:
        if int(after or 0) < int(trimmed):
            return True  # the engine knows of newer numbers, though their records are gone
        return real_wait(arn, shard, after, timeout)

    monkeypatch.setattr(engine, "latest", latest)
    monkeypatch.setattr(engine, "wait_for_records", wait)
    bench.stop_when_waiting()
    bench.lane().run()
    assert bench.saved() == trimmed


def test_after_something_unexpected_a_lane_reads_again_from_its_checkpoint(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    put = [bench.engine.put() for _ in range(3)]
    bench.engine.close()
    failures: list[Callable[[list[int]], Any]] = [lambda _numbers: 1 / 0]
    monkeypatch.setattr("txnpipe.local.event_sources.lane.UNEXPECTED_PAUSE_S", 0)
    bench.function.answer = lambda numbers: failures.pop()(numbers) if failures else OK
    bench.lane().run()
    assert bench.function.events == [put, put]


def test_a_checkpoint_that_cannot_be_saved_does_not_stop_the_lane(bench: Bench) -> None:
    put = [bench.engine.put() for _ in range(2)]
    bench.engine.close()
    bench.outside.store.close()
    lane = bench.lane(a_mapping(batch_size=1))
    lane.run()
    assert bench.function.delivered == put
    assert lane.finished


def test_the_iterator_age_is_that_of_the_oldest_record_held(bench: Bench) -> None:
    bench.engine.put()
    ages = []

    def answer(_numbers: list[int]) -> Any:
        ages.append(bench.tally.iterator_age_ms(NOW + 2))
        return OK

    bench.function.answer = answer
    bench.lane().step()
    assert ages == [2000]
    assert bench.tally.iterator_age_ms(NOW + 9) == 0


def test_the_event_is_lambdas(bench: Bench) -> None:
    number = bench.engine.put("hello", key='quo"ted ü')
    bench.lane().step()
    (record,) = json.loads(bench.function.payloads[0])["Records"]
    assert record == {
        "kinesis": {
            "kinesisSchemaVersion": "1.0",
            "partitionKey": 'quo"ted ü',
            "sequenceNumber": str(number),
            "data": "aGVsbG8=",
            "approximateArrivalTimestamp": NOW,
        },
        "eventSource": "aws:kinesis",
        "eventVersion": "1.0",
        "eventID": f"shardId-000000000000:{number}",
        "eventName": "aws:kinesis:record",
        "invokeIdentityArn": "arn:aws:iam::000000000000:role/loader",
        "awsRegion": "us-east-1",
        "eventSourceARN": "arn:aws:kinesis:us-east-1:000000000000:stream/orders",
    }


def test_a_batch_that_the_stream_has_dropped_meanwhile_is_given_up(bench: Bench) -> None:
    first, second = bench.engine.put(), bench.engine.put()

    def answer(numbers: list[int]) -> Any:
        if first in numbers and bench.engine.stream is not None:
            bench.engine.clock.now += 25 * 3600
            del bench.engine.stream[SHARD].records[0]
            return ERROR
        return OK

    bench.function.answer = answer
    bench.lane().step()
    assert bench.function.events == [[first, second], [second]]
    (discard,) = bench.discards
    assert [record.sequence_number for record in discard.records] == [str(first)]
