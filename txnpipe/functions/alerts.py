"""The contract of one alert, as the analytics app writes it to the alert stream.

    {"alert_id": "large_amount:txn123", "rule": "large_amount", "transaction_id": "txn123",
     "account_id": "a-1", "amount": 12000.00, "event_time": "2024-12-21T10:00:00Z",
     "detected_at": "2026-01-01T00:00:00.123Z", "run_id": null, "detail": "amount above 10000"}

The rules of strings, amounts and timestamps are those of the event contract, and so are the reasons for
refusing one. account_id, run_id and detail may be absent.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import NamedTuple

from txnpipe.transactions import (
    ACCOUNT_ID_BYTES,
    RUN_ID_BYTES,
    TRANSACTION_ID_BYTES,
    amount,
    json_object,
    optional_text,
    required_text,
    timestamp,
)

ALERT_ID_BYTES = 120
RULE_BYTES = 50
DETAIL_BYTES = 1000


class Alert(NamedTuple):
    """One alert; the fields are the first columns of the table `alerts`, in order. Times are naive UTC."""

    alert_id: str
    rule: str
    transaction_id: str
    account_id: str | None
    amount: Decimal
    event_time: datetime
    detected_at: datetime
    run_id: str | None
    detail: str | None


def parse_alert(data: bytes) -> Alert:
    """Reads one alert. Raises InvalidTransaction, and nothing else."""
    fields = json_object(data)
    return Alert(
        required_text(fields, "alert_id", ALERT_ID_BYTES, identifier=True),
        required_text(fields, "rule", RULE_BYTES, identifier=True),
        required_text(fields, "transaction_id", TRANSACTION_ID_BYTES, identifier=True),
        optional_text(fields, "account_id", ACCOUNT_ID_BYTES, identifier=True),
        amount(fields, "amount"),
        timestamp(fields, "event_time"),
        timestamp(fields, "detected_at"),
        optional_text(fields, "run_id", RUN_ID_BYTES, identifier=True),
        optional_text(fields, "detail", DETAIL_BYTES),
    )
