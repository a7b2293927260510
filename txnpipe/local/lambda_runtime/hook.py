"""Makes what other services of moto invoke real: an SNS subscription, an S3 notification, a log subscription.

They all call `LambdaFunction.invoke`, from inside the call that moto is answering. AWS invokes these
asynchronously, and so does this: nothing of it may wait for a function that calls moto itself.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from txnpipe.local.lambda_runtime.functions import FunctionSpec, spec_of


def install(run_later: Callable[[FunctionSpec, bytes], None]) -> Callable[[], None]:
    """Replaces moto's method; returns what puts it back."""
    from moto.awslambda.models import LambdaFunction

    owner: Any = LambdaFunction
    original = owner.invoke

    def invoke(self: Any, body: Any, _request_headers: Any, _response_headers: Any) -> bytes:
        run_later(spec_of(self), body.encode() if isinstance(body, str) else bytes(body or b"{}"))
        return b""

    owner.invoke = invoke

    def uninstall() -> None:
        owner.invoke = original

    return uninstall
