"""The handler that Lambda calls, and the one line it logs, which carries the batch's metrics.

Environment: TOPIC_ARN, and PIPELINE (its name, a dimension of the metrics).

Lambda loads this module in its init phase, with a whole processor and before an alert waits. So the client of
SNS is made there. Making it asks nobody anything; the topic is reached by the first batch, where a failure is
retried.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Protocol

from txnpipe.functions.alerts import parse_alert
from txnpipe.functions.log import write_line
from txnpipe.functions.metrics import NOTIFIER, PIPELINE, REFUSED
from txnpipe.functions.notifier.message import batch_entry
from txnpipe.functions.notifier.publish import publish
from txnpipe.functions.records import StreamRecord, age_ms, read_batch
from txnpipe.transactions import InvalidTransaction

Failures = dict[str, list[dict[str, str]]]


class Context(Protocol):
    """What is used of Lambda's context object."""

    aws_request_id: str


_warm: list[Any] = []
"""The SNS client of this process."""


def handler(event: Mapping[str, Any], context: Context) -> Failures:
    """Publishes the alerts of one batch; reports the record to resume at where that was not possible."""
    topic_arn, pipeline = os.environ["TOPIC_ARN"], os.environ["PIPELINE"]
    return notify(event, _warm[0], topic_arn, context.aws_request_id, pipeline)


def notify(event: Mapping[str, Any], client: Any, topic_arn: str, request_id: str, pipeline: str) -> Failures:
    """What the handler does, with the client and the names given. Raises what boto3 raises."""
    batch = read_batch(event)
    entries: list[dict[str, Any]] = []
    seen: set[str] = set()
    invalid = 0
    for record in batch.records:
        try:
            alert = parse_alert(record.data)
        except InvalidTransaction as error:
            invalid += 1
            _warn("record is no alert, passed over", record, request_id, reason=error.reason)
            continue
        if alert.alert_id not in seen:
            seen.add(alert.alert_id)
            entries.append(batch_entry(alert, record.sequence_number))
    if not batch.records:
        return {"batchItemFailures": []}
    published = publish(client, topic_arn, entries)
    by_number = {record.sequence_number: record for record in batch.records}
    for number, cause in published.refused.items():
        _warn("alert refused by the topic, given up", by_number[number], request_id, error=cause)
    now = datetime.now(UTC)
    age = age_ms(batch.records, now.replace(tzinfo=None))
    write_line(
        "ERROR" if published.resume_at else "INFO",
        "alerts not all published, the rest will be retried" if published.resume_at else "alerts published",
        request_id=request_id,
        stream=batch.stream,
        shard_id=batch.records[0].shard_id,
        first_sequence_number=batch.records[0].sequence_number,
        last_sequence_number=batch.records[-1].sequence_number,
        records=len(batch.records),
        published=len(published.delivered),
        duplicates=len(batch.records) - invalid - len(entries),
        invalid=invalid,
        refused=len(published.refused),
        iterator_age_ms=age,
        **({"resume_at": published.resume_at, "error": published.error} if published.resume_at else {}),
        **NOTIFIER.document(
            round(now.timestamp() * 1000),
            {PIPELINE: pipeline},
            {
                "Published": len(published.delivered),
                REFUSED: len(published.refused),
                "Invalid": invalid,
                "NotifierIteratorAge": age,
            },
        ),
    )
    failed = [{"itemIdentifier": published.resume_at}] if published.resume_at else []
    return {"batchItemFailures": failed}


def _warn(message: str, record: StreamRecord, request_id: str, **fields: str) -> None:
    write_line(
        "WARN",
        message,
        request_id=request_id,
        shard_id=record.shard_id,
        sequence_number=record.sequence_number,
        **fields,
    )


def _sns() -> Any:
    import boto3
    from botocore.config import Config

    return boto3.client(
        "sns",
        config=Config(connect_timeout=3, read_timeout=5, retries={"mode": "standard", "max_attempts": 3}),
    )


if "AWS_LAMBDA_INITIALIZATION_TYPE" in os.environ:  # in a worker of Lambda, not in a test
    _warm.append(_sns())
