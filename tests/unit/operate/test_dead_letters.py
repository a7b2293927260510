"""Failed batches as Lambda writes them."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from tests.unit.traffic.fakes import FakeS3
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
