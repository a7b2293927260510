"""The wire between the clients of the tests and the services: botocore's HTTP session, replaced.

A request arrives here as botocore would send it: validated and serialized, but not signed. It is answered in
the form in which AWS answers, which botocore parses: by the local cloud's own services, or by moto. What
happens on the way (a fault, a latency) is put in between as a layer.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

from botocore import UNSIGNED
from botocore.awsrequest import AWSResponse
from botocore.compat import HTTPHeaders
from moto.core.botocore_stubber import MockRawResponse
from moto.core.models import botocore_stubber

from tests.unit.deploy import moto_gaps
from tests.unit.deploy.own_services import OwnServices
from tests.unit.deploy.places import REGION
from txnpipe.local import wire as wire_forms
from txnpipe.local.service import Request, ServiceError

READS = ("Describe", "Get", "List", "Head", "Lookup")


class Killed(BaseException):
    """Stands for kill -9: nothing runs after it."""


@dataclass(frozen=True)
class Call:
    """One request: the service as boto3 names it, the operation, the parameters that were given."""

    service: str
    operation: str
    parameters: Mapping[str, Any]
    model: Any = field(repr=False, compare=False)

    def __str__(self) -> str:
        return f"{self.service}.{self.operation}"

    @property
    def names(self) -> tuple[str, str]:
        """How boto3 and how botocore's events name it."""
        return str(self), f"{self.model.service_model.service_id.hyphenize()}.{self.operation}"

    @property
    def changes(self) -> bool:
        """Whether it changes something. The lock is bookkeeping, but counts: it is written."""
        return is_change(str(self))

    def refusal(self, code: str, message: str, status: int = 400) -> Any:
        """The service's answer to this call when it refuses it."""
        protocol = wire_forms.Protocol(self.model.service_model.resolved_protocol)
        return wire_forms.error_response(protocol, code, message, status)


def is_change(call: str) -> bool:
    """Whether a call ("kinesis.CreateStream") changes something."""
    return not call.split(".")[1].startswith(READS)


Forward = Callable[[], AWSResponse]
Between = Callable[[Call, Forward], AWSResponse]
"""What happens to a call on its way: returns `forward()`, or another answer, or raises as a network does."""


@dataclass
class Recorder:
    """Every call that the services took, and the moment of the kill."""

    taken: list[Call] = field(default_factory=list)
    kill_after: int | None = None
    """Die right after this many changing calls were taken."""
    dead: bool = False

    @property
    def calls(self) -> list[str]:
        """What was called."""
        return [str(call) for call in self.taken]

    @property
    def changes(self) -> list[str]:
        """The calls that change something."""
        return [str(call) for call in self.taken if call.changes]

    def revive(self) -> None:
        """A new process: nothing kills it."""
        self.kill_after, self.dead = None, False

    def take(self, call: Call) -> None:
        """A call was answered well."""
        self.taken.append(call)
        if self.kill_after is not None and len(self.changes) >= self.kill_after:
            self.dead = True

    def assert_alive(self) -> None:
        """Raises Killed in a process that is dead."""
        if self.dead:
            raise Killed


class Wire:
    """One account's end of the wire."""

    def __init__(self, own: OwnServices) -> None:
        self.recorder = Recorder()
        self.layers: list[Between] = []
        """What a call passes on its way, the first one first."""
        self._own = own
        self._answered: dict[str | None, tuple[int, Any, bytes]] = {}
        """What was answered to a token."""
        # moto's dictionaries change while others read them; a server would answer one request at a time.
        self._one_at_a_time = threading.Lock()

    def send(self, call: Call, request: Any) -> AWSResponse:
        """Answers a request, unless something happens to it in between."""
        self.recorder.assert_alive()
        forward: Forward = partial(self._answer, call, request)
        for layer in reversed(self.layers):
            forward = partial(layer, call, forward)
        answer = forward()
        self.recorder.assert_alive()
        return answer

    def _answer(self, call: Call, request: Any) -> AWSResponse:
        with self._one_at_a_time:
            self.recorder.assert_alive()
            self._own.later.catch_up()
            token = moto_gaps.token(call.parameters)
            if token in self._answered:
                return _repeated(self._answered[token])
            answer = self._own_answer(call, request) or self._moto_answer(call, request)
            if answer.status_code < 300:
                moto_gaps.fill(str(call), call.parameters)
                self.recorder.take(call)
                if token:
                    self._answered[token] = (answer.status_code, answer.headers, answer.content)
            return answer

    def _moto_answer(self, call: Call, request: Any) -> AWSResponse:
        refused = moto_gaps.refusal(str(call), call.parameters)
        if refused:
            return received(request, call.refusal(*refused))
        answer = botocore_stubber("before-send", request)
        assert answer is not None, f"nobody answers {call}"
        return answer

    def _own_answer(self, call: Call, request: Any) -> AWSResponse | None:
        target = _text(request.headers.get("X-Amz-Target", ""))
        service = self._own.service_for(target)
        if service is None:
            return None
        parts = urlsplit(request.url)
        headers = {name.lower(): _text(value) for name, value in request.headers.items()}
        sent = Request(request.method, parts.path, parts.query, target, REGION, headers, _bytes(request.body))
        try:
            response = service.handle(sent)
        except ServiceError as error:
            response = call.refusal(error.code, error.message, error.status)
        return received(request, response)


def _repeated(answered: tuple[int, Any, bytes]) -> AWSResponse:
    status, headers, body = answered
    return AWSResponse("", status, headers, MockRawResponse(body))


def received(request: Any, response: Any) -> AWSResponse:
    """A response of one of our own services, as botocore gets one from the network."""
    headers = HTTPHeaders.from_dict({"content-type": response.content_type, **response.headers})
    return AWSResponse(getattr(request, "url", ""), response.status, headers, MockRawResponse(response.body))


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _bytes(value: Any) -> bytes:
    return value.encode() if isinstance(value, str) else value or b""


_under_way = threading.local()


def under_way() -> Call:
    """The call that this thread is making, or made last."""
    call: Call = _under_way.call
    return call


def attach(client: Any, wire: Callable[[], Wire]) -> None:
    """Puts a client on the wire: `wire()` gives that of the present account."""

    def begin(params: Mapping[str, Any], model: Any, **_: Any) -> None:
        _under_way.call = Call(model.service_model.service_name, model.name, dict(params), model)

    client.meta.events.register("before-parameter-build", begin)
    # Nobody looks at the signature, and it costs as much as the service's answer.
    client.meta.events.register("choose-signer", lambda **_: UNSIGNED)
    # moto answers from before-send, where nothing can be put in between; here it is asked by hand.
    client.meta.events.unregister("before-send", botocore_stubber)
    client._endpoint.http_session = SimpleNamespace(
        send=lambda request: wire().send(under_way(), request), close=lambda: None
    )
