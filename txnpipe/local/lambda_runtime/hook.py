"""Makes moto's Lambda invoke real: the API `Invoke`, and what other services of moto invoke.

Three methods of moto are replaced; `tests/integration/lambda_runtime/test_hook.py` holds moto to them.
- `LambdaResponse.invoke`: the API call. Moto's own drops the qualifier and calls every error "Handled".
- `LambdaBackend.invoke`: synchronous, by other services (a queue's event source mapping, secret rotation).
- `LambdaFunction.invoke`: asynchronous on AWS, by SNS, S3 notifications and log subscriptions.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any, Protocol
from urllib.parse import unquote

from txnpipe.local.lambda_runtime.functions import FunctionSpec, spec_of
from txnpipe.local.lambda_runtime.results import InvokeResult
from txnpipe.local.service import ServiceError

MAX_SYNCHRONOUS_PAYLOAD = 6_291_456
"""Lambda's limit of a synchronous request: 6 MB."""
MAX_ASYNCHRONOUS_PAYLOAD = 1_048_576
"""Lambda's limit of an asynchronous request: 1 MB."""

Answer = tuple[int, dict[str, str], bytes]


class Runner(Protocol):
    """The part, as the hook uses it."""

    def run(self, spec: FunctionSpec, payload: bytes) -> InvokeResult: ...

    def run_later(self, spec: FunctionSpec, payload: bytes) -> None: ...


def answer_invoke(
    runner: Runner, spec: FunctionSpec, invocation_type: str, log_type: str, payload: bytes
) -> Answer:
    """(status, headers, body) of the API call `Invoke`."""
    try:
        _check_payload(payload, invocation_type)
        if invocation_type == "DryRun":
            return 204, {}, b""
        if invocation_type == "Event":
            runner.run_later(spec, payload or b"{}")
            return 202, {}, b""
        result = runner.run(spec, payload or b"{}")
    except ServiceError as error:
        body = json.dumps({"Type": "User", "message": error.message, "Message": error.message}).encode()
        return error.status, {"x-amzn-errortype": error.code, "content-type": "application/json"}, body
    headers = {"content-type": "application/json", "x-amz-executed-version": result.version}
    if result.failed:
        headers["x-amz-function-error"] = "Unhandled"
    if log_type == "Tail":
        headers["x-amz-log-result"] = base64.b64encode(result.log_tail).decode()
    return 200, headers, result.payload


def _check_payload(payload: bytes, invocation_type: str) -> None:
    if invocation_type not in ("RequestResponse", "Event", "DryRun"):
        raise ServiceError(
            "InvalidParameterValueException", f"Unknown invocation type: {invocation_type}", 400
        )
    limit = MAX_ASYNCHRONOUS_PAYLOAD if invocation_type == "Event" else MAX_SYNCHRONOUS_PAYLOAD
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
                "InvalidRequestContentException", f"Could not parse request body into json: {error}", 400
            ) from error


def install(runner: Runner) -> Callable[[], None]:
    """Replaces moto's methods; returns what puts them back."""
    from moto.awslambda.models import LambdaBackend, LambdaFunction
    from moto.awslambda.responses import LambdaResponse
    from moto.utilities.aws_headers import amz_crc32

    owners: tuple[Any, ...] = (LambdaResponse, LambdaBackend, LambdaFunction)
    originals = [owner.invoke for owner in owners]

    def api_invoke(self: Any) -> Answer:
        name = unquote(self.path.rsplit("/", 2)[-2])
        qualifier = self.querystring.get("Qualifier", [None])[0]
        function = self.backend.get_function(name, qualifier)
        return answer_invoke(
            runner,
            spec_of(function),
            self.headers.get("X-Amz-Invocation-Type") or "RequestResponse",
            self.headers.get("X-Amz-Log-Type") or "None",
            _as_bytes(self.body),
        )

    def backend_invoke(
        self: Any,
        function_name: str,
        qualifier: str | None,
        body: Any,
        headers: Any,  # noqa: ARG001 - moto passes it by name
        response_headers: Any,
    ) -> bytes:
        result = runner.run(spec_of(self.get_function(function_name, qualifier)), _as_bytes(body) or b"{}")
        if result.failed:
            response_headers["x-amz-function-error"] = "Unhandled"
        return result.payload

    def function_invoke(self: Any, body: Any, _request_headers: Any, _response_headers: Any) -> bytes:
        runner.run_later(spec_of(self), _as_bytes(body) or b"{}")
        return b""

    replacements: list[Any] = [amz_crc32(api_invoke), backend_invoke, function_invoke]
    for owner, replacement in zip(owners, replacements, strict=True):
        owner.invoke = replacement

    def uninstall() -> None:
        for owner, original in zip(owners, originals, strict=True):
            owner.invoke = original

    return uninstall


def _as_bytes(body: Any) -> bytes:
    return body.encode() if isinstance(body, str) else bytes(body or b"")
