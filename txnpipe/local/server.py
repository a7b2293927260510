"""The API server: guard, then our own services, then moto.

A WSGI application under waitress on 127.0.0.1. Kinesis traffic passes here, so until a service has claimed a
request nothing but the WSGI environment is looked at. Every answer is typed: a call that nobody implements
and an exception that nobody expected reach the client as an AWS error in the protocol of the service called,
and the exception's traceback goes to the log.
"""

from __future__ import annotations

import errno
import json
import logging
import re
import socket
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Protocol

from txnpipe.local import wire
from txnpipe.local.guard import Guard, credential_scope
from txnpipe.local.service import Request, Response, Service, ServiceError

log = logging.getLogger(__name__)

DEFAULT_REGION = "us-east-1"
START_PATIENCE_S = 60.0
"""How long a request waits for a part that is still starting; botocore's default read time-out."""
THREADS = 48
"""Requests served at once. Long polls and synchronous function calls hold a thread each while they wait."""
LARGEST_BODY_IN_MEMORY = 32 * 1024 * 1024
"""Three times the largest PutRecords call (10 MiB); larger bodies go through a file in the home."""

StartResponse = Callable[..., Any]
WsgiEnvironment = dict[str, Any]


class Fallback(Protocol):
    """Who answers what none of our own services claims."""

    def answer(self, environ: WsgiEnvironment, service: str) -> Response:
        """Answers a request. `service` is the signing name ("s3"), "" where the request carries none.

        Raises UnknownOperation for calls that are not implemented.
        """
        ...


class UnknownOperation(Exception):  # noqa: N818 - named after AWS's own error
    """The call is not implemented."""


@dataclass
class _Route:
    service: Service
    started: threading.Event
    withdrawn: bool = False


class ApiServer:
    """Routes requests; a WSGI application."""

    def __init__(
        self, guard: Guard, fallback: Fallback, *, start_patience_s: float = START_PATIENCE_S
    ) -> None:
        self.guard = guard
        self._fallback = fallback
        self._routes: list[_Route] = []
        self._patience = start_patience_s

    def add(self, service: Service, *, started: bool = True) -> Callable[[], None]:
        """Registers a service. Requests to one that has not started wait until the result is called."""
        route = _Route(service, threading.Event())
        if started:
            route.started.set()
        self._routes.append(route)
        return route.started.set

    def withdraw(self, service: Service) -> None:
        """From now on requests to a registered service are told that it is not available.

        A part that has stopped knows nothing any more; it must not say that nothing exists.
        """
        for route in self._routes:
            if route.service is service:
                route.withdrawn = True

    def call(self, target: str, region: str, parameters: dict[str, Any]) -> dict[str, Any] | None:
        """Calls a JSON operation of one of our own services from within the process.

        target: "SERVICE.OPERATION". None where no service claims it. Raises ServiceError.
        """
        for route in self._routes:
            if route.service.claims("POST", "/", target):
                if route.withdrawn or not route.started.is_set():
                    return None
                body = json.dumps(parameters).encode()
                headers = {"content-type": "application/x-amz-json-1.1", "x-amz-target": target}
                response = route.service.handle(Request("POST", "/", "", target, region, headers, body))
                answer = json.loads(response.body or b"{}")
                if response.status >= 400:
                    raise ServiceError(_code_of(answer), str(answer.get("message", "")), response.status)
                return dict(answer)
        return None

    def __call__(self, environ: WsgiEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        response = self.respond(environ)
        headers = {
            "content-type": response.content_type,
            # An answer to HEAD has a length and no body, so a service may state the length itself.
            "content-length": str(len(response.body)),
            "x-amzn-requestid": wire.new_request_id(),
            **response.headers,
        }
        start_response(f"{response.status} {_reason(response.status)}", list(headers.items()))
        return [response.body]

    def respond(self, environ: WsgiEnvironment) -> Response:
        """Answers a request; never raises."""
        refusal = self.guard.refusal(environ)
        scope = credential_scope(
            environ.get("HTTP_AUTHORIZATION", ""), environ.get("QUERY_STRING", "")
        ).split("/")
        region, service = (scope[2], scope[3]) if len(scope) == 5 else (DEFAULT_REGION, "")
        if refusal:
            code = wire.Code.WRONG_KEY if refusal.key else wire.Code.DENIED
            return _error(environ, service, code, refusal.message, 403)
        try:
            return self._route(environ, region, service)
        except ServiceError as error:
            protocol = wire.protocol_of(environ, service)
            return wire.error_response(protocol, error.code, error.message, error.status)
        except UnknownOperation as error:
            status = 501 if wire.protocol_of(environ, service) is wire.Protocol.REST_XML else 400
            return _error(environ, service, wire.Code.UNKNOWN_OPERATION, str(error), status)
        except Exception as error:  # logged, and answered as AWS answers its own defects
            log.exception("%s failed", _describe(environ, service))
            return _error(environ, service, wire.Code.INTERNAL, _what_happened(error), 500)

    def _route(self, environ: WsgiEnvironment, region: str, service: str) -> Response:
        method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"]
        target = environ.get("HTTP_X_AMZ_TARGET", "")
        for route in self._routes:
            if route.service.claims(method, path, target):
                if not route.withdrawn and not route.started.is_set():
                    route.started.wait(self._patience)
                if route.withdrawn or not route.started.is_set():
                    doing = "stopping" if route.withdrawn else "starting"
                    message = f"This part of the local cloud is {doing}."
                    return _error(environ, service, wire.Code.UNAVAILABLE, message, 503)
                request = Request(
                    method,
                    path,
                    environ.get("QUERY_STRING", ""),
                    target,
                    region,
                    _headers(environ),
                    environ["wsgi.input"].read(),
                )
                return route.service.handle(request)
        return self._fallback.answer(environ, service)


def _code_of(answer: dict[str, Any]) -> str:
    return str(answer.get("__type", "InternalFailure")).rpartition("#")[2]


def _headers(environ: WsgiEnvironment) -> dict[str, str]:
    headers = {
        key[5:].replace("_", "-").lower(): value for key, value in environ.items() if key[:5] == "HTTP_"
    }
    for key in ("CONTENT_TYPE", "CONTENT_LENGTH"):
        if key in environ:
            headers[key.replace("_", "-").lower()] = environ[key]
    return headers


def _error(environ: WsgiEnvironment, service: str, code: wire.Code, message: str, status: int) -> Response:
    protocol = wire.protocol_of(environ, service)
    return wire.error_response(protocol, code.in_protocol(protocol), message, status)


def _what_happened(error: Exception) -> str:
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return "The disk of the local cloud's home is full: nothing was saved."
    return f"The local cloud failed ({type(error).__name__}: {error}); its log has the traceback."


def _describe(environ: WsgiEnvironment, service: str) -> str:
    operation = environ.get("HTTP_X_AMZ_TARGET") or f"{environ['REQUEST_METHOD']} {environ['PATH_INFO']}"
    return f"{service or 'unsigned'} {operation}"


_REASONS = {status.value: status.phrase for status in HTTPStatus}


def _reason(status: int) -> str:
    return _REASONS.get(status, "Unknown")


class Listening:
    """The API server in threads of its own, on a socket that is already bound."""

    def __init__(self, application: ApiServer, listener: socket.socket) -> None:
        from waitress.server import create_server

        self._server = create_server(
            application,
            sockets=[listener],
            threads=THREADS,
            connection_limit=1000,
            backlog=1024,
            recv_bytes=256 * 1024,
            inbuf_overflow=LARGEST_BODY_IN_MEMORY,
            outbuf_overflow=LARGEST_BODY_IN_MEMORY,
            outbuf_high_watermark=2 * LARGEST_BODY_IN_MEMORY,
            asyncore_use_poll=True,
            asyncore_loop_timeout=1,
            channel_timeout=300,
            ident="txnpipe",
            log_socket_errors=False,
            clear_untrusted_proxy_headers=False,
        )
        self._server.channel_class = _channel_class(application.guard)
        self._listener = listener
        self._thread = threading.Thread(target=self._run, name="api-server", daemon=True)

    def start(self) -> None:
        """Begins to accept connections."""
        self._thread.start()

    def _run(self) -> None:
        self._server.run()

    def stop(self, timeout_s: float = 5.0) -> None:
        """Closes the listener and waits for answers under way, at most `timeout_s` seconds."""
        if not self._thread.is_alive():
            self._listener.close()
            return
        from waitress import wasyncore

        server = self._server
        # Everything that touches the sockets happens in the thread that owns them.
        server.trigger.pull_trigger(lambda: wasyncore.dispatcher.close(server))
        server.task_dispatcher.shutdown(timeout=timeout_s)
        server.trigger.pull_trigger(lambda: wasyncore.close_all(server._map, ignore_all=True))
        self._thread.join(timeout_s)


_METADATA_NAME = re.compile(rb"(?<=\r\n)X-Amz-Meta-[^:]+(?=:)")


def _channel_class(guard: Guard) -> type:
    """waitress's connection, with two differences.

    S3 metadata keep their names: waitress would capitalize them. And whoever the guard refuses is refused
    before the body: waitress would take in a gigabyte from anybody first.
    """
    from waitress.channel import HTTPChannel
    from waitress.parser import HTTPRequestParser
    from waitress.task import WSGITask

    class Parser(HTTPRequestParser):  # type: ignore[misc]
        body_rcv: Any

        def parse_header(self, header_plus: bytes) -> None:
            super().parse_header(header_plus)
            if self.body_rcv is None or guard.refusal(_environ_of(self)) is None:
                return
            # A request without a body, which the application refuses, and nothing after it.
            self.body_rcv, self.content_length, self.expect_continue = None, 0, False
            self.headers["CONNECTION"] = "close"

    class Task(WSGITask):  # type: ignore[misc]
        def build_response_header(self) -> bytes:
            header: bytes = super().build_response_header()
            if b"X-Amz-Meta-" not in header:
                return header
            return _METADATA_NAME.sub(lambda match: match.group().lower(), header)

    class Channel(HTTPChannel):  # type: ignore[misc]
        parser_class = Parser
        task_class = Task

    return Channel


def _environ_of(request: Any) -> WsgiEnvironment:
    """What the guard looks at, of a request whose headers waitress has parsed."""
    headers = {f"HTTP_{name}": value for name, value in request.headers.items()}
    return {**headers, "PATH_INFO": request.path, "QUERY_STRING": request.query}
