"""What a stream does when nobody answers, or with an error."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.traffic.boto import Wire, kinesis
from txnpipe.errors import ExitCode, TxnpipeError
from txnpipe.traffic.stream import CallFailed, KinesisStream

RECORDS = [(0, "k", b"d")]


class Made:
    """A target with this Kinesis client; by default nobody listens where it calls."""

    def __init__(self, revive: Any, client: Any = None) -> None:
        self.revive = revive
        self._client = client

    def client(self, service: str, **options: Any) -> Any:
        return self._client or kinesis("http://127.0.0.1:9", **options)


def test_services_in_our_power_are_brought_back_before_the_call_is_made_again() -> None:
    revived = []

    with pytest.raises(CallFailed, match="Could not connect"):
        KinesisStream(Made(lambda: revived.append(True)), "s").put(RECORDS)  # type: ignore[arg-type]

    assert revived == [True]


def test_where_they_are_not_the_call_is_just_made_again() -> None:
    with pytest.raises(CallFailed, match="Could not connect"):
        KinesisStream(Made(None), "s").put(RECORDS)  # type: ignore[arg-type]


def test_services_that_cannot_be_brought_back_end_the_run() -> None:
    def revive() -> None:
        raise TxnpipeError("The local cloud was stopped.", "Run it again.", ExitCode.SERVICE)

    with pytest.raises(TxnpipeError, match="was stopped"):
        KinesisStream(Made(revive), "s").put(RECORDS)  # type: ignore[arg-type]


def answering(status: int, content: bytes) -> KinesisStream:
    client = kinesis()
    Wire(lambda _: (status, content)).attach(client)
    return KinesisStream(Made(None, client), "s")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("status", "content"),
    [
        (400, b'{"__type": "LimitExceededException"}'),
        (400, b'{"__type": "KMSThrottlingException"}'),
        (500, b"<html>"),
        (200, b"not JSON"),
    ],
)
def test_what_may_pass_is_a_failed_call(status: int, content: bytes) -> None:
    with pytest.raises(CallFailed):
        answering(status, content).put(RECORDS)


@pytest.mark.parametrize(
    ("content", "code", "fix"),
    [
        (b'{"__type": "ResourceNotFoundException"}', ExitCode.NOT_FOUND, "txnpipe setup"),
        (b'{"__type": "ExpiredTokenException"}', ExitCode.SERVICE, "Sign in again"),
        (b'{"__type": "AccessDeniedException"}', ExitCode.SERVICE, "policy"),
    ],
)
def test_what_does_not_pass_ends_the_run_with_what_to_do(content: bytes, code: ExitCode, fix: str) -> None:
    with pytest.raises(TxnpipeError) as caught:
        answering(400, content).put(RECORDS)
    assert caught.value.exit_code is code
    assert fix in caught.value.fix


def test_shards_that_cannot_be_listed_are_an_error_that_says_what_to_do() -> None:
    stream = KinesisStream(Made(None), "s")  # type: ignore[arg-type]
    with pytest.raises(TxnpipeError, match="Could not list the shards of s") as caught:
        stream.open_shards()
    assert caught.value.exit_code is ExitCode.SERVICE


def test_services_in_our_power_are_brought_back_to_list_the_shards() -> None:
    revived: list[bool] = []
    client = kinesis("http://127.0.0.1:9")

    def revive() -> None:
        revived.append(True)
        Wire(lambda _: (200, b'{"Shards": []}')).attach(client)

    assert KinesisStream(Made(revive, client), "s").open_shards() == ()  # type: ignore[arg-type]
    assert revived == [True]
