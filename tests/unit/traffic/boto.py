"""Real boto3 clients of Kinesis whose requests go nowhere."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import boto3
from botocore.awsrequest import AWSResponse
from botocore.compat import HTTPHeaders
from botocore.config import Config


def kinesis(endpoint_url: str | None = None, *, token: str | None = None, **options: Any) -> Any:
    """A client with a key of its own."""
    session = boto3.Session("AKIDEXAMPLE", "secret", token, region_name="eu-west-1")
    config: dict[str, Any] = {"retries": {"mode": "standard", "total_max_attempts": 1}}
    return session.client("kinesis", endpoint_url=endpoint_url, config=Config(**(config | options)))


class _Body:
    def __init__(self, content: bytes) -> None:
        self._content = content

    def stream(self) -> Iterator[bytes]:
        yield self._content


def response(url: str, status: int, content: bytes) -> AWSResponse:
    """What botocore's session gives back."""
    return AWSResponse(url, status, HTTPHeaders(), _Body(content))


def stored(count: int) -> bytes:
    """An answer of PutRecords: all stored, in the order of their sequence numbers."""
    entries = [{"SequenceNumber": str(n), "ShardId": "shardId-000000000000"} for n in range(count)]
    return json.dumps({"FailedRecordCount": 0, "Records": entries}).encode()


class Wire:
    """Stands in for the HTTP session of a client: keeps the requests, answers with `answer(request)`."""

    def __init__(self, answer: Callable[[Any], tuple[int, bytes]] | None = None) -> None:
        self.requests: list[Any] = []
        self._answer = answer or _all_stored

    def attach(self, client: Any) -> Wire:
        """Takes the place of the client's session."""
        client._endpoint.http_session = self
        return self

    def send(self, request: Any) -> AWSResponse:
        """As URLLib3Session.send."""
        self.requests.append(request)
        return response(request.url, *self._answer(request))


def _all_stored(request: Any) -> tuple[int, bytes]:
    return 200, stored(len(json.loads(request.body)["Records"]))
