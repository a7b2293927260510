"""Rendering and cutting events."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from tests.unit.local.event_sources.doubles import NOW, STREAM, records
from txnpipe.local.event_sources.events import RecordRenderer, event_of, fitting, too_large


@given(st.text(min_size=1, max_size=256))
def test_any_partition_key_survives(key: str) -> None:
    record = RecordRenderer(STREAM, "shardId-000000000000", "role").render("1", key, "eA==", NOW)
    (shown,) = json.loads(event_of([record]))["Records"]
    assert shown["kinesis"]["partitionKey"] == key


def test_arrival_has_milliseconds() -> None:
    record = RecordRenderer(STREAM, "shardId-000000000000", "role").render("1", "k", "", 1545084650.98765)
    assert '"approximateArrivalTimestamp":1545084650.988,' in record.text


@given(st.integers(1, 20), st.integers(1, 20), st.integers(10, 3000))
def test_as_many_records_as_fit_and_no_more(count: int, limit: int, max_bytes: int) -> None:
    some = records(count)
    taken = fitting(some, limit, max_bytes)
    assert 1 <= taken <= min(count, limit)
    assert taken == 1 or len(event_of(some[:taken])) <= max_bytes
    if taken < min(count, limit):
        assert len(event_of(some[: taken + 1])) > max_bytes - 1


def test_a_record_of_kinesis_largest_size_is_too_large() -> None:
    renderer = RecordRenderer(STREAM, "shardId-000000000000", "role")
    assert too_large(renderer.render("1", "k", "A" * 6_291_456, NOW))
    assert not too_large(renderer.render("1", "k", "A" * 6_000_000, NOW))
