"""What an invocation comes to, and the payloads Lambda itself writes where the function could not."""

from __future__ import annotations

import json
import signal
from dataclasses import dataclass
from typing import Literal

Kind = Literal["ok", "error", "timeout", "crash", "init_error"]

MAX_RESPONSE_BYTES = 6_291_556
"""Lambda's limit of a response: 6 MB and a little, the number in its own error message."""


@dataclass(frozen=True)
class InvokeResult:
    """The end of one invocation.

    kind: "ok" (the handler returned), "error" (it raised, or its response was too large), "timeout", "crash"
    (the process ended during the call), "init_error" (the process ended before its first call).
    payload: the handler's JSON, or Lambda's error JSON {"errorMessage", "errorType", ...}.
    log_tail: the last 4 KB of the invocation's log, as `LogType=Tail` shows them.
    """

    kind: Kind
    payload: bytes
    request_id: str = ""
    version: str = "$LATEST"
    log_tail: bytes = b""

    @property
    def failed(self) -> bool:
        """Whether the Lambda API would answer with FunctionError."""
        return self.kind != "ok"


def _error(error_type: str, message: str) -> bytes:
    return json.dumps({"errorType": error_type, "errorMessage": message}, separators=(",", ":")).encode()


def timed_out(request_id: str, timeout_s: int) -> bytes:
    """The payload of an invocation that ran into the function's time-out."""
    return _error(
        "Sandbox.Timedout", f"RequestId: {request_id} Error: Task timed out after {timeout_s:.2f} seconds"
    )


def exited(request_id: str, exit_code: int) -> bytes:
    """The payload of an invocation whose process ended. `exit_code` is negative for a signal."""
    return _error("Runtime.ExitError", f"RequestId: {request_id} Error: {exit_reason(exit_code)}")


def exit_reason(exit_code: int) -> str:
    """How Lambda words the end of a runtime process."""
    if exit_code == 0:
        return "Runtime exited without providing a reason"
    if exit_code > 0:
        return f"Runtime exited with error: exit status {exit_code}"
    try:
        name = signal.strsignal(-exit_code) or str(-exit_code)
    except ValueError:
        name = str(-exit_code)
    return f"Runtime exited with error: signal: {name.lower()}"


def response_too_large() -> bytes:
    """The payload of an invocation whose response exceeds MAX_RESPONSE_BYTES."""
    return _error(
        "Function.ResponseSizeTooLarge",
        f"Response payload size exceeded maximum allowed payload size ({MAX_RESPONSE_BYTES} bytes).",
    )


def not_runnable(error_type: str, message: str) -> bytes:
    """The payload of an invocation for which no process could be started."""
    return _error(error_type, message)
