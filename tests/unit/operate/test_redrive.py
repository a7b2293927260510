"""Failed batches are sent again, and their objects go only once every record was acknowledged."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.unit.operate.letters import SHARD, STREAM, letter_of
from tests.unit.traffic.fakes import FakeS3, FakeStream, spans
from txnpipe.errors import ExitCode, TxnpipeError
from txnpipe.operate.dead_letters import choose_entries, delete_dead_letter
from txnpipe.operate.redrive import Outcome, redrive
from txnpipe.traffic.dispatch import Outgoing
from txnpipe.traffic.stream import Answer

BATCH = [(f"account-{n % 3}", str(10**20 + n), b"payload %d" % n) for n in range(600)]
PREFIX = "aws/lambda/mapping/shard/2026/11/24/"


@dataclass
class Keeping(FakeStream):
    """Remembers keys and payloads. refusing: payloads that fail for ever."""

    taken: list[tuple[str, bytes]] = field(default_factory=list)
    refusing: tuple[bytes, ...] = ()
    error: Exception | None = None

    def put(self, records: Sequence[Outgoing]) -> Answer:
        if self.error is not None:
            raise self.error
        entries: list[dict[str, Any]] = []
        for _, key, data in records:
            if data in self.refusing:
                entries.append({"ErrorCode": "InternalFailure"})
            else:
                self.taken.append((key, data))
                entries.append({"ShardId": SHARD, "SequenceNumber": str(len(self.taken))})
        return Answer(entries, sum("ErrorCode" in entry for entry in entries))


class Kinesis:
    """The two reads of one shard, a few records at a time; what the stream has forgotten is not in it."""

    def __init__(self, records: Sequence[tuple[str, str, bytes]]) -> None:
        self._records = list(records)
        self.throttled = 1

    def get_shard_iterator(self, **request: Any) -> dict[str, str]:
        assert (request["StreamName"], request["ShardId"]) == (STREAM, SHARD)
        first = int(request["StartingSequenceNumber"])
        return {"ShardIterator": str(sum(int(number) < first for _, number, _ in self._records))}

    def get_records(self, **request: Any) -> dict[str, Any]:
        if self.throttled:
            self.throttled -= 1
            code = {"Error": {"Code": "ProvisionedThroughputExceededException"}}
            raise ClientError(code, "GetRecords")  # type: ignore[arg-type]
        at = int(request["ShardIterator"])
        found = [
            {"PartitionKey": key, "SequenceNumber": number, "Data": data}
            for key, number, data in self._records[at : at + 250]
        ]
        left = len(self._records) - at - len(found)
        return {"Records": found, "NextShardIterator": str(at + len(found)), "MillisBehindLatest": left}


@dataclass
class Place:
    """A bucket and the stream."""

    s3: FakeS3 = field(default_factory=FakeS3)
    stream: Keeping = field(default_factory=lambda: Keeping(spans(1)))

    def put(self, name: str, body: bytes) -> str:
        self.s3.put_object(Bucket="b", Key=PREFIX + name, Body=body)
        return PREFIX + name

    def redrive(self, *, kept: Sequence[tuple[str, str, bytes]] = (), dry_run: bool = False) -> list[Outcome]:
        return list(
            redrive(
                choose_entries(self.s3, "b", ()),
                s3=self.s3,
                bucket="b",
                kinesis=Kinesis(kept),
                streams={STREAM: self.stream},
                dry_run=dry_run,
                clock=lambda: 0.0,
                sleep=lambda _: None,
            )
        )


@pytest.fixture
def place() -> Place:
    return Place()


def sent_of(batch: Sequence[tuple[str, str, bytes]]) -> list[tuple[str, bytes]]:
    return sorted((key, data) for key, _, data in batch)


def test_every_record_goes_with_its_partition_key_and_then_the_object_goes(place: Place) -> None:
    place.put("x", letter_of(BATCH))
    place.s3.put_object(Bucket="b", Key="runs/r/manifest.json", Body=b"")
    (outcome,) = place.redrive()
    assert (outcome.state, outcome.records, outcome.source) == ("sent", 600, "payload")
    assert sorted(place.stream.taken) == sent_of(BATCH)
    assert list(place.s3.objects) == ["runs/r/manifest.json"]


def test_records_of_a_key_keep_their_order(place: Place) -> None:
    place.put("x", letter_of(BATCH))
    place.redrive()
    assert [data for key, data in place.stream.taken if key == "account-1"] == [
        data for key, _, data in BATCH if key == "account-1"
    ]


def test_an_object_stays_while_one_of_its_records_is_not_acknowledged(place: Place) -> None:
    refused, whole = place.put("a", letter_of(BATCH[:2])), place.put("b", letter_of(BATCH[2:4]))
    place.stream.refusing = (b"payload 1",)
    first, second = place.redrive()
    assert (first.state, first.records, first.reason) == (
        "left",
        1,
        "1 of 2 records were not acknowledged",
    )
    assert second.state == "sent"
    assert refused in place.s3.objects
    assert whole not in place.s3.objects


def test_an_object_stays_when_sending_breaks_off(place: Place) -> None:
    key = place.put("x", letter_of(BATCH[:2]))
    place.stream.error = KeyboardInterrupt()  # type: ignore[assignment]
    with pytest.raises(KeyboardInterrupt):
        place.redrive()
    assert key in place.s3.objects


def test_a_dry_run_tells_the_same_and_changes_nothing(place: Place) -> None:
    place.put("x", letter_of(BATCH))
    before = dict(place.s3.objects)
    (outcome,) = place.redrive(dry_run=True)
    assert (outcome.state, outcome.records) == ("would send", 600)
    assert (place.stream.taken, place.s3.objects) == ([], before)


def test_without_a_payload_the_records_are_read_from_the_stream(place: Place) -> None:
    place.put("x", letter_of(BATCH[100:500], payload=False))
    (outcome,) = place.redrive(kept=BATCH)
    assert (outcome.state, outcome.records, outcome.source) == ("sent", 400, "stream")
    assert sorted(place.stream.taken) == sent_of(BATCH[100:500])


@pytest.mark.parametrize("kept", [BATCH[101:], BATCH[:300], []], ids=["first", "last", "all"])
def test_what_the_stream_has_forgotten_is_left_and_told(
    place: Place, kept: list[tuple[str, str, bytes]]
) -> None:
    key = place.put("x", letter_of(BATCH[100:500], payload=False))
    (outcome,) = place.redrive(kept=kept)
    assert outcome.state == "left"
    assert outcome.reason == "its object holds 0 of 400 records, and the stream no longer has the rest"
    assert place.stream.taken == []
    assert key in place.s3.objects


def test_a_batch_of_a_foreign_stream_and_an_unreadable_object_are_left(place: Place) -> None:
    place.put("a", letter_of(BATCH, stream="Other"))
    place.put("b", b"no document")
    assert [(outcome.state, outcome.reason) for outcome in place.redrive()] == [
        ("left", "it came from Other, no stream of this pipeline"),
        ("left", "it names no stream"),
    ]
    assert len(place.s3.objects) == 2


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


def test_none_is_not_found(place: Place) -> None:
    with pytest.raises(TxnpipeError, match="no failed batches") as caught:
        choose_entries(place.s3, "b", ())
    assert caught.value.exit_code == ExitCode.NOT_FOUND


def test_nothing_but_a_failed_batch_is_ever_deleted(place: Place) -> None:
    with pytest.raises(ValueError, match="no failed batch"):
        delete_dead_letter(place.s3, "b", "runs/r/manifest.json")
