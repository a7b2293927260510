"""Calls that a service refuses for a while: names that are not free yet, things in motion, things in use."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from txnpipe.aws import error_code
from txnpipe.errors import ExitCode, TxnpipeError
from txnpipe.resources.resource import CONTINUES, Cloud, Resource

T = TypeVar("T")

Passing = Callable[[Exception], bool]
"""Whether a refusal is one that passes by itself."""


def coded(*codes: str) -> Passing:
    """Refusals with one of these error codes."""
    return lambda error: error_code(error) in codes


def once_accepted(
    cloud: Cloud,
    resource: Resource[Any],
    call: Callable[[], T],
    passing: Passing,
    *,
    what: str,
    timeout_s: float,
    subject: str = "",
    fix: str = CONTINUES,
    interval_s: float = 5.0,
) -> T:
    """Makes a call again and again while its refusals pass, for up to `timeout_s`.

    `what` is what is awaited; `subject`, what is refused ("The role of x"). Raises whatever else the call
    raises; TxnpipeError (SERVICE) with the last refusal once the time is up.
    """
    refusals: list[Exception] = []

    def probe() -> tuple[T] | None:
        try:
            return (call(),)
        except Exception as error:
            if not passing(error):
                raise
            refusals.append(error)
            return None

    try:
        return cloud.waiter.until(resource, what, probe, timeout_s, interval_s=interval_s)[0]
    except TxnpipeError as error:
        if error.exit_code is not ExitCode.TIMEOUT or not refusals:
            raise
        raise TxnpipeError(
            f"{subject or f'The {resource.kind} {resource.name}'} is still refused after {timeout_s:.0f} s: "
            f"{refusals[-1]}",
            fix,
            ExitCode.SERVICE,
        ) from refusals[-1]
