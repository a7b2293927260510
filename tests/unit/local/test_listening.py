"""The API server on a socket: what it does before a request is whole."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from tests.waiting import PATIENCE_S
from txnpipe.local.guard import Guard
from txnpipe.local.server import ApiServer, Listening
from txnpipe.local.service import Response

KEY = "LOCALABCDEFGHIJKLMNO"
AUTHORIZATION = f"Authorization: AWS4-HMAC-SHA256 Credential={KEY}/d/us-east-1/s3/aws4_request"
LARGE = 1_000_000


class Lengths:
    """Answers with the length of the body."""

    def answer(self, environ: dict[str, Any], service: str) -> Response:
        return Response(200, str(len(environ["wsgi.input"].read())).encode())


@pytest.fixture
def port() -> Iterator[int]:
    listener = socket.create_server(("127.0.0.1", 0))
    listening = Listening(ApiServer(Guard(KEY), Lengths()), listener)
    listening.start()
    yield int(listener.getsockname()[1])
    listening.stop()


def _begin(port: int, *headers: str) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S)
    head = "\r\n".join(["PUT /bucket/key HTTP/1.1", f"Host: 127.0.0.1:{port}", *headers, "", ""])
    connection.sendall(head.encode())
    return connection


def _answer(connection: socket.socket) -> bytes:
    """All that comes until the other side closes."""
    answer = b""
    while chunk := connection.recv(65536):
        answer += chunk
    return answer


@pytest.mark.parametrize("announced", [f"Content-Length: {LARGE}", "Transfer-Encoding: chunked"])
@pytest.mark.parametrize(
    "headers", [(), (AUTHORIZATION.replace(KEY, "GUESS"),), (AUTHORIZATION, "Origin: http://page")]
)
def test_who_is_refused_hears_it_before_sending_a_body(
    port: int, announced: str, headers: tuple[str, ...]
) -> None:
    with _begin(port, *headers, announced) as connection:
        answer = _answer(connection)
    assert answer.startswith(b"HTTP/1.1 403 ")
    assert b"<Code>" in answer or b"__type" in answer


@pytest.mark.parametrize("expectation", [(), ("Expect: 100-continue",)])
def test_who_has_the_key_may_send_a_large_body(port: int, expectation: tuple[str, ...]) -> None:
    with _begin(
        port, AUTHORIZATION, f"Content-Length: {LARGE}", "Connection: close", *expectation
    ) as connection:
        connection.sendall(b"x" * LARGE)
        answer = _answer(connection)
    assert json.loads(answer.rpartition(b"\r\n\r\n")[2]) == LARGE
