"""Whatever fails: each record at least once, in order, and no checkpoint beyond what is delivered."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.local.event_sources.doubles import (
    ERROR,
    OK,
    SHARD,
    Function,
    MemoryEngine,
    World,
    a_mapping,
    failing,
    outside,
    records,
)
from txnpipe.local.event_sources.counters import Tally
from txnpipe.local.event_sources.delivery import deliver
from txnpipe.local.event_sources.lane import Lane, lane_of
from txnpipe.local.lambda_runtime.results import InvokeResult
from txnpipe.local.service import ServiceError

OUTCOMES = st.one_of(
    st.sampled_from(["ok", "error", "throttled", "nonsense"]),
    st.floats(0, 1).map(lambda share: ("reported", share)),
)


class Script:
    """A function that fails as written, and succeeds from the script's end on."""

    def __init__(self, outcomes: list[Any]) -> None:
        self._outcomes: Iterator[Any] = iter(outcomes)
        self.complete: list[int] = []
        """Numbers the function took as done, in the order in which it did."""

    def __call__(self, numbers: list[int], *, reports: bool) -> InvokeResult:
        outcome = next(self._outcomes, "ok")
        if outcome == "throttled":
            raise ServiceError("TooManyRequestsException", "no")
        if outcome == "error":
            return ERROR
        if outcome == "nonsense" and reports:
            return InvokeResult("ok", b'{"batchItemFailures":[{"itemIdentifier":"?"}]}')
        if isinstance(outcome, tuple) and reports:
            first_bad = int(outcome[1] * (len(numbers) - 1))
            self.complete += numbers[:first_bad]
            return failing(numbers[first_bad:][:2])
        self.complete += numbers
        return OK


@given(
    count=st.integers(1, 30),
    outcomes=st.lists(OUTCOMES, max_size=40),
    bisect=st.booleans(),
    reports=st.booleans(),
    max_retries=st.integers(-1, 3),
)
def test_a_batch_is_done_or_discarded_record_by_record_in_order(
    count: int, outcomes: list[Any], bisect: bool, reports: bool, max_retries: int
) -> None:
    script = Script(outcomes)
    world = World(lambda numbers: script(numbers, reports=reports))
    mapping = a_mapping(bisect=bisect, report_failures=reports, max_retries=max_retries)
    accounted: list[int] = []
    checkpoints: list[int] = []

    surroundings = world.surroundings
    assert deliver(records(count), mapping, Tally(), surroundings)

    accounted = sorted(
        [*script.complete, *(int(r.sequence_number) for d in world.discarded for r in d.records)]
    )
    assert accounted == list(range(1, count + 1)), "each record is done or discarded, once"
    assert script.complete == sorted(script.complete), "done in order"
    checkpoints = world.checkpoints
    assert checkpoints == sorted(set(checkpoints))
    assert checkpoints[-1] == count
    if max_retries < 0:
        assert not world.discarded


@given(
    count=st.integers(1, 20),
    outcomes=st.lists(OUTCOMES, max_size=30),
    bisect=st.booleans(),
    reports=st.booleans(),
    stop_after=st.integers(1, 10),
)
def test_a_stopped_delivery_has_checkpointed_exactly_what_is_done(
    count: int, outcomes: list[Any], bisect: bool, reports: bool, stop_after: int
) -> None:
    script = Script(outcomes)
    world = World(lambda numbers: script(numbers, reports=reports), stop_after_pauses=stop_after)
    deliver(records(count), a_mapping(bisect=bisect, report_failures=reports), Tally(), world.surroundings)
    assert script.complete == list(range(1, (world.checkpoints or [0])[-1] + 1))


@settings(max_examples=60)
@given(
    keys=st.lists(st.sampled_from("abcdef"), min_size=1, max_size=40),
    batch_size=st.integers(1, 12),
    lanes=st.sampled_from([1, 1, 2, 3]),
    outcomes=st.lists(OUTCOMES, max_size=20),
    kills=st.lists(st.integers(0, 6), max_size=4),
    bisect=st.booleans(),
    reports=st.booleans(),
)
def test_over_kills_every_record_is_delivered_and_keys_stay_in_order(
    keys: list[str],
    batch_size: int,
    lanes: int,
    outcomes: list[Any],
    kills: list[int],
    bisect: bool,
    reports: bool,
) -> None:
    """A kill: the lane is dropped in the middle of an invocation; a new one starts from what is on disk."""
    engine, function = MemoryEngine(), Function()
    shared, _ = outside(engine, function, None)
    key_of = {engine.put(key=key): key for key in keys}
    engine.close()
    script = Script(outcomes)
    mapping = a_mapping(batch_size=batch_size, lanes=lanes, bisect=bisect, report_failures=reports)
    done: dict[int, list[int]] = {lane: [] for lane in range(lanes)}
    for lane_number in range(lanes):
        mine = [number for number, key in key_of.items() if lane_of(key, lanes) == lane_number]
        for invocations_before_kill in [*kills, None]:
            stop = threading.Event()
            left = [invocations_before_kill]

            def answer(numbers: list[int]) -> InvokeResult:
                if left[0] == 0:  # noqa: B023 - called before the loop goes on
                    stop.set()  # noqa: B023
                    return ERROR
                if left[0] is not None:  # noqa: B023
                    left[0] -= 1  # noqa: B023
                before = len(script.complete)
                result = script(numbers, reports=reports)
                done[lane_number] += script.complete[before:]  # noqa: B023
                return result

            function.answer = answer
            position = shared.store.positions(mapping.uuid, SHARD).get((lanes, lane_number))
            assert set(done[lane_number]) >= {n for n in mine if n <= int(position or 0)}
            stop.wait = lambda _timeout=None, stop=stop: stop.is_set()  # type: ignore[method-assign,misc]
            lane = Lane(mapping, SHARD, lane_number, position, shared, Tally(), stop)
            lane.run()
        assert lane.finished
        assert sorted(set(done[lane_number])) == mine, "at least once"
        for key in set(keys):
            first_seen = list(dict.fromkeys(n for n in done[lane_number] if key_of[n] == key))
            assert first_seen == sorted(first_seen), "a key's records are first seen in order"
