"""A target's clients: with a key of its own, nothing of the user's AWS configuration gets in."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import ClientError, ConnectionClosedError, ReadTimeoutError

from tests.targets import a_target
from txnpipe.aws import Credentials, Target, translated
from txnpipe.config import Settings
from txnpipe.errors import ExitCode, TxnpipeError
from txnpipe.target import open_target

LOCAL = a_target(
    Target, region="eu-west-1", endpoint_url="http://127.0.0.1:4580", credentials=Credentials("KEY", "secret")
)


@pytest.fixture
def crowded_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "AWS_PROFILE": "nobody",
        "AWS_CONFIG_FILE": "/etc/passwd",
        "AWS_ACCESS_KEY_ID": "other",
        "AWS_SECRET_ACCESS_KEY": "other",
        "AWS_SESSION_TOKEN": "other",
        "AWS_REGION": "us-west-2",
        "AWS_DEFAULT_REGION": "us-west-2",
        "AWS_ENDPOINT_URL": "http://example.com",
        "AWS_USE_FIPS_ENDPOINT": "true",
        "AWS_CA_BUNDLE": "/nowhere",
        "HTTP_PROXY": "http://example.com:8080",
        "http_proxy": "http://example.com:8080",
    }.items():
        monkeypatch.setenv(name, value)


@pytest.mark.usefixtures("crowded_environment")
@pytest.mark.parametrize("service", ["s3", "sqs", "kinesis", "iam", "lambda"])
def test_a_target_with_a_key_ignores_the_users_variables_files_and_proxies(service: str) -> None:
    client = dataclasses.replace(LOCAL, _clients={}).client(service)

    assert client.meta.endpoint_url == "http://127.0.0.1:4580"
    assert client.meta.region_name == ("eu-west-1" if service != "iam" else client.meta.region_name)
    credentials = client._request_signer._credentials.get_frozen_credentials()
    assert (credentials.access_key, credentials.secret_key, credentials.token) == ("KEY", "secret", None)
    assert client._endpoint.http_session._proxy_config._proxies == {}


def test_clients_are_made_once_per_service_and_options() -> None:
    target = dataclasses.replace(LOCAL, _clients={})

    assert target.client("sqs") is target.client("sqs")
    assert target.client("sqs", read_timeout=1) is not target.client("sqs")


def test_a_target_s_options_are_those_of_all_its_clients() -> None:
    hasty = dataclasses.replace(LOCAL, client_options={"read_timeout": 7}, _clients={})
    assert hasty.client("sqs").meta.config.read_timeout == 7
    assert hasty.client("sqs", read_timeout=9).meta.config.read_timeout == 9
    assert dataclasses.replace(LOCAL, _clients={}).client("sqs").meta.config.read_timeout == 60


def test_a_secret_is_never_shown() -> None:
    assert "secret" not in repr(LOCAL).replace("credentials=", "")


@pytest.mark.parametrize(
    ("code", "exit_code", "fix"),
    [
        ("AccessDenied", ExitCode.SERVICE, "policy that allows"),
        ("AccessDeniedException", ExitCode.SERVICE, "policy that allows"),
        ("UnauthorizedOperation", ExitCode.SERVICE, "policy that allows"),  # EC2
        ("AuthorizationError", ExitCode.SERVICE, "policy that allows"),  # SNS
        ("ExpiredToken", ExitCode.SERVICE, "Sign in"),
        ("InvalidClientTokenId", ExitCode.SERVICE, "Sign in"),
        ("UnrecognizedClientException", ExitCode.SERVICE, "Sign in"),
        ("AuthFailure", ExitCode.SERVICE, "Sign in"),  # EC2
        ("Throttling", ExitCode.SERVICE, "in a minute"),  # IAM, Redshift
        ("RequestLimitExceeded", ExitCode.SERVICE, "in a minute"),  # EC2
        ("TooManyRequestsException", ExitCode.SERVICE, "in a minute"),  # Lambda
        ("SlowDown", ExitCode.SERVICE, "in a minute"),  # S3
        ("LimitExceededException", ExitCode.LIMIT, "quota"),
        ("LimitExceeded", ExitCode.LIMIT, "quota"),  # IAM
        ("ClusterQuotaExceeded", ExitCode.LIMIT, "quota"),
        ("ClusterSubnetQuotaExceededFault", ExitCode.LIMIT, "quota"),
        ("CodeStorageExceededException", ExitCode.LIMIT, "quota"),
        ("TooManyBuckets", ExitCode.LIMIT, "quota"),
        ("VpcEndpointLimitExceeded", ExitCode.LIMIT, "quota"),
        ("ValidationError", ExitCode.SERVICE, "--debug"),
    ],
)
def test_each_service_s_word_for_the_same_trouble_gets_the_same_advice(
    code: str, exit_code: ExitCode, fix: str
) -> None:
    error = ClientError({"Error": {"Code": code, "Message": "no"}}, "CreateThing")
    with (
        pytest.raises(TxnpipeError, match=f"CreateThing answered {code}: no") as caught,
        translated("make", "it"),
    ):
        raise error
    assert caught.value.exit_code is exit_code
    assert fix in caught.value.fix


def test_a_service_s_own_failure_is_nothing_to_look_into() -> None:
    answer: Any = {
        "Error": {"Code": "InternalFailure", "Message": "oh"},
        "ResponseMetadata": {"HTTPStatusCode": 500},
    }
    with pytest.raises(TxnpipeError) as caught, translated("make", "it"):
        raise ClientError(answer, "CreateThing")
    assert "again in a minute" in caught.value.fix


def test_a_call_that_is_never_answered_is_named() -> None:
    client = dataclasses.replace(LOCAL, _clients={}).client("sqs", retries={"total_max_attempts": 1})

    def never(request: object) -> None:
        raise ReadTimeoutError(endpoint_url="http://127.0.0.1:4580/")

    client._endpoint.http_session = SimpleNamespace(send=never, close=lambda: None)
    with (
        pytest.raises(TxnpipeError, match="Could not make q: CreateQueue: Read timeout"),
        translated("make", "q"),
    ):
        client.create_queue(QueueName="q")


@pytest.mark.parametrize("variable", ["AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_KINESIS", "AWS_ENDPOINT_URL_STS"])
def test_the_target_aws_is_not_led_to_this_machine_by_a_variable(
    monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.setenv(variable, "http://localhost:4566")
    with pytest.raises(TxnpipeError, match=variable) as caught:
        open_target(Settings(target="aws"))
    assert caught.value.exit_code is ExitCode.USAGE


class Cutting(BaseHTTPRequestHandler):
    """Answers a list of streams, the first `cut` times without its end."""

    cut = 0
    answered = 0

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        body = b'{"StreamNames":["a"],"HasMoreStreams":false}'
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        type(self).answered += 1
        self.wfile.write(body if self.answered > self.cut else body[:20])

    def do_HEAD(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "1000")
        self.end_headers()

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002
        _ = format, arguments


@contextmanager
def cutting(cut: int) -> Iterator[Target]:
    """A target whose services cut so many answers off."""
    server = HTTPServer(("127.0.0.1", 0), type("Handler", (Cutting,), {"cut": cut}))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield dataclasses.replace(LOCAL, endpoint_url=f"http://127.0.0.1:{server.server_port}", _clients={})
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_an_answer_that_was_cut_off_is_no_answer_and_asked_for_again() -> None:
    with cutting(2) as target:
        client = target.client("kinesis", retries={"mode": "standard", "max_attempts": 3})
        assert client.list_streams()["StreamNames"] == ["a"]
    with cutting(1) as target, pytest.raises(ConnectionClosedError):
        target.client("kinesis", retries={"max_attempts": 0}).list_streams()


def test_a_head_has_no_body_and_is_whole_all_the_same() -> None:
    with cutting(0) as target:
        assert target.client("s3").head_object(Bucket="b", Key="k")["ContentLength"] == 1000
