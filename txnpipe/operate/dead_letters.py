"""Batches that Lambda gave up on, in the pipeline's on-failure bucket.

Lambda writes one object per batch, aws/lambda/MAPPING/SHARD/YYYY/MM/DD/YYYY-MM-DDTHH.MM.SS-RANDOM: a JSON
document that says where the batch lies in the stream and why it failed; for S3 it carries the whole event in
`payload`, as text.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from txnpipe.aws import translated
from txnpipe.names import BucketKeys


@dataclass(frozen=True)
class DeadLetter:
    """One failed batch. condition: Lambda's word for the cause (RetryAttemptsExhausted, ...).

    records: the payloads, empty where the object does not hold them.
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
    records: tuple[bytes, ...]


def list_dead_letters(s3: Any, bucket: str, since: datetime | None = None) -> Iterator[DeadLetter]:
    """The failed batches, oldest first within a shard. since: of writing, with a zone."""
    with translated("list the failed batches in", f"the bucket {bucket}"):
        pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=BucketKeys.FAILED)
        for page in pages:
            for entry in page.get("Contents", ()):
                if since is None or entry["LastModified"] >= since:
                    body = s3.get_object(Bucket=bucket, Key=entry["Key"])["Body"].read()
                    yield read_dead_letter(entry["Key"], entry["LastModified"], body)


def read_dead_letter(key: str, written_at: datetime, body: bytes) -> DeadLetter:
    """Reads one object. What is no such document is still a dead letter, without records."""
    try:
        document = json.loads(body)
    except ValueError:
        document = {}
    if not isinstance(document, dict):
        document = {}
    batch = document.get("KinesisBatchInfo") or {}
    response = document.get("responseContext") or {}
    request = document.get("requestContext") or {}
    return DeadLetter(
        key=key,
        written_at=written_at,
        stream=str(batch.get("streamArn", "")).rpartition("/")[2],
        shard_id=str(batch.get("shardId", "")),
        first_sequence_number=str(batch.get("startSequenceNumber", "")),
        last_sequence_number=str(batch.get("endSequenceNumber", "")),
        batch_size=int(batch.get("batchSize", 0)),
        condition=str(request.get("condition", "")),
        error=str(response.get("functionError") or ""),
        records=_records(document.get("payload")),
    )


def _records(payload: Any) -> tuple[bytes, ...]:
    event = payload
    if isinstance(payload, str):
        try:
            event = json.loads(payload)
        except ValueError:
            return ()
    records = event.get("Records") if isinstance(event, dict) else None
    found = []
    for record in records or ():
        try:
            found.append(base64.b64decode(record["kinesis"]["data"], validate=True))
        except (KeyError, TypeError, binascii.Error):
            continue
    return tuple(found)
