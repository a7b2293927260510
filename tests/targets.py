"""A target of which tests say only what matters to them."""

from __future__ import annotations

from typing import Any, TypeVar

from txnpipe.aws import FunctionPlatform, Target

T = TypeVar("T", bound=Target)


def a_target(kind: type[T], **different: Any) -> T:
    """A local target without an endpoint, `different` apart."""
    return kind(
        **{
            "name": "local",
            "region": "us-east-1",
            "account": "000000000000",
            "endpoint_url": None,
            "credentials": None,
            "profile": None,
            "warehouse_access": "direct",
            "sslmode": "prefer",
            "functions": FunctionPlatform("3.13", "x86_64"),
            "batch_window_seconds": 0,
            "checkpoint_interval_ms": 1000,
            "connector_jar": None,
        }
        | different
    )
