"""Events as a Kinesis event source mapping makes them, from payloads."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from typing import Any

TRANSACTION_STREAM_ARN = "arn:aws:kinesis:us-east-1:123456789012:stream/TransactionStream"
ALERT_STREAM_ARN = "arn:aws:kinesis:us-east-1:123456789012:stream/TransactionAlerts"
FIRST_SEQUENCE_NUMBER = 49590338271490256608559692538361571095921575989136588898
ARRIVED_AT = 1_767_225_600.125
"""2026-01-01T00:00:00.125Z; each further record arrives a millisecond later."""


def kinesis_record(
    data: bytes | str,
    offset: int = 0,
    *,
    stream_arn: str = TRANSACTION_STREAM_ARN,
    shard: int = 0,
    arrived_at: float = ARRIVED_AT,
) -> dict[str, Any]:
    """One record at `offset` of its shard. A str stands as it is where base64 belongs."""
    shard_id = f"shardId-{shard:012d}"
    sequence_number = str(FIRST_SEQUENCE_NUMBER + offset)
    return {
        "eventID": f"{shard_id}:{sequence_number}",
        "eventVersion": "1.0",
        "eventSource": "aws:kinesis",
        "eventName": "aws:kinesis:record",
        "eventSourceARN": stream_arn,
        "awsRegion": "us-east-1",
        "invokeIdentityArn": "arn:aws:iam::123456789012:role/TransactionLoaderRole",
        "kinesis": {
            "kinesisSchemaVersion": "1.0",
            "partitionKey": "k",
            "sequenceNumber": sequence_number,
            "data": base64.b64encode(data).decode() if isinstance(data, bytes) else data,
            "approximateArrivalTimestamp": arrived_at + offset / 1000,
        },
    }


def kinesis_event(payloads: Iterable[bytes | str], first: int = 0, **where: Any) -> dict[str, Any]:
    """The payloads as neighbours in one shard, the first one at offset `first`."""
    return {"Records": [kinesis_record(data, first + n, **where) for n, data in enumerate(payloads)]}
