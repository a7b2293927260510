"""The contract of one alert."""

from __future__ import annotations

import json
from datetime import datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from txnpipe.functions.alerts import Alert, parse_alert
from txnpipe.transactions import InvalidTransaction

FIELDS = {
    "alert_id": "large_amount:txn123",
    "rule": "large_amount",
    "transaction_id": "txn123",
    "account_id": None,
    "amount": 12000,
    "event_time": "2024-12-21T10:00:00Z",
    "detected_at": "2026-01-01T00:00:00.123Z",
    "run_id": None,
    "detail": "amount above 10000",
}
ALERT = Alert(
    "large_amount:txn123",
    "large_amount",
    "txn123",
    None,
    Decimal("12000.00"),
    datetime(2024, 12, 21, 10),
    datetime(2026, 1, 1, 0, 0, 0, 123_000),
    None,
    "amount above 10000",
)


def test_an_alert_is_read_with_exact_amount_and_utc_times() -> None:
    assert parse_alert(json.dumps(FIELDS).encode()) == ALERT
    assert parse_alert(json.dumps({**FIELDS, "amount": "12000.00"}).encode()) == ALERT


def test_an_id_is_as_long_as_its_column() -> None:
    longest = "x" * 120
    assert parse_alert(json.dumps({**FIELDS, "alert_id": longest}).encode()).alert_id == longest


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"alert_id": None}, "missing_field"),
        ({"alert_id": ""}, "empty_field"),
        ({"alert_id": "x" * 121}, "too_long"),
        ({"rule": 1}, "wrong_type"),
        ({"amount": "much"}, "invalid_amount"),
        ({"event_time": "now"}, "invalid_timestamp"),
        ({"detected_at": None}, "missing_field"),
        ({"detail": "x" * 1001}, "too_long"),
        ({"account_id": "a\x00"}, "control_character"),
    ],
)
def test_a_bad_alert_has_a_reason(changes: dict[str, Any], reason: str) -> None:
    with pytest.raises(InvalidTransaction) as caught:
        parse_alert(json.dumps({**FIELDS, **changes}).encode())
    assert caught.value.reason == reason


@given(st.binary(max_size=200))
def test_any_other_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(InvalidTransaction):
        parse_alert(data)
