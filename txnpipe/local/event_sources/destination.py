"""On-failure destinations: what Lambda writes about records it gives up, and where.

The record's fields and the S3 key are those of "Retain discarded batch records for a Kinesis Data Streams
event source" (AWS documentation). Only S3 gets the records themselves, as `payload`: the event, as text.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from txnpipe.local.event_sources.delivery import DestinationError, Discard
from txnpipe.local.event_sources.events import event_of
from txnpipe.local.event_sources.mapping import Mapping


def send(
    discard: Discard, mapping: Mapping, shard_id: str, client: Callable[[str, str], Any], now: float
) -> None:
    """Sends discarded records to the mapping's destination. Raises DestinationError.

    client: makes boto3 clients, as LocalContext does. now: epoch seconds.
    """
    from botocore.exceptions import BotoCoreError, ClientError

    destination = mapping.on_failure
    if destination is None:
        return
    service, resource = destination.split(":")[2], destination.split(":", 5)[5]
    record = failure_record(discard, mapping, shard_id, now)
    try:
        if service == "s3":
            record["payload"] = event_of(discard.records).decode()
            client("s3", mapping.region).put_object(
                Bucket=resource,
                Key=object_key(mapping.uuid, shard_id, now),
                Body=json.dumps(record).encode(),
                ContentType="application/json",
            )
        elif service == "sqs":
            queue = client("sqs", mapping.region)
            url = queue.get_queue_url(QueueName=resource)["QueueUrl"]
            queue.send_message(QueueUrl=url, MessageBody=json.dumps(record))
        else:
            client("sns", mapping.region).publish(TopicArn=destination, Message=json.dumps(record))
    except (ClientError, BotoCoreError) as error:
        raise DestinationError(str(error)) from error


def failure_record(discard: Discard, mapping: Mapping, shard_id: str, now: float) -> dict[str, Any]:
    """The JSON document about discarded records, without `payload`."""
    first, last = discard.records[0], discard.records[-1]
    result = discard.result
    record: dict[str, Any] = {
        "requestContext": {
            "requestId": result.request_id if result and result.request_id else str(uuid.uuid4()),
            "functionArn": mapping.function_arn,
            "condition": discard.condition,
            "approximateInvokeCount": discard.invocations,
        },
        "version": "1.0",
        "timestamp": _milliseconds(now),
        "KinesisBatchInfo": {
            "shardId": shard_id,
            "startSequenceNumber": first.sequence_number,
            "endSequenceNumber": last.sequence_number,
            "approximateArrivalOfFirstRecord": _milliseconds(first.arrived_at),
            "approximateArrivalOfLastRecord": _milliseconds(last.arrived_at),
            "batchSize": len(discard.records),
            "streamArn": mapping.source_arn,
        },
    }
    if result is not None:
        context: dict[str, Any] = {"statusCode": 200, "executedVersion": result.version}
        if result.kind != "ok":
            context["functionError"] = "Unhandled"
        record["responseContext"] = context
    return record


def object_key(mapping_uuid: str, shard_id: str, now: float) -> str:
    """aws/lambda/UUID/SHARD/YYYY/MM/DD/YYYY-MM-DDTHH.MM.SS-RANDOM, in UTC."""
    moment = datetime.fromtimestamp(now, UTC)
    return f"aws/lambda/{mapping_uuid}/{shard_id}/{moment:%Y/%m/%d/%Y-%m-%dT%H.%M.%S}-{uuid.uuid4()}"


def _milliseconds(epoch_s: float) -> str:
    moment = datetime.fromtimestamp(epoch_s, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03d}Z"
