"""What can go wrong with a call, and a layer on the wire that lets it go wrong once for every call."""

from __future__ import annotations

import re
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from botocore.awsrequest import AWSResponse
from botocore.exceptions import ReadTimeoutError

from tests.unit.deploy.wire import Call, Forward, received
from txnpipe.local import wire as forms

_DENIED = {"ec2": "UnauthorizedOperation", "sns": "AuthorizationError"}
_THROTTLED = {
    "ec2": ("RequestLimitExceeded", 503),
    "kinesis": ("LimitExceededException", 400),
    "lambda": ("TooManyRequestsException", 429),
    "s3": ("SlowDown", 503),
    **dict.fromkeys(("iam", "redshift", "sns", "cloudwatch"), ("Throttling", 400)),
}
"""How each service says it (API references, common errors); the others say AccessDeniedException, or
AccessDenied in the query and XML protocols, and ThrottlingException."""


@dataclass(frozen=True)
class Fault:
    """One thing that goes wrong. `strike` answers in the service's place, attempt by attempt.

    fix: what the error must tell to do (a part of the sentence). lasts: whether every attempt of botocore's
    meets it, or the first one only.
    """

    name: str
    strike: Callable[[Call, Forward], AWSResponse]
    fix: str
    lasts: bool = True


def _denied(call: Call, _: Forward) -> AWSResponse:
    code = _DENIED.get(call.service) or forms.Code.DENIED.in_protocol(_protocol(call))
    return received(None, call.refusal(code, f"User is not authorized to perform {call}", 403))


def _throttled(call: Call, _: Forward) -> AWSResponse:
    code, status = _THROTTLED.get(call.service, ("ThrottlingException", 400))
    return received(None, call.refusal(code, "Rate exceeded", status))


def _broken(call: Call, _: Forward) -> AWSResponse:
    code = forms.Code.INTERNAL.in_protocol(_protocol(call))
    return received(None, call.refusal(code, "We encountered an internal error.", 500))


def _lost(call: Call, forward: Forward) -> AWSResponse:
    forward()
    raise ReadTimeoutError(endpoint_url=f"https://{call.service}.amazonaws.com/")


def _unheard(call: Call, _: Forward) -> AWSResponse:
    raise ReadTimeoutError(endpoint_url=f"https://{call.service}.amazonaws.com/")


def _protocol(call: Call) -> forms.Protocol:
    return forms.Protocol(call.model.service_model.resolved_protocol)


DENIED = Fault("access denied", _denied, "a policy that allows this call")
FAULTS = (
    DENIED,
    Fault("throttled", _throttled, "again"),
    Fault("broken", _broken, "again"),
    Fault("never heard of", _unheard, "again"),
    Fault("done, and every answer lost", _lost, "again"),
    Fault("done, and the first answer lost", _lost, "again", lasts=False),
)

_VARYING = re.compile(r"\b(sg|vpce|eni|rtb|vpce-svc)-[0-9a-f]+|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_UNTOLD = {
    *("Body", "ClientRequestToken", "ClientToken", "CreateTimestamp", "CurrentApplicationVersionId"),
    *("FinalClusterSnapshotIdentifier", "IfMatch", "SecretString", "ZipFile"),
}
"""Parameters that say nothing about what a call is about, or that are different each time."""


def subject(call: Call) -> str:
    """A call's name and whom it concerns: the same in every run of a command."""
    told = {
        name: value
        for name, value in call.parameters.items()
        if name not in _UNTOLD and isinstance(value, str | int)
    }
    text = ", ".join(f"{name}={str(value)[:100]}" for name, value in sorted(told.items()))
    return _VARYING.sub(r"\1-*", f"{call}({text})")


class Counted:
    """Tells the calls of one run apart where they look alike: the second one gets the number 2."""

    def __init__(self) -> None:
        self._seen: Counter[str] = Counter()
        self._names: dict[int, tuple[Call, str]] = {}
        self._mutex = threading.Lock()

    def name(self, call: Call) -> str:
        """The name of a call; every attempt of it has the same one."""
        with self._mutex:
            if id(call) not in self._names:
                key = subject(call)
                self._seen[key] += 1
                number = f" #{self._seen[key]}" if self._seen[key] > 1 else ""
                self._names[id(call)] = (call, key + number)
            return self._names[id(call)][1]


@dataclass(frozen=True)
class Struck:
    """A call that went wrong, and the step that made it: the name of its thread."""

    call: Call
    name: str
    step: str


@dataclass
class Striker:
    """A layer: every wanted call meets the fault the first time it is made, and never again.

    proven: names of the calls that need not meet it, and of those that have.
    """

    fault: Fault
    wanted: Callable[[Call], bool]
    proven: set[str]
    struck: list[Struck] = field(default_factory=list)
    _counted: Counted = field(default_factory=Counted)
    _attempts: Counter[str] = field(default_factory=Counter)
    _mutex: Any = field(default_factory=threading.Lock)

    def __call__(self, call: Call, forward: Forward) -> AWSResponse:
        if not self.wanted(call):
            return forward()
        name = self._counted.name(call)
        with self._mutex:
            if name not in self.proven:
                self.proven.add(name)
                self.struck.append(Struck(call, name, threading.current_thread().name))
            hit = any(each.name == name for each in self.struck)
            self._attempts[name] += 1
            if not hit or (not self.fault.lasts and self._attempts[name] > 1):
                hit = False
        return self.fault.strike(call, forward) if hit else forward()
