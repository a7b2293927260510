"""Reading the event of an event source mapping."""

from __future__ import annotations

from datetime import datetime

from tests.corpus.lambda_events import TRANSACTION_STREAM_ARN, kinesis_event, kinesis_record
from txnpipe.functions.records import read_batch


def test_a_record_carries_its_origin_and_the_producers_bytes() -> None:
    batch = read_batch(kinesis_event([b"a", b"\x00\xff"], shard=7))
    assert (batch.stream, batch.stream_arn) == ("TransactionStream", TRANSACTION_STREAM_ARN)
    assert [record.data for record in batch.records] == [b"a", b"\x00\xff"]
    second = batch.records[1]
    assert second.shard_id == "shardId-000000000007"
    assert second.sequence_number == "49590338271490256608559692538361571095921575989136588899"
    assert second.arrived_at == datetime(2026, 1, 1, 0, 0, 0, 126_000)
    assert second.intact


def test_what_is_not_base64_is_kept_as_it_came() -> None:
    texts = ["{", "YQ", "YQ==YQ==", "YQ== ", "Y\nQ==", "é"]
    records = read_batch({"Records": [kinesis_record(text, n) for n, text in enumerate(texts)]}).records
    assert not any(record.intact for record in records)
    assert records[0].data == b"{"


def test_an_event_without_records_is_an_empty_batch() -> None:
    assert read_batch({}).records == []
    assert read_batch({"Records": []}).records == []
