"""Reads the event that a Kinesis event source mapping hands to a function.

    {"Records": [{"eventID": "shardId-000000000000:4959…", "eventSourceARN": "arn:aws:kinesis:…:stream/NAME",
                  "kinesis": {"data": BASE64, "sequenceNumber": …, "approximateArrivalTimestamp": SECONDS}}]}

All records of one event come from one shard of one stream, in order.
"""

from __future__ import annotations

import binascii
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, NamedTuple


class StreamRecord(NamedTuple):
    """One record. `arrived_at` is when Kinesis took it, UTC without a zone.

    `data` is what the producer put. Where the event's base64 is broken it is that text itself, and `intact`
    is False.
    """

    shard_id: str
    sequence_number: str
    arrived_at: datetime
    data: bytes
    intact: bool


class Batch(NamedTuple):
    """The records of one event; `stream` is the stream's name, `stream_arn` its ARN."""

    stream_arn: str
    stream: str
    records: list[StreamRecord]


def read_batch(event: Mapping[str, Any]) -> Batch:
    """The event as a batch. An event without records is an empty batch of no stream."""
    raw = event.get("Records") or []
    if not raw:
        return Batch("", "", [])
    stream_arn = raw[0]["eventSourceARN"]
    shard_id = raw[0]["eventID"].partition(":")[0]
    stream = stream_arn.partition(":stream/")[2]
    records = []
    moments: dict[float, datetime] = {}  # records put in one call share theirs
    for entry in raw:
        kinesis = entry["kinesis"]
        text = kinesis["data"]
        try:
            data, intact = binascii.a2b_base64(text, strict_mode=True), True
        except ValueError:
            data, intact = text.encode(errors="replace"), False
        seconds = kinesis["approximateArrivalTimestamp"]
        arrived_at = moments.get(seconds)
        if arrived_at is None:
            arrived_at = moments[seconds] = _EPOCH + timedelta(0, seconds)
        records.append(StreamRecord(shard_id, kinesis["sequenceNumber"], arrived_at, data, intact))
    return Batch(stream_arn, stream, records)


_EPOCH = datetime(1970, 1, 1)


def age_ms(records: list[StreamRecord], now: datetime) -> int:
    """Milliseconds since Kinesis took the oldest of the records; 0 where its clock is ahead of this one's.

    now: UTC without a zone. Arrival times need not rise with the sequence numbers (Kinesis, Record).
    """
    oldest = min([record.arrived_at for record in records])
    return max(0, round((now - oldest).total_seconds() * 1000))
