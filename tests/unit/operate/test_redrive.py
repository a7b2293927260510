"""Failed batches go to the function that failed, and their objects go only once it has taken them."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime

import pytest

from tests.unit.operate.letters import LOADER, NOTIFIER, Functions, event_of, letter_of, refused
from tests.unit.traffic.fakes import FakeS3, target_with
from txnpipe.errors import ExitCode, TxnpipeError
from txnpipe.operate.dead_letters import (
    MAX_OBJECT_BYTES,
    Entry,
    choose_entries,
    delete_dead_letter,
    open_dead_letter,
)
from txnpipe.operate.redrive import FAILURES_IN_A_ROW, Outcome, redrive

BATCH = [(f"account-{n % 3}", str(10**20 + n), b"payload %d" % n) for n in range(600)]
WHEN = datetime(2026, 11, 24, tzinfo=UTC)
PREFIX = "aws/lambda/mapping/shard/2026/11/24/"


@dataclass
class Place:
    """A bucket and the functions."""

    s3: FakeS3 = field(default_factory=FakeS3)
    functions: Functions = field(default_factory=Functions)

    def put(self, name: str, body: bytes) -> str:
        self.s3.put_object(Bucket="b", Key=PREFIX + name, Body=body)
        return PREFIX + name

    def redrive(self, *, dry_run: bool = False) -> list[Outcome]:
        return list(
            redrive(
                choose_entries(self.s3, "b", ()),
                target=target_with(s3=self.s3, **{"lambda": self.functions}),
                bucket="b",
                functions=(LOADER, NOTIFIER),
                timeout_s=60,
                dry_run=dry_run,
            )
        )


@pytest.fixture
def place() -> Place:
    return Place()


def test_the_function_gets_the_same_event_and_then_the_object_goes(place: Place) -> None:
    place.put("x", letter_of(BATCH))
    place.s3.put_object(Bucket="b", Key="runs/r/manifest.json", Body=b"")
    (outcome,) = place.redrive()
    assert (outcome.state, outcome.function, outcome.records) == ("sent", LOADER, 600)
    assert place.functions.calls == [(LOADER, event_of(BATCH))]
    assert list(place.s3.objects) == ["runs/r/manifest.json"]


def test_only_the_function_that_failed_gets_it(place: Place) -> None:
    """Alerts that the notifier could not publish are stored already: the loader has had them."""
    place.put("x", letter_of(BATCH[:2], stream="TransactionAlerts", function=NOTIFIER))
    place.redrive()
    assert [name for name, _ in place.functions.calls] == [NOTIFIER]


def test_an_object_stays_while_its_function_fails_and_the_reason_has_no_rows(place: Place) -> None:
    key = place.put("a", letter_of(BATCH[:2]))
    place.functions.failing = {LOADER}
    (outcome,) = place.redrive()
    assert (outcome.state, outcome.records) == ("left", 0)
    assert outcome.reason == f"{LOADER} failed: OperationalError no route to host"
    assert key in place.s3.objects


def test_an_object_stays_while_one_of_its_records_failed(place: Place) -> None:
    key = place.put("a", letter_of(BATCH[:2], function=NOTIFIER))
    place.functions.partly = {NOTIFIER}
    (outcome,) = place.redrive()
    assert (outcome.state, outcome.reason) == ("left", f"{NOTIFIER} did not take all of its 2 records")
    assert key in place.s3.objects


def test_a_function_that_keeps_failing_is_not_called_for_ever_and_another_one_is(place: Place) -> None:
    for n in range(FAILURES_IN_A_ROW + 2):
        place.put(f"a{n}", letter_of(BATCH[:2]))
    place.put("b", letter_of(BATCH[:2], function=NOTIFIER))
    place.functions.failing = {LOADER}
    outcomes = place.redrive()
    assert [each.state for each in outcomes] == ["left"] * (FAILURES_IN_A_ROW + 2) + ["sent"]
    assert outcomes[-2].reason == f"not tried: {LOADER} failed 3 batches in a row"
    assert [name for name, _ in place.functions.calls] == [LOADER] * FAILURES_IN_A_ROW + [NOTIFIER]


@pytest.mark.parametrize("stop", [KeyboardInterrupt(), refused("ServiceException")])
def test_an_object_stays_when_the_call_breaks_off(place: Place, stop: BaseException) -> None:
    key = place.put("x", letter_of(BATCH[:2]))
    place.functions.error = stop
    with pytest.raises((KeyboardInterrupt, TxnpipeError)):
        place.redrive()
    assert key in place.s3.objects


def test_a_kill_before_the_object_goes_leads_to_a_repeat(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = place.put("a", letter_of(BATCH[:2])), place.put("b", letter_of(BATCH[2:4]))

    def killed(**_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(place.s3, "delete_object", killed)
        with pytest.raises(KeyboardInterrupt):
            place.redrive()
    assert set(place.s3.objects) == {first, second}
    place.redrive()
    assert [payload for _, payload in place.functions.calls] == [
        event_of(BATCH[:2]),
        event_of(BATCH[:2]),
        event_of(BATCH[2:4]),
    ]
    assert place.s3.objects == {}


def test_a_dry_run_tells_the_same_and_changes_nothing(place: Place) -> None:
    place.put("x", letter_of(BATCH))
    before = dict(place.s3.objects)
    (outcome,) = place.redrive(dry_run=True)
    assert (outcome.state, outcome.function, outcome.records) == ("would send", LOADER, 600)
    assert (place.functions.calls, place.s3.objects) == ([], before)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (letter_of(BATCH, function="Other"), "it is of Other, no function of this pipeline"),
        (letter_of(BATCH, payload=""), "its object holds 0 of 600 records"),
        (letter_of(BATCH, payload=event_of(BATCH[1:])), "its object holds 599 of 600 records"),
        (b"no document", "it names no function"),
    ],
)
def test_what_cannot_be_handed_over_is_left_and_told(place: Place, body: bytes, reason: str) -> None:
    key = place.put("x", body)
    for dry_run in (True, False):
        (outcome,) = place.redrive(dry_run=dry_run)
        assert (outcome.state, outcome.reason) == ("left", reason)
    assert place.functions.calls == []
    assert key in place.s3.objects


def test_a_batch_that_no_function_can_take_is_left(place: Place) -> None:
    place.put("x", letter_of(BATCH[:1]))
    place.functions.error = refused("RequestTooLargeException")
    (outcome,) = place.redrive()
    assert (outcome.state, outcome.reason) == ("left", "the batch is larger than a function takes (6 MB)")


def test_an_object_that_somebody_removed_meanwhile_is_gone_and_no_error(place: Place) -> None:
    entry = Entry(PREFIX + "x", WHEN, 10)
    target = target_with(s3=place.s3, **{"lambda": place.functions})
    outcomes = redrive([entry], target=target, bucket="b", functions=(LOADER,), timeout_s=60)
    assert [each.state for each in outcomes] == ["gone"]


def test_an_object_that_is_too_large_is_not_read(place: Place) -> None:
    key = place.put("x", letter_of(BATCH[:1]))
    letter = open_dead_letter(place.s3, "b", Entry(key, WHEN, MAX_OBJECT_BYTES + 1))
    assert letter is not None
    assert (letter.records, letter.size) == ((), MAX_OBJECT_BYTES + 1)


def test_objects_are_chosen_by_key_or_name(place: Place) -> None:
    keys = [place.put(name, letter_of(BATCH[:1])) for name in ("a", "b", "c")]
    assert [entry.key for entry in choose_entries(place.s3, "b", ["c", keys[0]])] == [keys[0], keys[2]]
    with pytest.raises(TxnpipeError, match="no failed batch d") as caught:
        choose_entries(place.s3, "b", ["a", "d"])
    assert caught.value.exit_code == ExitCode.NOT_FOUND


def test_a_name_that_fits_two_objects_is_refused(place: Place) -> None:
    place.put("a", letter_of(BATCH[:1]))
    place.s3.put_object(Bucket="b", Key="aws/lambda/other/a", Body=b"")
    with pytest.raises(TxnpipeError, match="2 failed batches are called a") as caught:
        choose_entries(place.s3, "b", ["a"])
    assert caught.value.exit_code == ExitCode.USAGE


def test_nothing_but_a_failed_batch_is_ever_deleted(place: Place) -> None:
    with pytest.raises(ValueError, match="no failed batch"):
        delete_dead_letter(place.s3, "b", "runs/r/manifest.json")
