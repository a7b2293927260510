"""What a stream does when nobody answers."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError

from txnpipe.errors import ExitCode, TxnpipeError
from txnpipe.traffic.stream import CallFailed, KinesisStream


class Unreachable:
    """A target whose Kinesis cannot be reached."""

    def __init__(self, revive: Any) -> None:
        self.revive = revive

    def client(self, service: str, **options: Any) -> Any:
        return self

    def put_records(self, **request: Any) -> Any:
        raise EndpointConnectionError(endpoint_url="http://127.0.0.1:4580")


def test_services_in_our_power_are_brought_back_before_the_call_is_made_again() -> None:
    revived = []

    with pytest.raises(CallFailed, match="Could not connect"):
        KinesisStream(Unreachable(lambda: revived.append(True)), "s").put([(0, "k", b"d")])  # type: ignore[arg-type]

    assert revived == [True]


def test_where_they_are_not_the_call_is_just_made_again() -> None:
    with pytest.raises(CallFailed, match="Could not connect"):
        KinesisStream(Unreachable(None), "s").put([(0, "k", b"d")])  # type: ignore[arg-type]


def test_services_that_cannot_be_brought_back_end_the_run() -> None:
    def revive() -> None:
        raise TxnpipeError("The local cloud was stopped.", "Run it again.", ExitCode.SERVICE)

    with pytest.raises(TxnpipeError, match="was stopped"):
        KinesisStream(Unreachable(revive), "s").put([(0, "k", b"d")])  # type: ignore[arg-type]
