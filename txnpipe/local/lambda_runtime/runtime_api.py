"""The Lambda Runtime API, one listener for all workers, each behind a secret path of its own.

`http://127.0.0.1:PORT/SECRET/2018-06-01/runtime/...`: a request without a known secret is refused before its
headers are read, so no other local user can pose as a runtime or read an event. HTTP is parsed by hand: two
requests per invocation at hundreds of invocations a second, in a process that has more to do.
"""

from __future__ import annotations

import contextlib
import secrets
import socket
import threading
from dataclasses import dataclass
from typing import BinaryIO, Protocol, cast

from txnpipe.local.lambda_runtime.results import MAX_RESPONSE_BYTES

_PREFIX = "/2018-06-01/runtime/"
_MAX_REQUEST_LINE = 4096
_MAX_HEADER_LINE = 1_100_000
"""awslambdaric puts up to 1 MB of stack trace into a header."""
_MAX_HEADERS = 100
_OK_BODY = b'{"status":"OK"}'


@dataclass(frozen=True)
class Invocation:
    """What `next` hands to a runtime. deadline_ms: epoch milliseconds."""

    request_id: str
    function_arn: str
    deadline_ms: int
    payload: bytes


class Runtime(Protocol):
    """A worker as its runtime sees it through this API."""

    def next(self) -> Invocation | None:
        """Waits for an invocation; None when the worker is to end."""
        ...

    def respond(self, request_id: str, body: bytes | None) -> bool:
        """The handler's response, None if larger than Lambda allows. False: not this invocation."""
        ...

    def fail(self, request_id: str, body: bytes) -> bool:
        """The handler raised. False: not this invocation."""
        ...

    def fail_init(self, body: bytes) -> None:
        """The function could not be loaded."""
        ...


class RuntimeApi:
    """The listener. Threads: one that accepts, one per connection."""

    def __init__(self) -> None:
        self._runtimes: dict[str, Runtime] = {}
        self._connections: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._socket = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port: int = self._socket.getsockname()[1]
        self._thread = threading.Thread(target=self._accept, name="lambda-runtime-api", daemon=True)
        self._thread.start()

    def add(self, runtime: Runtime) -> str:
        """The address, "127.0.0.1:PORT/SECRET", under which this runtime is served from now on."""
        secret = secrets.token_hex(32)
        with self._lock:
            self._runtimes[secret] = runtime
        return f"127.0.0.1:{self.port}/{secret}"

    def remove(self, address: str) -> None:
        """Refuses this address from now on."""
        with self._lock:
            self._runtimes.pop(address.partition("/")[2], None)

    def stop(self) -> None:
        """Closes the listener and every connection."""
        with self._lock:
            connections = list(self._connections)
            self._runtimes.clear()
        # shutdown wakes the thread in accept(); close alone does not, on Linux.
        for open_socket in (self._socket, *connections):
            with contextlib.suppress(OSError):  # already disconnected
                open_socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join(timeout=5)

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(
                target=self._serve, args=(connection,), name="lambda-runtime", daemon=True
            ).start()

    def _serve(self, connection: socket.socket) -> None:
        with self._lock:
            self._connections.add(connection)
        try:
            with connection, cast(BinaryIO, connection.makefile("rb", buffering=65536)) as stream:
                while self._serve_one(connection, stream):
                    pass
        except (OSError, ValueError):
            return  # the runtime hung up or talks nonsense; its worker's end is noticed through the process
        finally:
            with self._lock:
                self._connections.discard(connection)

    def _serve_one(self, connection: socket.socket, stream: BinaryIO) -> bool:
        """Answers one request. False ends the connection. Raises ValueError on a malformed one."""
        line = stream.readline(_MAX_REQUEST_LINE)
        if not line:
            return False
        method, target, _ = line.decode("ascii").split(" ", 2)
        secret, _, path = target[1:].partition("/")
        with self._lock:
            runtime = self._runtimes.get(secret)
        if runtime is None:
            _reply(connection, 403, b'{"errorMessage":"Forbidden","errorType":"Forbidden"}', close=True)
            return False
        headers = _read_headers(stream)
        if "100-continue" in headers.get("expect", "").lower():
            connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        body = _read_body(stream, headers)
        return _route(connection, runtime, method, "/" + path, body)


def _route(connection: socket.socket, runtime: Runtime, method: str, path: str, body: bytes | None) -> bool:
    if not path.startswith(_PREFIX):
        _reply(connection, 404, b'{"errorType":"NotFound"}')
        return True
    match [method, *path[len(_PREFIX) :].split("/")]:
        case ["GET", "invocation", "next"]:
            invocation = runtime.next()
            if invocation is None:
                return False
            _reply(
                connection,
                200,
                invocation.payload,
                f"Lambda-Runtime-Aws-Request-Id: {invocation.request_id}\r\n"
                f"Lambda-Runtime-Deadline-Ms: {invocation.deadline_ms}\r\n"
                f"Lambda-Runtime-Invoked-Function-Arn: {invocation.function_arn}\r\n",
            )
        case ["POST", "invocation", request_id, "response"]:
            if not runtime.respond(request_id, body):
                _reply(connection, 400, b'{"errorType":"InvalidRequestID"}')
            elif body is None:
                _reply(connection, 413, b'{"errorType":"RequestEntityTooLarge"}')
            else:
                _reply(connection, 202, _OK_BODY)
        case ["POST", "invocation", request_id, "error"]:
            known = runtime.fail(request_id, body or b"{}")
            _reply(
                connection, 202 if known else 400, _OK_BODY if known else b'{"errorType":"InvalidRequestID"}'
            )
        case ["POST", "init", "error"]:
            runtime.fail_init(body or b"{}")
            _reply(connection, 202, _OK_BODY)
        case _:
            _reply(connection, 404, b'{"errorType":"NotFound"}')
    return True


def _read_headers(stream: BinaryIO) -> dict[str, str]:
    headers: dict[str, str] = {}
    for _ in range(_MAX_HEADERS):
        line = stream.readline(_MAX_HEADER_LINE)
        if line in (b"\r\n", b"\n"):
            return headers
        name, _, value = line.decode("latin-1").partition(":")
        headers[name.lower()] = value.strip()
    raise ValueError("too many headers")


def _read_body(stream: BinaryIO, headers: dict[str, str]) -> bytes | None:
    """The body; None, read to its end, where it is larger than a Lambda response may be."""
    if "chunked" in headers.get("transfer-encoding", "").lower():
        return _read_chunks(stream)
    length = int(headers.get("content-length", "0"))
    if length > MAX_RESPONSE_BYTES:
        _skip(stream, length)
        return None
    return stream.read(length)


def _read_chunks(stream: BinaryIO) -> bytes | None:
    chunks: list[bytes] = []
    total = 0
    while size := int(stream.readline(64).split(b";")[0], 16):
        total += size
        if total > MAX_RESPONSE_BYTES:
            chunks.clear()
            _skip(stream, size)
        else:
            chunks.append(stream.read(size))
        stream.readline(64)
    stream.readline(64)
    return None if total > MAX_RESPONSE_BYTES else b"".join(chunks)


def _skip(stream: BinaryIO, length: int) -> None:
    while length > 0:
        piece = stream.read(min(length, 1_000_000))
        if not piece:
            raise ValueError("the body ends early")
        length -= len(piece)


_REASONS = {
    200: "OK",
    202: "Accepted",
    400: "Bad Request",
    403: "Forbidden",
    404: "Not Found",
    413: "Too Large",
}


def _reply(
    connection: socket.socket, status: int, body: bytes, headers: str = "", *, close: bool = False
) -> None:
    head = (
        f"HTTP/1.1 {status} {_REASONS[status]}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\nConnection: {'close' if close else 'keep-alive'}\r\n{headers}\r\n"
    )
    connection.sendall(head.encode("latin-1") + body)
