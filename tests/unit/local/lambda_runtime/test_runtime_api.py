"""The Runtime API on its loopback port: secrets, bodies, limits."""

from __future__ import annotations

import http.client
import socket
from collections.abc import Iterator

import pytest

from tests.waiting import PATIENCE_S
from txnpipe.local.lambda_runtime.results import MAX_RESPONSE_BYTES
from txnpipe.local.lambda_runtime.runtime_api import Invocation, RuntimeApi

ROOT = "/2018-06-01/runtime"


class Runtime:
    """Takes what the API hands it."""

    def __init__(self) -> None:
        self.responses: list[tuple[str, bytes | None]] = []
        self.errors: list[tuple[str, bytes]] = []
        self.init_errors: list[bytes] = []
        self.invocation: Invocation | None = Invocation("id-1", "arn:f", 1234, b'{"a":1}')

    def next(self) -> Invocation | None:
        return self.invocation

    def respond(self, request_id: str, body: bytes | None) -> bool:
        self.responses.append((request_id, body))
        return request_id == "id-1"

    def fail(self, request_id: str, body: bytes) -> bool:
        self.errors.append((request_id, body))
        return request_id == "id-1"

    def fail_init(self, body: bytes) -> None:
        self.init_errors.append(body)


@pytest.fixture
def api() -> Iterator[RuntimeApi]:
    made = RuntimeApi()
    yield made
    made.stop()


@pytest.fixture
def runtime() -> Runtime:
    return Runtime()


@pytest.fixture
def address(api: RuntimeApi, runtime: Runtime) -> str:
    return api.add(runtime)


def call(
    address: str, method: str, path: str, body: bytes | Iterator[bytes] | None = None
) -> tuple[int, bytes, http.client.HTTPMessage]:
    host, _, secret = address.partition("/")
    connection = http.client.HTTPConnection(host, timeout=PATIENCE_S)
    connection.request(method, f"/{secret}{path}", body)
    response = connection.getresponse()
    answer = response.status, response.read(), response.headers
    connection.close()
    return answer


def test_the_next_invocation_comes_with_its_headers(address: str) -> None:
    status, body, headers = call(address, "GET", f"{ROOT}/invocation/next")
    assert (status, body) == (200, b'{"a":1}')
    assert headers["Lambda-Runtime-Aws-Request-Id"] == "id-1"
    assert headers["Lambda-Runtime-Deadline-Ms"] == "1234"
    assert headers["Lambda-Runtime-Invoked-Function-Arn"] == "arn:f"


def test_responses_errors_and_init_errors_reach_the_worker(address: str, runtime: Runtime) -> None:
    assert call(address, "POST", f"{ROOT}/invocation/id-1/response", b"1")[0] == 202
    assert call(address, "POST", f"{ROOT}/invocation/id-1/error", b"2")[0] == 202
    assert call(address, "POST", f"{ROOT}/init/error", b"3")[0] == 202
    assert (runtime.responses, runtime.errors, runtime.init_errors) == (
        [("id-1", b"1")],
        [("id-1", b"2")],
        [b"3"],
    )


def test_an_answer_to_another_invocation_is_refused(address: str) -> None:
    assert call(address, "POST", f"{ROOT}/invocation/id-0/response", b"1")[0] == 400
    assert call(address, "POST", f"{ROOT}/invocation/id-0/error", b"1")[0] == 400


@pytest.mark.parametrize("secret", ["", "0" * 64, "2018-06-01"])
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", f"{ROOT}/invocation/next"),
        ("POST", f"{ROOT}/invocation/id-1/response"),
        ("POST", f"{ROOT}/init/error"),
    ],
)
def test_without_the_secret_nothing_is_served(
    api: RuntimeApi, address: str, runtime: Runtime, secret: str, method: str, path: str
) -> None:
    status, body, _ = call(f"127.0.0.1:{api.port}/{secret}", method, path, b"x")
    assert status == 403
    assert b"{" in body
    assert (runtime.responses, runtime.init_errors) == ([], [])


def test_a_removed_worker_is_refused(api: RuntimeApi, address: str) -> None:
    api.remove(address)
    assert call(address, "GET", f"{ROOT}/invocation/next")[0] == 403


def test_every_worker_has_a_secret_of_its_own(api: RuntimeApi, runtime: Runtime) -> None:
    addresses = {api.add(runtime) for _ in range(100)}
    assert len(addresses) == 100
    assert min(len(address.partition("/")[2]) for address in addresses) == 64


def test_the_largest_response_passes_and_one_byte_more_does_not(address: str, runtime: Runtime) -> None:
    assert call(address, "POST", f"{ROOT}/invocation/id-1/response", b"x" * MAX_RESPONSE_BYTES)[0] == 202
    assert (
        call(address, "POST", f"{ROOT}/invocation/id-1/response", b"x" * (MAX_RESPONSE_BYTES + 1))[0] == 413
    )
    assert [None if body is None else len(body) for _, body in runtime.responses] == [
        MAX_RESPONSE_BYTES,
        None,
    ]


def test_chunked_bodies_are_understood_and_limited(address: str, runtime: Runtime) -> None:
    assert call(address, "POST", f"{ROOT}/invocation/id-1/response", iter([b"ab", b"", b"c"]))[0] == 202
    many = iter([b"x" * 1_000_000] * 7)
    assert call(address, "POST", f"{ROOT}/invocation/id-1/response", many)[0] == 413
    assert runtime.responses == [("id-1", b"abc"), ("id-1", None)]


def test_a_client_that_waits_for_100_continue_gets_it(address: str, runtime: Runtime) -> None:
    host, _, secret = address.partition("/")
    name, _, port = host.partition(":")
    with socket.create_connection((name, int(port)), timeout=PATIENCE_S) as connection:
        connection.sendall(
            f"POST /{secret}{ROOT}/invocation/id-1/response HTTP/1.1\r\nHost: x\r\n"
            "Content-Length: 2\r\nExpect: 100-continue\r\n\r\n".encode()
        )
        assert connection.recv(100).startswith(b"HTTP/1.1 100 Continue")
        connection.sendall(b"ok")
        assert connection.recv(100).startswith(b"HTTP/1.1 202")
    assert runtime.responses == [("id-1", b"ok")]


def test_nonsense_ends_the_connection_and_nothing_else(address: str) -> None:
    host = address.partition("/")[0]
    name, _, port = host.partition(":")
    for nonsense in (b"\r\n\r\n", b"\xff\xfe\r\n\r\n", b"GET\r\n\r\n", b"x" * 10_000):
        with socket.create_connection((name, int(port)), timeout=PATIENCE_S) as connection:
            connection.sendall(nonsense)
            connection.shutdown(socket.SHUT_WR)
            while connection.recv(4096):
                pass
    assert call(address, "GET", f"{ROOT}/invocation/next")[0] == 200


def test_unknown_paths_are_not_found(address: str) -> None:
    assert call(address, "GET", f"{ROOT}/other")[0] == 404
    assert call(address, "GET", "/elsewhere")[0] == 404


def test_a_worker_that_is_to_end_is_disconnected(address: str, runtime: Runtime) -> None:
    runtime.invocation = None
    with pytest.raises(http.client.RemoteDisconnected):
        call(address, "GET", f"{ROOT}/invocation/next")


def test_it_listens_on_loopback_only(api: RuntimeApi) -> None:
    assert api._socket.getsockname()[0] == "127.0.0.1"


def test_a_stopped_api_is_closed(address: str, api: RuntimeApi) -> None:
    api.stop()
    with pytest.raises(ConnectionRefusedError):
        call(address, "GET", f"{ROOT}/invocation/next")
