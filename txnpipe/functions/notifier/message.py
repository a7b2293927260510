"""One alert as an SNS message."""

from __future__ import annotations

import json
from datetime import datetime
from decimal import Decimal
from typing import Any

from txnpipe.functions.alerts import Alert

SUBJECT_CHARACTERS = 99
"""SNS: fewer than 100 characters, ASCII, no line break or control character."""


def batch_entry(alert: Alert, entry_id: str) -> dict[str, Any]:
    """The alert as one entry of PublishBatch, with the attributes alert_id and rule."""
    return {
        "Id": entry_id,
        "Subject": subject(alert),
        "Message": body(alert),
        "MessageAttributes": {
            "alert_id": {"DataType": "String", "StringValue": alert.alert_id},
            "rule": {"DataType": "String", "StringValue": alert.rule},
        },
    }


def subject(alert: Alert) -> str:
    """For a list of mails: "Alert large_amount: 12000.00, account a-1, transaction txn123"."""
    account = f", account {alert.account_id}" if alert.account_id else ""
    text = f"Alert {alert.rule}: {alert.amount}{account}, transaction {alert.transaction_id}"
    ascii_text = "".join(letter if " " <= letter <= "~" else "?" for letter in text)
    if len(ascii_text) > SUBJECT_CHARACTERS:
        return ascii_text[: SUBJECT_CHARACTERS - 3] + "..."
    return ascii_text


def body(alert: Alert) -> str:
    """The alert as JSON, with the keys of the alert stream. The amount is a number with two decimals."""
    fields = [f"{json.dumps(name)}: {_json(value)}" for name, value in alert._asdict().items()]
    return "{" + ", ".join(fields) + "}"


def _json(value: str | Decimal | datetime | None) -> str:
    if isinstance(value, Decimal):
        return str(value)  # json would turn it into a float
    if isinstance(value, datetime):
        return f'"{value.isoformat()}Z"'
    return json.dumps(value)


def size(entry: dict[str, Any]) -> int:
    """Bytes that SNS counts for an entry: message, and names, types and values of its attributes."""
    attributes = entry["MessageAttributes"].items()
    return len(entry["Message"].encode()) + sum(
        len(name) + len(value["DataType"]) + len(value["StringValue"].encode()) for name, value in attributes
    )
