"""The event a function gets. Each record is rendered to JSON once, as text; batches only join and cut.

The record's data is base64 in the store, on the wire and in the event: it is passed through as it is.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import NamedTuple

MAX_EVENT_BYTES = 6_291_456
"""Lambda's limit of a synchronous invocation's payload: 6 MB."""
_HEAD, _TAIL = b'{"Records":[', b"]}"

_quoted = json.encoder.encode_basestring_ascii


class Record(NamedTuple):
    """A record on its way to the function. text: its JSON, ASCII only. arrived_at: epoch seconds."""

    sequence_number: str
    arrived_at: float
    text: str


class RecordRenderer:
    """Renders the records of one shard: Lambda's `Records[]` element for Kinesis."""

    def __init__(self, source_arn: str, shard_id: str, role: str) -> None:
        region = source_arn.split(":")[3]
        self._shard = shard_id
        self._end = (
            '"},"eventSource":"aws:kinesis","eventVersion":"1.0","eventName":"aws:kinesis:record",'
            f'"invokeIdentityArn":{_quoted(role)},"awsRegion":{_quoted(region)},'
            f'"eventSourceARN":{_quoted(source_arn)}}}'
        )

    def render(self, sequence_number: str, partition_key: str, data: str, arrived_at: float) -> Record:
        """One record of the shard."""
        text = (
            f'{{"eventID":"{self._shard}:{sequence_number}","kinesis":{{"kinesisSchemaVersion":"1.0",'
            f'"partitionKey":{_quoted(partition_key)},"sequenceNumber":"{sequence_number}",'
            f'"approximateArrivalTimestamp":{arrived_at:.3f},"data":"{data}{self._end}'
        )
        return Record(sequence_number, arrived_at, text)


def event_of(records: Sequence[Record]) -> bytes:
    """The payload of one invocation."""
    return b"".join((_HEAD, ",".join([record.text for record in records]).encode("ascii"), _TAIL))


def fitting(records: Sequence[Record], limit: int, max_bytes: int = MAX_EVENT_BYTES) -> int:
    """How many of the first records make one event: at most `limit`, at most `max_bytes`, at least one."""
    size = len(_HEAD) + len(_TAIL)
    count = 0
    for record in records[:limit]:
        size += len(record.text) + 1
        if size > max_bytes:
            break
        count += 1
    return max(count, 1)


def too_large(record: Record) -> bool:
    """Whether a record cannot be delivered even alone. Kinesis takes records of up to 10 MiB."""
    return len(record.text) + len(_HEAD) + len(_TAIL) > MAX_EVENT_BYTES
