"""What an on-failure destination gets."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.unit.local.event_sources.doubles import ERROR, FUNCTION, NOW, OK, SHARD, STREAM, a_mapping, records
from txnpipe.local.event_sources.delivery import DestinationError, Discard
from txnpipe.local.event_sources.destination import send


class Clients:
    """Stands for every AWS client; remembers the calls."""

    def __init__(self, failure: Exception | None = None) -> None:
        self.calls: list[tuple[str, str, dict[str, Any]]] = []
        self._failure = failure
        self._service = ""

    def __call__(self, service: str, region: str) -> Clients:
        assert region == "us-east-1"
        self._service = service
        return self

    def __getattr__(self, name: str) -> Any:
        def call(**arguments: Any) -> dict[str, Any]:
            if self._failure:
                raise self._failure
            self.calls.append((self._service, name, arguments))
            return {"QueueUrl": "http://queue"}

        return call


DISCARD = Discard(records(3), "RetryAttemptsExhausted", 4, ERROR)


def sent(destination: str, discard: Discard = DISCARD) -> list[tuple[str, str, dict[str, Any]]]:
    clients = Clients()
    send(discard, a_mapping(on_failure=destination), SHARD, clients, NOW)
    return clients.calls


def test_s3_gets_the_record_with_the_whole_event_under_lambdas_key() -> None:
    ((service, name, arguments),) = sent("arn:aws:s3:::bucket")
    assert (service, name, arguments["Bucket"]) == ("s3", "put_object", "bucket")
    assert re.fullmatch(
        r"aws/lambda/6c6f1f5e-0000-4000-8000-000000000001/shardId-000000000000/2023/11/14/"
        r"2023-11-14T22\.13\.20-[0-9a-f-]{36}",
        arguments["Key"],
    )
    record = json.loads(arguments["Body"])
    payload = json.loads(record.pop("payload"))
    assert [r["kinesis"]["sequenceNumber"] for r in payload["Records"]] == ["1", "2", "3"]
    assert record == {
        "requestContext": {
            "requestId": "request",
            "functionArn": FUNCTION,
            "condition": "RetryAttemptsExhausted",
            "approximateInvokeCount": 4,
        },
        "responseContext": {"statusCode": 200, "executedVersion": "$LATEST", "functionError": "Unhandled"},
        "version": "1.0",
        "timestamp": "2023-11-14T22:13:20.000Z",
        "KinesisBatchInfo": {
            "shardId": SHARD,
            "startSequenceNumber": "1",
            "endSequenceNumber": "3",
            "approximateArrivalOfFirstRecord": "2023-11-14T22:13:20.000Z",
            "approximateArrivalOfLastRecord": "2023-11-14T22:13:20.000Z",
            "batchSize": 3,
            "streamArn": STREAM,
        },
    }


def test_a_queue_and_a_topic_get_the_metadata_only() -> None:
    lookup, message = sent("arn:aws:sqs:us-east-1:000000000000:failed")
    assert lookup == ("sqs", "get_queue_url", {"QueueName": "failed"})
    assert message[2]["QueueUrl"] == "http://queue"
    ((_, _, publication),) = sent("arn:aws:sns:us-east-1:000000000000:failed")
    assert publication["TopicArn"] == "arn:aws:sns:us-east-1:000000000000:failed"
    for text in (message[2]["MessageBody"], publication["Message"]):
        assert "payload" not in json.loads(text)
        assert json.loads(text)["KinesisBatchInfo"]["batchSize"] == 3


def test_records_that_were_never_invoked_have_no_response_context() -> None:
    ((_, _, arguments),) = sent("arn:aws:s3:::bucket", Discard(records(1), "RecordAgeExceeded", 0, None))
    record = json.loads(arguments["Body"])
    assert "responseContext" not in record
    assert record["requestContext"]["approximateInvokeCount"] == 0


def test_reported_failures_are_no_function_error() -> None:
    ((_, _, arguments),) = sent("arn:aws:s3:::bucket", Discard(records(1), "RetryAttemptsExhausted", 1, OK))
    assert "functionError" not in json.loads(arguments["Body"])["responseContext"]


def test_without_a_destination_nothing_is_sent() -> None:
    clients = Clients()
    send(DISCARD, a_mapping(), SHARD, clients, NOW)
    assert clients.calls == []


def test_a_refusal_is_a_destination_error() -> None:
    refusal = ClientError({"Error": {"Code": "NoSuchBucket", "Message": "gone"}}, "PutObject")
    with pytest.raises(DestinationError, match="NoSuchBucket"):
        send(DISCARD, a_mapping(on_failure="arn:aws:s3:::bucket"), SHARD, Clients(refusal), NOW)
