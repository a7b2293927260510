"""The Lambda API call `Invoke`.

Answered here and not by moto, which lets one call at a time in: a function that is being invoked calls the
control plane itself.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable
from typing import Protocol
from urllib.parse import parse_qs, unquote

from txnpipe.local.lambda_runtime.functions import FunctionSpec
from txnpipe.local.lambda_runtime.results import InvokeResult
from txnpipe.local.service import Request, Response, ServiceError

_PATH = re.compile(r"/2015-03-31/functions/(?P<name>.+)/invocations/?")
MAX_SYNCHRONOUS_PAYLOAD = 6_291_456
"""Lambda's limit of a synchronous request: 6 MB."""
MAX_ASYNCHRONOUS_PAYLOAD = 1_048_576
"""Lambda's limit of an asynchronous request: 1 MB."""


class Runner(Protocol):
    """Who runs functions."""

    def run(self, spec: FunctionSpec, payload: bytes) -> InvokeResult:
        """Runs an invocation to its end. Raises ServiceError where nothing was run."""
        ...

    def run_later(self, spec: FunctionSpec, payload: bytes) -> None:
        """Queues an asynchronous invocation. Raises ServiceError where it was not queued."""
        ...


class InvokeService:
    """find: the function of a name or ARN in a region, with a qualifier; raises ServiceError."""

    def __init__(self, runner: Runner, find: Callable[[str, str, str | None], FunctionSpec]) -> None:
        self._runner = runner
        self._find = find

    def claims(self, method: str, path: str, _target: str) -> bool:
        """Whether this is `Invoke`."""
        return method == "POST" and path.startswith("/2015-03-31/functions/") and bool(_PATH.fullmatch(path))

    def handle(self, request: Request) -> Response:
        """Runs the function. Raises ServiceError."""
        match = _PATH.fullmatch(request.path)
        name = unquote(match["name"]) if match else ""
        qualifier = parse_qs(request.query).get("Qualifier", [None])[0]
        kind = request.headers.get("x-amz-invocation-type") or "RequestResponse"
        spec = self._find(name, request.region, qualifier)
        _check(kind, request.body)
        payload = request.body or b"{}"
        if kind == "DryRun":
            return Response(204, b"")
        if kind == "Event":
            self._runner.run_later(spec, payload)
            return Response(202, b"")
        result = self._runner.run(spec, payload)
        headers = {"x-amz-executed-version": result.version}
        if result.failed:
            headers["x-amz-function-error"] = "Unhandled"
        if request.headers.get("x-amz-log-type") == "Tail":
            headers["x-amz-log-result"] = base64.b64encode(result.log_tail).decode()
        return Response(200, result.payload, "application/json", headers)


def _check(kind: str, payload: bytes) -> None:
    if kind not in ("RequestResponse", "Event", "DryRun"):
        raise ServiceError("InvalidParameterValueException", f"Unknown invocation type: {kind}")
    limit = MAX_ASYNCHRONOUS_PAYLOAD if kind == "Event" else MAX_SYNCHRONOUS_PAYLOAD
    if len(payload) > limit:
        raise ServiceError(
            "RequestTooLargeException",
            f"Request must be smaller than {limit} bytes for the InvokeFunction operation",
            413,
        )
    if payload:
        try:
            json.loads(payload)
        except ValueError as error:
            raise ServiceError(
                "InvalidRequestContentException", f"Could not parse request body into json: {error}"
            ) from error
