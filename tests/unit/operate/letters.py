"""On-failure objects as Lambda writes them to S3."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence

STREAM = "TransactionStream"
SHARD = "shardId-000000000000"


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
    records: Sequence[tuple[str, str, bytes]], *, stream: str = STREAM, payload: bool = True
) -> bytes:
    """The object about a batch of these records."""
    document = {
        "requestContext": {
            "functionArn": "arn:aws:lambda:us-east-1:000000000000:function:TransactionLoader",
            "condition": "RetryAttemptsExhausted",
        },
        "responseContext": {"statusCode": 200, "functionError": "Unhandled"},
        "KinesisBatchInfo": {
            "shardId": SHARD,
            "startSequenceNumber": records[0][1],
            "endSequenceNumber": records[-1][1],
            "batchSize": len(records),
            "streamArn": f"arn:aws:kinesis:us-east-1:000000000000:stream/{stream}",
        },
    }
    if payload:
        document["payload"] = event_of(records)
    return json.dumps(document).encode()
