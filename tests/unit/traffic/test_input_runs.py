"""Runs that read input: bad lines, what is stored when, partition keys, checksums by bucket."""

from __future__ import annotations

import io
import json
from collections import Counter
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.traffic.fakes import FakeS3, FakeStream, spans
from tests.unit.traffic.making import NOW, lines, wanted, wanted_input
from txnpipe.errors import TxnpipeError
from txnpipe.proof.spooled_rows import SpooledRows
from txnpipe.traffic import buckets, content, spool
from txnpipe.traffic.generator import Generator
from txnpipe.traffic.keys import PARTITION_KEYS, PartitionKey, key_of
from txnpipe.traffic.manifest import Manifest
from txnpipe.traffic.runs import RunStore
from txnpipe.traffic.send import Sent, choose, send
from txnpipe.traffic.spool import id_of, read_part
from txnpipe.transactions import InvalidTransaction, Transaction, encode, parse


def stopping(run: int = 1) -> Manifest:
    return msgspec.structs.replace(wanted_input(run), on_error="stop")


def sending(store: RunStore, stream: FakeStream, manifest: Manifest, data: bytes) -> Sent:
    return send(store, stream, choose(store, manifest), source=io.BytesIO(data), workers=1)


@pytest.mark.parametrize("good", [1, 10, 250])
def test_a_bad_line_stops_the_run_behind_what_comes_before_it(
    store: RunStore, monkeypatch: pytest.MonkeyPatch, good: int
) -> None:
    monkeypatch.setattr(spool, "PART_EVENTS", 100)
    stream = FakeStream(spans(2))
    sent = sending(store, stream, stopping(), lines(good) + b"\nbad\n" + lines(5, good))
    assert sent.result is None
    assert sent.stopped is not None
    assert (sent.stopped.line, sent.stopped.reason) == (good + 2, "invalid_json")
    assert sorted(stream.indexes()) == list(range(good))
    assert store.result(stopping().run_id) is None
    assert sent.progress.acknowledged == good


def test_the_mended_file_is_continued_at_that_line(store: RunStore) -> None:
    stream = FakeStream(spans(2))
    sending(store, stream, stopping(1), lines(10) + b"bad\n" + lines(5, 11))
    sent = sending(store, stream, stopping(2), lines(16))
    assert sent.result is not None
    assert sent.manifest == stopping(1)
    assert (sent.result.count, sent.result.invalid, sent.result.lines) == (16, 0, 16)
    assert sorted(stream.indexes()) == list(range(16))
    ids = [
        parse(e).transaction_id for _, part in spool.spooled_events(store, stopping().run_id) for e in part
    ]
    assert ids == [f"t-{n}" for n in range(16)]


def test_a_file_that_was_changed_before_the_bad_line_is_refused(store: RunStore) -> None:
    stream = FakeStream(spans(2))
    sending(store, stream, stopping(1), lines(10) + b"bad\n")
    with pytest.raises(TxnpipeError, match="first 10 lines have changed"):
        sending(store, stream, stopping(2), lines(9) + lines(1, 99) + lines(1, 10))
    assert sorted(stream.indexes()) == list(range(10))


def test_a_stopped_run_goes_on_past_the_line_where_lines_are_skipped(store: RunStore) -> None:
    stream = FakeStream(spans(2))
    data = lines(10) + b"bad\n" + lines(5, 10)
    sending(store, stream, stopping(1), data)
    sent = sending(store, stream, wanted_input(2), data)
    assert sent.result is not None
    assert sent.manifest == stopping(1)
    assert (sent.result.count, sent.result.invalid, sent.result.lines) == (15, 1, 16)
    assert sent.result.invalid_lines[0].line == 11


def test_a_run_that_stops_again_at_the_same_line_adds_nothing(store: RunStore, s3: FakeS3) -> None:
    stream = FakeStream(spans(1))
    data = lines(10) + b"bad\n"
    sending(store, stream, stopping(1), data)
    parts = store.part_keys(stopping(1).run_id)
    assert sending(store, stream, stopping(2), data).stopped is not None
    assert store.part_keys(stopping(1).run_id) == parts
    assert stream.indexes() == list(range(10))


@pytest.mark.parametrize("data", [b"", b"\n\n", b"bad\n", b"\xff" * 10])
def test_an_input_without_a_record_makes_no_run(store: RunStore, s3: FakeS3, data: bytes) -> None:
    sent = sending(store, FakeStream(spans(1)), wanted_input(), data)
    assert not sent.stored
    assert sent.result is not None
    assert sent.result.count == 0
    assert sent.result.lines == sent.result.invalid + sent.result.blank
    assert s3.objects == {}
    with pytest.raises(TxnpipeError, match="Nothing was sent"):
        store.newest()


def test_an_interrupted_input_that_gave_nothing_makes_no_run(store: RunStore, s3: FakeS3) -> None:
    class Interrupted:
        def read1(self, size: int) -> bytes:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        send(
            store,
            FakeStream(spans(1)),
            choose(store, wanted_input()),
            source=Interrupted(),  # type: ignore[arg-type]
        )
    assert s3.objects == {}


def test_a_header_alone_is_read_once(store: RunStore) -> None:
    header = b"transaction_id,amount,transaction_type,timestamp\n"
    manifest = msgspec.structs.replace(wanted_input(name="/data/in.csv"), on_error="stop")
    stream = FakeStream(spans(1))
    row = b"c-%d,1,purchase,2026-01-02T03:04:05Z\n"
    first = send(store, stream, choose(store, manifest), source=io.BytesIO(header + b"bad\n"))
    assert (first.stored, first.stopped is not None) == (False, True)
    second = send(
        store, stream, choose(store, manifest), source=io.BytesIO(header + row % 1 + b"bad\n" + row % 2)
    )
    assert (second.stored, second.stopped is not None) == (True, True)
    third = send(store, stream, choose(store, manifest), source=io.BytesIO(header + row % 1 + row % 2))
    assert third.result is not None
    assert (third.result.count, third.result.invalid, third.result.blank, third.result.lines) == (2, 0, 1, 3)


FULL: dict[str, Any] = {
    "transaction_id": "t-1",
    "amount": 1,
    "transaction_type": "purchase",
    "timestamp": "2026-01-02T03:04:05Z",
    "account_id": "a-1",
    "merchant": "Café",
    "country": "DE",
    "currency": "EUR",
}


@pytest.mark.parametrize("field", PARTITION_KEYS)
def test_the_partition_key_is_that_field_or_the_id(store: RunStore, field: PartitionKey) -> None:
    without = {**FULL, "transaction_id": "t-2"}
    optional = {"account_id", "merchant", "country", "currency"}
    absent = json.dumps({name: value for name, value in without.items() if name not in optional})
    manifest = msgspec.structs.replace(wanted_input(), partition_key=field, on_error="stop")
    stream = FakeStream(spans(1))
    data = json.dumps(FULL).encode() + b"\n" + absent.encode() + b"\n"
    expected = {0: FULL[field], 1: "t-2" if field in optional else without[field]}
    sending(store, stream, manifest, data + b"bad\n")
    sending(store, stream, manifest, data)
    assert dict(pair for call in stream.carried for pair in call) == expected
    event = parse(json.dumps(FULL).encode())
    assert key_of(event, field) == FULL[field]


@pytest.mark.parametrize("field", PARTITION_KEYS)
def test_synthetic_records_have_the_partition_key_that_was_asked_for(field: PartitionKey) -> None:
    plain, keyed = Generator(wanted()), Generator(wanted(partition_key=field))
    for index in range(200):
        key, payload = keyed.record(index)
        assert payload == plain.record(index)[1]
        assert key == json.loads(payload)[field]
    assert (len({keyed.record(n)[0] for n in range(200)}) > 100) == (
        field in ("account_id", "transaction_id")
    )


def test_another_partition_key_is_another_run(store: RunStore) -> None:
    choose(store, wanted(1))
    assert choose(store, wanted(2, partition_key="merchant")).manifest.run_id == wanted(2).run_id


def test_what_was_read_is_summed_up_by_bucket(store: RunStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spool, "PART_EVENTS", 100)
    stream = FakeStream(spans(1))
    data = lines(450) + lines(50)
    sending(store, stream, stopping(1), data[: len(lines(320))] + b"bad\n")
    sending(store, stream, stopping(1), data)
    stored = store.buckets(wanted_input().run_id)
    assert stored is not None
    rows = SpooledRows(store, wanted_input().run_id)
    assert (rows.count(), sum(each.rows for each in stored.values())) == (500, 500)
    by_hand: Counter[str] = Counter()
    for _, events in spool.spooled_events(store, wanted_input().run_id):
        by_hand.update(buckets.bucket_of(parse(event).transaction_id) for event in events)
    assert {bucket: each.rows for bucket, each in stored.items()} == by_hand
    monkeypatch.setattr(RunStore, "buckets", lambda *_: None)
    assert rows.checksums() == stored


def test_checksums_of_a_finished_run_cost_one_object(store: RunStore, s3: FakeS3) -> None:
    sending(store, FakeStream(spans(1)), wanted_input(), lines(500))
    sums = SpooledRows(store, wanted_input().run_id).checksums()
    for key in store.part_keys(wanted_input().run_id):
        del s3.objects[key]
    assert SpooledRows(store, wanted_input().run_id).checksums() == sums


def test_sums_of_other_digests_are_not_used(store: RunStore, monkeypatch: pytest.MonkeyPatch) -> None:
    sending(store, FakeStream(spans(1)), wanted_input(), lines(50))
    monkeypatch.setattr(buckets, "digest", lambda row: content.digest(row)[::-1])
    assert store.buckets(wanted_input().run_id) is None
    assert sum(each.rows for each in SpooledRows(store, wanted_input().run_id).checksums().values()) == 50


def test_the_range_of_event_times_is_in_the_result(store: RunStore) -> None:
    moments = ["2026-03-01T00:00:00+01:00", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999999Z"]
    data = b"".join(json.dumps({**FULL, "timestamp": each}).encode() + b"\n" for each in moments)
    result = sending(store, FakeStream(spans(1)), wanted_input(), data).result
    assert result is not None
    assert (str(result.first_event), str(result.last_event)) == (
        "0001-01-01 00:00:00+00:00",
        "9999-12-31 23:59:59.999999+00:00",
    )
    assert store.result(wanted_input().run_id) == result


ids = st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\x7f\ufffd"), min_size=1)


@given(ids)
def test_the_id_of_a_spooled_event_is_read_as_parse_does(transaction_id: str) -> None:
    transaction = Transaction(transaction_id, parse(json.dumps(FULL).encode()).amount, "p", NOW)
    event = encode(transaction)
    try:
        expected = parse(event).transaction_id
    except InvalidTransaction:
        return  # what parse refuses is never spooled
    assert id_of(event) == expected


def test_a_part_of_an_older_version_is_read(store: RunStore, s3: FakeS3) -> None:
    head = (
        b'{"first_index":0,"events":1,"input_bytes":9,"input_sha256":"x","lines":1,"columns":null,'
        b'"invalid":0,"invalid_lines":[],"version":1}'
    )
    store.put("part", head + b"\n" + lines(1))
    header, events = read_part(store, "part")
    assert (header.end, header.blank, len(events)) == (1, 0, 1)
