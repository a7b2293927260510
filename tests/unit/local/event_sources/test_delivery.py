"""How one batch gets through a function."""

from __future__ import annotations

import pytest

from tests.unit.local.event_sources.doubles import ERROR, NOW, OK, World, a_mapping, failing, records
from txnpipe.local.event_sources.counters import Tally
from txnpipe.local.event_sources.delivery import deliver, first_failure, pause_s
from txnpipe.local.event_sources.events import RecordRenderer
from txnpipe.local.lambda_runtime.results import InvokeResult
from txnpipe.local.service import ServiceError


def failing_while(bad: set[int], times: int | None = None):  # type: ignore[no-untyped-def]
    """Fails events that hold one of `bad`: always, or the first `times` times."""
    left = [times]

    def answer(numbers: list[int]) -> InvokeResult:
        if bad & set(numbers) and left[0] != 0:
            if left[0] is not None:
                left[0] -= 1
            return ERROR
        return OK

    return answer


def test_a_batch_that_succeeds_is_invoked_once_and_checkpointed_at_its_last_record() -> None:
    world = World()
    assert deliver(records(3), a_mapping(), Tally(), world.surroundings)
    assert world.events == [[1, 2, 3]]
    assert world.checkpoints == [3]


def test_a_failed_batch_is_retried_whole_until_it_succeeds() -> None:
    world = World(failing_while({2}, times=3))
    assert deliver(records(3), a_mapping(), Tally(), world.surroundings)
    assert world.events == [[1, 2, 3]] * 4
    assert world.checkpoints == [3]


def test_pauses_between_tries_grow_and_are_bounded() -> None:
    world = World(failing_while({1}, times=10))
    deliver(records(1), a_mapping(), Tally(), world.surroundings)
    assert world.pauses[:4] == [0.1, 0.2, 0.4, 0.8]
    assert max(world.pauses) == 5.0


def test_a_pause_has_up_to_half_of_jitter() -> None:
    assert pause_s(1, 0.0) == 0.05
    assert pause_s(1, 1.0) == 0.1
    assert pause_s(1000, 1.0) == 5.0


@pytest.mark.parametrize("retries", [0, 1, 3])
def test_without_a_retry_left_the_batch_is_discarded_and_the_stream_goes_on(retries: int) -> None:
    world = World(failing_while({2}))
    assert deliver(records(3), a_mapping(max_retries=retries), Tally(), world.surroundings)
    assert world.events == [[1, 2, 3]] * (retries + 1)
    (discard,) = world.discarded
    assert [record.sequence_number for record in discard.records] == ["1", "2", "3"]
    assert (discard.condition, discard.invocations) == ("RetryAttemptsExhausted", retries + 1)
    assert world.checkpoints == [3]


def test_bisecting_isolates_a_bad_record_and_keeps_the_order() -> None:
    world = World(failing_while({6}))
    assert deliver(records(8), a_mapping(bisect=True, max_retries=0), Tally(), world.surroundings)
    assert world.events == [
        [1, 2, 3, 4, 5, 6, 7, 8],
        [1, 2, 3, 4],
        [5, 6, 7, 8],
        [5, 6],
        [5],
        [6],
        [7, 8],
    ]
    assert [[r.sequence_number for r in d.records] for d in world.discarded] == [["6"]]
    assert world.checkpoints == [4, 5, 6, 8]


def test_bisecting_spends_no_retry() -> None:
    world = World(failing_while({1}))
    deliver(records(4), a_mapping(bisect=True, max_retries=2), Tally(), world.surroundings)
    assert world.events[:3] == [[1, 2, 3, 4], [1, 2], [1]]
    assert world.events.count([1]) == 3, "one try and two retries of the isolated record"


def test_reported_failures_checkpoint_at_the_lowest_and_retry_from_there() -> None:
    answers = [failing([5, 3, 6]), OK]
    world = World(lambda _numbers: answers.pop(0))
    mapping = a_mapping(report_failures=True)
    assert deliver(records(6), mapping, Tally(), world.surroundings)
    assert world.events == [[1, 2, 3, 4, 5, 6], [3, 4, 5, 6]]
    assert world.checkpoints == [2, 6]


def test_reported_failures_spend_retries() -> None:
    world = World(lambda _numbers: failing([3]))
    deliver(records(4), a_mapping(report_failures=True, max_retries=1), Tally(), world.surroundings)
    assert world.events == [[1, 2, 3, 4], [3, 4]]
    assert [r.sequence_number for r in world.discarded[0].records] == ["3", "4"]


def test_with_bisecting_reported_failures_split_the_batch_at_the_lowest_one() -> None:
    world = World(lambda numbers: failing([3]) if 3 in numbers else OK)
    mapping = a_mapping(report_failures=True, bisect=True, max_retries=0)
    deliver(records(6), mapping, Tally(), world.surroundings)
    assert world.events == [[1, 2, 3, 4, 5, 6], [3, 4, 5, 6], [3, 4], [3], [4], [5, 6]]
    assert [[r.sequence_number for r in d.records] for d in world.discarded] == [["3"]]


def test_reports_mean_nothing_unless_the_mapping_asks_for_them() -> None:
    world = World(lambda _numbers: failing([1]))
    deliver(records(2), a_mapping(), Tally(), world.surroundings)
    assert world.events == [[1, 2]]


@pytest.mark.parametrize(
    "payload",
    [b"", b"null", b"{}", b'{"batchItemFailures":null}', b'{"batchItemFailures":[]}', b'{"other":1}'],
)
def test_a_response_without_failures_is_success(payload: bytes) -> None:
    assert first_failure(payload, records(3)) is None


@pytest.mark.parametrize(
    "payload",
    [
        b'"ok"',
        b"[]",
        b"not json",
        b'{"batchItemFailures":"1"}',
        b'{"batchItemFailures":["2"]}',
        b'{"batchItemFailures":[{"itemIdentifier":""}]}',
        b'{"batchItemFailures":[{"itemIdentifier":null}]}',
        b'{"batchItemFailures":[{"identifier":"2"}]}',
        b'{"batchItemFailures":[{"itemIdentifier":2}]}',
        b'{"batchItemFailures":[{"itemIdentifier":"2"},{"itemIdentifier":"99"}]}',
    ],
)
def test_a_response_of_another_shape_or_with_an_unknown_record_fails_the_whole_batch(payload: bytes) -> None:
    assert first_failure(payload, records(3)) == 0


@pytest.mark.parametrize("kind", ["error", "timeout", "crash", "init_error"])
def test_every_kind_of_failed_invocation_spends_a_retry(kind: str) -> None:
    world = World(lambda _numbers: InvokeResult(kind, b"{}"))  # type: ignore[arg-type]
    deliver(records(1), a_mapping(max_retries=1), Tally(), world.surroundings)
    assert len(world.events) == 2


@pytest.mark.parametrize("code", ["TooManyRequestsException", "ResourceNotFoundException"])
def test_what_does_not_run_spends_no_retry(code: str) -> None:
    outcomes: list[InvokeResult | ServiceError] = [*[ServiceError(code, "no")] * 5, ERROR, OK]

    def answer(_numbers: list[int]) -> InvokeResult:
        outcome = outcomes.pop(0)
        if isinstance(outcome, ServiceError):
            raise outcome
        return outcome

    world = World(answer)
    assert deliver(records(1), a_mapping(max_retries=1), Tally(), world.surroundings)
    assert not world.discarded
    assert world.checkpoints == [1]


def test_a_missing_function_shows_as_a_problem() -> None:
    def answer(_numbers: list[int]) -> InvokeResult:
        raise ServiceError("ResourceNotFoundException", "no")

    tally = Tally()
    assert not deliver(records(1), a_mapping(), tally, World(answer, stop_after_pauses=1).surroundings)
    assert tally.last_result == "PROBLEM: Function not found"


def test_records_beyond_their_age_are_discarded_before_they_are_tried() -> None:
    world = World()
    old = records(2, arrived_at=NOW - 61)
    assert deliver([*old, *records(2, first=3)], a_mapping(max_record_age_s=60), Tally(), world.surroundings)
    assert world.events == [[3, 4]]
    (discard,) = world.discarded
    assert (discard.condition, discard.invocations, discard.result) == ("RecordAgeExceeded", 0, None)
    assert world.checkpoints == [2, 4]


def test_a_record_that_grows_too_old_between_tries_is_discarded() -> None:
    world = World(failing_while({1}))
    assert deliver(records(1), a_mapping(max_record_age_s=60), Tally(), world.surroundings)
    assert world.now - NOW > 60
    assert world.discarded[0].condition == "RecordAgeExceeded"
    assert world.discarded[0].invocations == len(world.events)


def test_a_throttled_batch_grows_old_too() -> None:
    def answer(_numbers: list[int]) -> InvokeResult:
        raise ServiceError("TooManyRequestsException", "no")

    world = World(answer)
    assert deliver(records(1), a_mapping(max_record_age_s=60), Tally(), world.surroundings)
    assert world.discarded[0].condition == "RecordAgeExceeded"


def test_a_record_that_no_invocation_can_carry_is_discarded_alone() -> None:
    huge = RecordRenderer("arn:aws:kinesis:us-east-1:0:stream/s", "shardId-000000000000", "r").render(
        "1", "k", "A" * 7_000_000, NOW
    )
    world = World()
    assert deliver([huge], a_mapping(), Tally(), world.surroundings)
    assert world.events == []
    assert world.discarded[0].invocations == 0


def test_a_destination_that_refuses_is_tried_until_it_takes_the_records() -> None:
    world = World(failing_while({1}), destination_refusals=3)
    tally = Tally()
    assert deliver(records(1), a_mapping(max_retries=0), tally, world.surroundings)
    assert len(world.discarded) == 1
    assert world.checkpoints == [1]


def test_nothing_is_checkpointed_while_the_destination_refuses() -> None:
    world = World(failing_while({1}), destination_refusals=99, stop_after_pauses=3)
    tally = Tally()
    assert not deliver(records(1), a_mapping(max_retries=0), tally, world.surroundings)
    assert world.checkpoints == []
    assert tally.last_result == "PROBLEM: The on-failure destination refused: NoSuchBucket"


def test_a_stop_ends_the_tries_and_keeps_what_is_done() -> None:
    world = World(lambda numbers: failing([3]) if 3 in numbers else OK, stop_after_pauses=2)
    assert not deliver(records(4), a_mapping(report_failures=True), Tally(), world.surroundings)
    assert world.checkpoints == [2]


def test_a_failure_during_a_stop_says_nothing_about_the_records() -> None:
    world = World()

    def answer(_numbers: list[int]) -> InvokeResult:
        world.is_stopped = True  # the stop kills the worker
        return InvokeResult("crash", b"{}")

    world.answer = answer
    assert not deliver(records(1), a_mapping(max_retries=0), Tally(), world.surroundings)
    assert world.discarded == []
    assert world.checkpoints == []


def test_counters_tell_what_happened() -> None:
    tally = Tally()
    world = World(failing_while({2}))
    deliver(records(2), a_mapping(bisect=True, max_retries=0), tally, world.surroundings)
    assert (tally.records, tally.batches, tally.failures, tally.discarded) == (1, 1, 2, 1)
    assert tally.last_result == "PROBLEM: Function call failed"


DAY_S = 24 * 3600


def test_a_record_that_the_stream_no_longer_keeps_is_given_up() -> None:
    world = World(failing_while({1}), oldest_kept=2)
    batch = [*records(1, arrived_at=NOW - DAY_S - 1), *records(1, first=2)]
    assert deliver(batch, a_mapping(), Tally(), world.surroundings)
    assert world.discarded[0].condition == "RecordAgeExceeded"
    assert world.events == [[2]]


def test_without_limits_a_failing_record_is_tried_as_long_as_the_stream_keeps_it() -> None:
    world = World(failing_while({1}), stop_after_pauses=1000, oldest_kept=1)
    assert not deliver(records(1, arrived_at=NOW - 2 * DAY_S), a_mapping(), Tally(), world.surroundings)
    assert len(world.events) == 1000
    assert world.discarded == []
