"""On-failure objects as Lambda writes them to S3, and functions that get them again."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from botocore.exceptions import ClientError

STREAM = "TransactionStream"
SHARD = "shardId-000000000000"
LOADER, NOTIFIER = "TransactionLoader", "TransactionNotifier"


def event_of(records: Sequence[tuple[str, str, bytes]]) -> str:
    """The event that the function got: partition key, sequence number and payload of each record."""
    return json.dumps(
        {
            "Records": [
                {
                    "kinesis": {
                        "partitionKey": key,
                        "sequenceNumber": number,
                        "data": base64.b64encode(data).decode(),
                    }
                }
                for key, number, data in records
            ]
        }
    )


def letter_of(
    records: Sequence[tuple[str, str, bytes]],
    *,
    stream: str = STREAM,
    function: str = LOADER,
    payload: str | None = None,
) -> bytes:
    """The object about a batch of these records. payload: instead of the whole event."""
    document = {
        "requestContext": {
            "requestId": "c9b8fa9f-5a7f-xmpl-af9c-0c604cde93a5",
            "functionArn": f"arn:aws:lambda:us-east-1:000000000000:function:{function}",
            "condition": "RetryAttemptsExhausted",
            "approximateInvokeCount": 1,
        },
        "responseContext": {"statusCode": 200, "executedVersion": "$LATEST", "functionError": "Unhandled"},
        "version": "1.0",
        "timestamp": "2026-11-24T05:31:12.021Z",
        "KinesisBatchInfo": {
            "shardId": SHARD,
            "startSequenceNumber": records[0][1],
            "endSequenceNumber": records[-1][1],
            "approximateArrivalOfFirstRecord": "2026-11-24T05:31:04.835Z",
            "approximateArrivalOfLastRecord": "2026-11-24T05:31:05.580Z",
            "batchSize": len(records),
            "streamArn": f"arn:aws:kinesis:us-east-1:000000000000:stream/{stream}",
        },
        "payload": event_of(records) if payload is None else payload,
    }
    return json.dumps(document).encode()


@dataclass
class Functions:
    """`Invoke` of the pipeline's functions: remembers who got which event.

    failing: functions that raise. partly: those that report a failed record. error: what the service raises.
    """

    calls: list[tuple[str, str]] = field(default_factory=list)
    failing: set[str] = field(default_factory=set)
    partly: set[str] = field(default_factory=set)
    error: BaseException | None = None

    def invoke(self, **request: Any) -> dict[str, Any]:
        if self.error is not None:
            raise self.error
        name, payload = request["FunctionName"], request["Payload"].decode()
        self.calls.append((name, payload))
        if name in self.failing:
            told = {"errorType": "OperationalError", "errorMessage": "no route to host\nrow (1, secret)"}
            return {"StatusCode": 200, "FunctionError": "Unhandled", "Payload": _body(told)}
        failures = [{"itemIdentifier": "7"}] if name in self.partly else []
        return {"StatusCode": 200, "Payload": _body({"batchItemFailures": failures})}


def refused(code: str) -> ClientError:
    """What the service answers instead of calling a function."""
    return ClientError({"Error": {"Code": code, "Message": "no"}}, "Invoke")


def _body(document: object) -> io.BytesIO:
    return io.BytesIO(json.dumps(document).encode())
