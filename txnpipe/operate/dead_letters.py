"""Batches that Lambda gave up on, in the pipeline's on-failure bucket.

Lambda writes one object per batch, aws/lambda/MAPPING/SHARD/YYYY/MM/DD/YYYY-MM-DDTHH.MM.SS-RANDOM: a JSON
document with requestContext (function, condition), responseContext (functionError), version, timestamp and
KinesisBatchInfo (where the batch lies in the stream); for S3 also the function's whole event in `payload`, as
escaped text ("Retain discarded batch records for a Kinesis Data Streams event source in Lambda", developer
guide, kinesis-on-failure-destination). What a document lacks is read as "" or 0.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from txnpipe.aws import translated
from txnpipe.errors import ExitCode, TxnpipeError, usage_error
from txnpipe.names import BucketKeys

MAX_OBJECT_BYTES = 32 * 1024 * 1024
"""A larger object is not read, and counts as one without records. An event has 6 MB at most (Lambda's quota
of a synchronous invocation); as text in JSON every quote takes a byte more."""


@dataclass(frozen=True)
class FailedRecord:
    """One record of a failed batch. partition_key and sequence_number are "" where they are not told."""

    partition_key: str
    sequence_number: str
    data: bytes


@dataclass(frozen=True)
class Entry:
    """One object below the prefix, unread. size in bytes."""

    key: str
    written_at: datetime
    size: int

    @property
    def name(self) -> str:
        """The last part of the key, which no two share: YYYY-MM-DDTHH.MM.SS-RANDOM."""
        return self.key.rpartition("/")[2]


@dataclass(frozen=True)
class DeadLetter:
    """One failed batch. condition: Lambda's word for the cause (RetryAttemptsExhausted, ...).

    batch_size: records that Lambda says it had. records: those whose payload the object holds. function: its
    name. size: of the object, in bytes. event: what the function got, as text; "" where it is not there.
    """

    key: str
    written_at: datetime
    stream: str
    shard_id: str
    first_sequence_number: str
    last_sequence_number: str
    batch_size: int
    condition: str
    error: str
    records: tuple[FailedRecord, ...]
    function: str = ""
    size: int = 0
    event: str = field(default="", repr=False)

    @property
    def name(self) -> str:
        """The last part of the key."""
        return self.key.rpartition("/")[2]

    @property
    def complete(self) -> bool:
        """Whether the object holds every record of the batch."""
        return len(self.records) >= max(self.batch_size, 1)

    def mentions(self, text: bytes) -> bool:
        """Whether the payload of a record has these bytes in it."""
        return any(text in each.data for each in self.records)


def list_entries(s3: Any, bucket: str, since: datetime | None = None) -> Iterator[Entry]:
    """The objects, unread, in the order of their keys: oldest first within a shard. since: with a zone."""
    with translated("list the failed batches in", f"the bucket {bucket}"):
        pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=BucketKeys.FAILED)
        for page in pages:
            for entry in page.get("Contents", ()):
                if since is None or entry["LastModified"] >= since:
                    yield Entry(entry["Key"], entry["LastModified"], int(entry["Size"]))


def list_dead_letters(s3: Any, bucket: str, since: datetime | None = None) -> Iterator[DeadLetter]:
    """The failed batches, oldest first within a shard. since: of writing, with a zone.

    One is read at a time: a batch takes megabytes. One that somebody removes meanwhile is left out.
    """
    for entry in list_entries(s3, bucket, since):
        letter = open_dead_letter(s3, bucket, entry)
        if letter is not None:
            yield letter


def choose_entries(s3: Any, bucket: str, keys: Sequence[str]) -> list[Entry]:
    """The objects that `keys` name, each by its whole key or by its last part, oldest first within a shard;
    all of them where `keys` is empty.

    Raises TxnpipeError: NOT_FOUND where there is none of a name; USAGE where a name fits more than one.
    """
    entries = list(list_entries(s3, bucket))
    if not keys:
        return entries
    wanted: set[str] = set()
    for key in keys:
        fitting = [entry for entry in entries if key in {entry.key, entry.name}]
        if not fitting:
            raise TxnpipeError(
                f"There is no failed batch {key}.",
                "txnpipe dead-letters list shows them.",
                ExitCode.NOT_FOUND,
            )
        if len(fitting) > 1:
            raise usage_error(
                f"{len(fitting)} failed batches are called {key}.",
                "Pass the whole key: txnpipe dead-letters list --json shows it.",
            )
        wanted.add(fitting[0].key)
    return [entry for entry in entries if entry.key in wanted]


def open_dead_letter(s3: Any, bucket: str, entry: Entry) -> DeadLetter | None:
    """Reads one object; None where it is gone."""
    body = b""
    if entry.size <= MAX_OBJECT_BYTES:
        with translated("read a failed batch in", f"the bucket {bucket}"):
            try:
                body = s3.get_object(Bucket=bucket, Key=entry.key)["Body"].read()
            except s3.exceptions.NoSuchKey:
                return None
    return read_dead_letter(entry.key, entry.written_at, body, size=entry.size)


def delete_dead_letter(s3: Any, bucket: str, key: str) -> None:
    """Removes one object. One that is gone already is no error. Raises ValueError for any other object."""
    if not key.startswith(BucketKeys.FAILED):
        raise ValueError(f"{key} is no failed batch")
    with translated("delete a failed batch in", f"the bucket {bucket}"):
        s3.delete_object(Bucket=bucket, Key=key)


def read_dead_letter(key: str, written_at: datetime, body: bytes, *, size: int | None = None) -> DeadLetter:
    """Reads one object's content. What is no such document is still a dead letter, without records."""
    document = _mapping(_parsed(body))
    batch = _mapping(document.get("KinesisBatchInfo"))
    response = _mapping(document.get("responseContext"))
    request = _mapping(document.get("requestContext"))
    batch_size = batch.get("batchSize")
    payload = document.get("payload")
    event = payload if isinstance(payload, str) else ""
    return DeadLetter(
        key=key,
        written_at=written_at,
        stream=str(batch.get("streamArn", "")).rpartition("/")[2],
        shard_id=str(batch.get("shardId", "")),
        first_sequence_number=str(batch.get("startSequenceNumber", "")),
        last_sequence_number=str(batch.get("endSequenceNumber", "")),
        batch_size=batch_size if isinstance(batch_size, int) else 0,
        condition=str(request.get("condition", "")),
        error=str(response.get("functionError") or ""),
        records=_records(event),
        function=_function(str(request.get("functionArn", ""))),
        size=len(body) if size is None else size,
        event=event,
    )


def _parsed(text: Any) -> Any:
    """What JSON says; None where it is none."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _function(arn: str) -> str:
    """The name in a function's ARN, without a version: arn:aws:lambda:REGION:ACCOUNT:function:NAME."""
    parts = arn.split(":")
    return parts[6] if len(parts) > 6 else ""


def _records(event: str) -> tuple[FailedRecord, ...]:
    records = _mapping(_parsed(event)).get("Records")
    found = []
    for record in records if isinstance(records, list) else ():
        try:
            kinesis = record["kinesis"]
            data = base64.b64decode(kinesis["data"], validate=True)
            found.append(
                FailedRecord(
                    str(kinesis.get("partitionKey", "")), str(kinesis.get("sequenceNumber", "")), data
                )
            )
        except (AttributeError, KeyError, TypeError, ValueError, binascii.Error):
            continue
    return tuple(found)
