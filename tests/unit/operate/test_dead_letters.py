"""Failed batches as Lambda writes them."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from tests.unit.local.event_sources.doubles import NOW, SHARD, a_mapping, records
from tests.unit.traffic.fakes import FakeS3
from txnpipe.local.event_sources.delivery import Discard
from txnpipe.local.event_sources.destination import send
from txnpipe.local.event_sources.events import event_of
from txnpipe.operate.dead_letters import list_dead_letters, read_dead_letter

WHEN = datetime(2026, 11, 24, tzinfo=UTC)


def document(payload: object) -> bytes:
    return json.dumps(
        {
            "requestContext": {"condition": "RecordAgeExceeded"},
            "responseContext": {"functionError": "Unhandled"},
            "KinesisBatchInfo": {
                "shardId": "shardId-000000000001",
                "startSequenceNumber": "1",
                "endSequenceNumber": "9",
                "batchSize": 3,
                "streamArn": "arn:aws:kinesis:us-east-1:000000000000:stream/TransactionStream",
            },
            "payload": payload,
        }
    ).encode()


def test_a_batch_is_read_with_its_records() -> None:
    records = [{"kinesis": {"data": base64.b64encode(data).decode()}} for data in (b"one", b"two")]
    letter = read_dead_letter("key", WHEN, document(json.dumps({"Records": [*records, {"kinesis": {}}]})))
    assert [each.data for each in letter.records] == [b"one", b"two"]
    assert (letter.stream, letter.shard_id, letter.batch_size) == (
        "TransactionStream",
        "shardId-000000000001",
        3,
    )
    assert (letter.first_sequence_number, letter.last_sequence_number) == ("1", "9")
    assert (letter.condition, letter.error) == ("RecordAgeExceeded", "Unhandled")


AS_DOCUMENTED = """{
    "requestContext": {
        "requestId": "c9b8fa9f-5a7f-xmpl-af9c-0c604cde93a5",
        "functionArn": "arn:aws:lambda:us-east-2:123456789012:function:myfunction",
        "condition": "RetryAttemptsExhausted",
        "approximateInvokeCount": 1
    },
    "responseContext": {"statusCode": 200, "executedVersion": "$LATEST", "functionError": "Unhandled"},
    "version": "1.0",
    "timestamp": "2019-11-14T00:38:06.021Z",
    "KinesisBatchInfo": {
        "shardId": "shardId-000000000001",
        "startSequenceNumber": "49601189658422359378836298521827638475320189012309704722",
        "endSequenceNumber": "49601189658422359378836298522902373528957594348623495186",
        "approximateArrivalOfFirstRecord": "2019-11-14T00:38:04.835Z",
        "approximateArrivalOfLastRecord": "2019-11-14T00:38:05.580Z",
        "batchSize": 1,
        "streamArn": "arn:aws:kinesis:us-east-2:123456789012:stream/mystream"
    },
    "payload": "{\\"Records\\": [{\\"kinesis\\": {\\"data\\": \\"b25l\\"}}]}"
}"""
"""The example of the developer guide ("Example Amazon S3 invocation record"), with an event in `payload`."""


def test_the_documented_form_is_read() -> None:
    letter = read_dead_letter("key", WHEN, AS_DOCUMENTED.encode())
    assert (letter.function, letter.stream, letter.shard_id) == (
        "myfunction",
        "mystream",
        "shardId-000000000001",
    )
    assert letter.first_sequence_number == "49601189658422359378836298521827638475320189012309704722"
    assert letter.last_sequence_number == "49601189658422359378836298522902373528957594348623495186"
    assert (letter.condition, letter.error) == ("RetryAttemptsExhausted", "Unhandled")
    assert letter.event == '{"Records": [{"kinesis": {"data": "b25l"}}]}'
    assert letter.complete
    assert letter.mentions(b"one")


def test_what_the_local_cloud_writes_is_read_with_the_event_as_the_function_got_it() -> None:
    s3 = FakeS3()
    discard = Discard(records(3), "RecordAgeExceeded", 0, None)
    send(discard, a_mapping(on_failure="arn:aws:s3:::b"), SHARD, lambda service, region: s3, NOW)
    (letter,) = list_dead_letters(s3, "b")
    assert letter.event.encode() == event_of(discard.records)
    assert letter.complete
    assert (letter.function, letter.condition, letter.error) == ("loader", "RecordAgeExceeded", "")


@given(
    st.one_of(st.binary(max_size=50), st.from_type(type(None)).map(lambda _: document([1, {"Records": 3}])))
)
def test_whatever_lies_there_is_a_dead_letter(body: bytes) -> None:
    assert read_dead_letter("key", WHEN, body).key == "key"


def test_only_those_since_then_are_listed() -> None:
    clock = [WHEN]
    s3 = FakeS3(lambda: clock[0])
    s3.put_object(Bucket="b", Key="aws/lambda/m/s/old", Body=document("{}"))
    s3.put_object(Bucket="b", Key="runs/other", Body=b"")
    clock[0] = WHEN + timedelta(hours=1)
    s3.put_object(Bucket="b", Key="aws/lambda/m/s/new", Body=document("{}"))
    assert [letter.key for letter in list_dead_letters(s3, "b")] == [
        "aws/lambda/m/s/new",
        "aws/lambda/m/s/old",
    ]
    since = WHEN + timedelta(minutes=1)
    assert [letter.key for letter in list_dead_letters(s3, "b", since)] == ["aws/lambda/m/s/new"]
