"""The lean PutRecords sends what boto3 sends, and understands what boto3 understands."""

from __future__ import annotations

import json
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import botocore.session
import pytest
from botocore.credentials import RefreshableCredentials
from botocore.exceptions import ClientError, EndpointConnectionError
from hypothesis import given
from hypothesis import strategies as st

from tests.ports import free_port
from tests.unit.traffic.boto import Wire, kinesis, stored
from txnpipe.traffic.put_records import PutRecords, UnreadableAnswer

RECORDS = [(0, "account-1", b'{"amount": 1}'), (1, "Zoë", b"\x00\xff"), (2, "k" * 256, b"")]
ENTRIES = [{"Data": data, "PartitionKey": key} for _, key, data in RECORDS]


@pytest.fixture
def frozen(monkeypatch: pytest.MonkeyPatch) -> None:
    """One moment and one invocation id for all requests: what is signed does not change by itself."""
    monkeypatch.setattr("botocore.auth.get_current_datetime", lambda: datetime(2026, 11, 24, tzinfo=UTC))
    monkeypatch.setattr(uuid, "uuid4", lambda: uuid.UUID(int=7))


@pytest.mark.parametrize(
    ("endpoint_url", "token", "options"),
    [
        (None, None, {}),
        (None, "session-token", {"user_agent_extra": "txnpipe/1"}),
        (None, None, {"use_fips_endpoint": True}),
        ("http://127.0.0.1:4580", None, {}),
        ("https://example.com/kinesis", "session-token", {}),
    ],
)
def test_url_headers_body_and_signature_are_those_of_boto3(
    frozen: None, endpoint_url: str | None, token: str | None, options: dict[str, Any]
) -> None:
    client = kinesis(endpoint_url, token=token, **options)
    wire = Wire().attach(client)
    PutRecords(client, "s")(RECORDS)
    (ours,) = wire.requests

    client.put_records(StreamName="s", Records=ENTRIES)
    theirs = wire.requests[1]
    assert ours.method == theirs.method
    assert ours.url == theirs.url
    assert json.loads(ours.body) == json.loads(theirs.body)
    own = {"Authorization", "Content-Length"}
    assert {k: v for k, v in ours.headers.items() if k not in own} == {
        k: v for k, v in theirs.headers.items() if k not in own
    }

    # The two write JSON with other blanks. With the same bytes as body boto3 signs the same signature.
    client.meta.events.register(
        "before-call.kinesis.PutRecords", lambda params, **_: params.update(body=ours.body)
    )
    client.put_records(StreamName="s", Records=ENTRIES)
    assert wire.requests[2].headers["Authorization"] == ours.headers["Authorization"]
    assert wire.requests[2].headers["Content-Length"] == ours.headers["Content-Length"]


@given(
    st.lists(st.tuples(st.integers(), st.text(min_size=1, max_size=256), st.binary(max_size=100)), max_size=9)
)
def test_any_key_and_any_bytes_mean_the_same_as_in_boto3s_body(records: list[tuple[int, str, bytes]]) -> None:
    wire = Wire().attach(_client)
    _put_records(records)
    _client.put_records(
        StreamName="s", Records=[{"Data": data, "PartitionKey": key} for _, key, data in records]
    )
    ours, theirs = wire.requests
    assert json.loads(ours.body) == json.loads(theirs.body)


_client = kinesis(parameter_validation=False)
_put_records = PutRecords(_client, "s")


def test_the_rehearsal_sends_nothing_and_leaves_the_client_as_it_was() -> None:
    client = kinesis()
    wire = Wire().attach(client)
    assert len(PutRecords(client, "s")(RECORDS).entries) == 3
    assert len(wire.requests) == 1
    assert len(client.put_records(StreamName="s", Records=ENTRIES)["Records"]) == 3
    assert len(wire.requests) == 2


def test_every_call_has_an_invocation_id_of_its_own() -> None:
    client = kinesis()
    wire = Wire().attach(client)
    put_records = PutRecords(client, "s")
    put_records(RECORDS)
    put_records(RECORDS)
    one, other = (request.headers["amz-sdk-invocation-id"] for request in wire.requests)
    assert one != other


def test_requests_go_through_the_clients_own_session() -> None:
    client = kinesis(f"http://127.0.0.1:{free_port()}")
    with pytest.raises(EndpointConnectionError):
        PutRecords(client, "s")(RECORDS)


def test_credentials_that_refresh_are_refreshed_before_they_sign() -> None:
    made = 0

    def refresh() -> dict[str, str]:
        nonlocal made
        made += 1
        # Within botocore's mandatory refresh time-out, so that each use asks for the next.
        expires = datetime.now(UTC) + timedelta(minutes=1)
        return {
            "access_key": f"AKID{made}",
            "secret_key": "secret",
            "token": f"token-{made}",
            "expiry_time": expires.isoformat(),
        }

    session: Any = botocore.session.get_session()
    session._credentials = RefreshableCredentials.create_from_metadata(refresh(), refresh, "test")
    client = boto3.Session(botocore_session=session, region_name="eu-west-1").client("kinesis")
    wire = Wire().attach(client)
    put_records = PutRecords(client, "s")
    put_records(RECORDS)
    put_records(RECORDS)
    one, other = wire.requests
    assert one.headers["X-Amz-Security-Token"] != other.headers["X-Amz-Security-Token"]
    for request in wire.requests:
        number = request.headers["X-Amz-Security-Token"].decode().removeprefix("token-")
        assert f"Credential=AKID{number}/" in str(request.headers["Authorization"])


def test_stored_records_have_their_shard_and_sequence_number() -> None:
    client = kinesis()
    Wire().attach(client)
    answer = PutRecords(client, "s")(RECORDS)
    assert answer.failed == 0
    assert [entry.sequence_number for entry in answer.entries] == ["0", "1", "2"]
    assert answer.entries[-1].shard_id == "shardId-000000000000"


def test_refused_records_have_their_error_code() -> None:
    content = {
        "Records": [
            {"SequenceNumber": "1", "ShardId": "shardId-000000000000"},
            {"ErrorCode": "ProvisionedThroughputExceededException", "ErrorMessage": "Rate exceeded"},
            {"ErrorCode": "InternalFailure", "ErrorMessage": "Internal service failure."},
        ],
        "FailedRecordCount": 2,
        "EncryptionType": "KMS",
    }
    client = kinesis()
    Wire(lambda _: (200, json.dumps(content).encode())).attach(client)
    answer = PutRecords(client, "s")(RECORDS)
    assert answer.failed == 2
    assert [entry.error_code for entry in answer.entries] == [
        "",
        "ProvisionedThroughputExceededException",
        "InternalFailure",
    ]


@pytest.mark.parametrize(
    ("status", "content", "code"),
    [
        (400, b'{"__type": "ResourceNotFoundException", "message": "No."}', "ResourceNotFoundException"),
        (400, b'{"__type": "com.amazon.coral#ExpiredTokenException"}', "ExpiredTokenException"),
        (500, b'{"__type": "InternalFailure"}', "InternalFailure"),
        (503, b"<html>Service Unavailable</html>", "503"),
    ],
)
def test_errors_are_those_of_boto3(status: int, content: bytes, code: str) -> None:
    client = kinesis()
    Wire(lambda _: (status, content)).attach(client)
    with pytest.raises(ClientError) as ours:
        PutRecords(client, "s")(RECORDS)
    with pytest.raises(ClientError) as theirs:
        client.put_records(StreamName="s", Records=ENTRIES)
    assert ours.value.response["Error"] == theirs.value.response["Error"]
    assert ours.value.response["Error"]["Code"] == code
    assert ours.value.response["ResponseMetadata"]["HTTPStatusCode"] == status


@pytest.mark.parametrize("content", [b"", b"<html>", b"[]", stored(2), b'{"Records": [1, 2, 3]}'])
def test_an_answer_that_is_none_is_no_success(content: bytes) -> None:
    client = kinesis()
    Wire(lambda _: (200, content)).attach(client)
    with pytest.raises(UnreadableAnswer):
        PutRecords(client, "s")(RECORDS)
