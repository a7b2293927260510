"""A runtime client in plain Python, for systems that AWS's own has no wheel for.

Speaks the Lambda Runtime API and words errors as `awslambdaric` does.
"""

from __future__ import annotations

import http.client
import importlib
import json
import os
import sys
import time
import traceback
from collections.abc import Callable
from typing import Any

API = "/2018-06-01/runtime"


class Context:
    """The handler's second argument: the fields that Lambda documents for Python."""

    def __init__(self, headers: Any) -> None:
        self.aws_request_id: str = headers["Lambda-Runtime-Aws-Request-Id"]
        self.invoked_function_arn: str = headers["Lambda-Runtime-Invoked-Function-Arn"]
        self.function_name = os.environ["AWS_LAMBDA_FUNCTION_NAME"]
        self.function_version = os.environ["AWS_LAMBDA_FUNCTION_VERSION"]
        self.memory_limit_in_mb = os.environ["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"]
        self.log_group_name = os.environ["AWS_LAMBDA_LOG_GROUP_NAME"]
        self.log_stream_name = os.environ["AWS_LAMBDA_LOG_STREAM_NAME"]
        self.identity = None
        self.client_context = None
        self._deadline_ms = int(headers["Lambda-Runtime-Deadline-Ms"])

    def get_remaining_time_in_millis(self) -> int:
        """Milliseconds until the invocation times out."""
        return max(0, self._deadline_ms - int(time.time() * 1000))


class Api:
    """One kept connection to the Runtime API at HOST:PORT/PATH."""

    def __init__(self, address: str) -> None:
        host, _, self._path = address.partition("/")
        self._connection = http.client.HTTPConnection(host)

    def call(self, method: str, path: str, body: bytes | None = None) -> tuple[int, Any, bytes]:
        """(status, headers, body)."""
        self._connection.request(method, f"/{self._path}{API}{path}", body)
        response = self._connection.getresponse()
        return response.status, response.headers, response.read()


def find_handler(handler: str) -> Callable[[Any, Context], Any]:
    """`package.module.function`, imported. Raises InitError."""
    module_name, _, name = handler.rpartition(".")
    if not module_name:
        raise InitError("Runtime.MalformedHandlerName", f"Bad handler '{handler}'")
    try:
        module = importlib.import_module(module_name.replace("/", "."))
    except ImportError as error:
        raise InitError(
            "Runtime.ImportModuleError", f"Unable to import module '{module_name}': {error}"
        ) from error
    except SyntaxError as error:
        raise InitError(
            "Runtime.UserCodeSyntaxError", f"Syntax error in module '{module_name}': {error}"
        ) from error
    try:
        function: Callable[[Any, Context], Any] = getattr(module, name)
    except AttributeError as error:
        raise InitError(
            "Runtime.HandlerNotFound", f"Handler '{name}' missing on module '{module_name}'"
        ) from error
    return function


class InitError(Exception):
    """The function cannot be loaded."""

    def __init__(self, error_type: str, message: str) -> None:
        super().__init__(message)
        self.error_type = error_type


def error_json(error: BaseException, request_id: str) -> bytes:
    """Lambda's error object, its stack trace without the frames of this file."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename != __file__]
    body = {
        "errorMessage": str(error),
        "errorType": getattr(error, "error_type", type(error).__name__),
        "requestId": request_id,
        "stackTrace": traceback.format_list(frames),
    }
    if os.environ.get("AWS_LAMBDA_LOG_FORMAT") == "JSON":
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        sys.stdout.write(json.dumps({"timestamp": now, "level": "ERROR", **body}) + "\n")
    else:
        sys.stdout.write(f"[ERROR] {body['errorType']}: {error}\n" + "".join(traceback.format_list(frames)))
    return json.dumps(body).encode()


def run(handler: str, address: str) -> None:
    """Serves invocations until the Runtime API is gone."""
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    api = Api(address)
    try:
        function = find_handler(handler)
    except Exception as error:  # noqa: BLE001 - whatever the module raises is reported, and ends the process
        api.call("POST", "/init/error", error_json(error, ""))
        sys.exit(1)
    while True:
        status, headers, event = api.call("GET", "/invocation/next")
        if status != 200:
            sys.exit(1)
        context = Context(headers)
        try:
            # Strict JSON but for text: Lambda's runtime leaves non-ASCII text as it is.
            result = json.dumps(function(json.loads(event), context), ensure_ascii=False).encode()
            path = "response"
        except Exception as error:  # noqa: BLE001 - whatever the handler raises is its answer
            result, path = error_json(error, context.aws_request_id), "error"
        sys.stdout.flush()
        status, _, _ = api.call("POST", f"/invocation/{context.aws_request_id}/{path}", result)
        if status != 202:
            sys.exit(1)
