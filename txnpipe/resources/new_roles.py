"""Roles that are too new: IAM tells the other services of a role some seconds after it has made it.

Until then they refuse the role, each in its own words. The sentences below are the ones that Lambda and the
Managed Service for Apache Flink use for that; nothing else is retried.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from txnpipe.aws import error_code
from txnpipe.errors import ExitCode, TxnpipeError
from txnpipe.resources.resource import Cloud, Resource

T = TypeVar("T")

ROLE_TIMEOUT_S = 300.0
"""How long a new role may stay unknown before we call it an error."""
_CODES = {"InvalidParameterValueException", "InvalidArgumentException", "AccessDeniedException"}
_SENTENCES = (
    "cannot be assumed by lambda",
    "execution role does not have permissions",
    "ensure the role can perform",
    "createnetworkinterface",
    "kinesis analytics service doesn't have sufficient privileges",
)


def once_role_is_known(cloud: Cloud, resource: Resource[Any], call: Callable[[], T]) -> T:
    """Makes a call that may fail because its role is too new, again and again for up to ROLE_TIMEOUT_S.

    Raises whatever else the call raises; TxnpipeError (SERVICE) with the last refusal once the time is up.
    """
    refusals: list[Exception] = []

    def probe() -> tuple[T] | None:
        try:
            return (call(),)
        except Exception as error:
            if not _is_too_new(error):
                raise
            refusals.append(error)
            return None

    try:
        return cloud.waiter.until(
            resource, "AWS to learn of the new role", probe, ROLE_TIMEOUT_S, interval_s=5
        )[0]
    except TxnpipeError as error:
        if error.exit_code is not ExitCode.TIMEOUT or not refusals:
            raise
        raise TxnpipeError(
            f"The role of {resource.name} is still refused after {ROLE_TIMEOUT_S:.0f} s: {refusals[-1]}",
            "Check that nothing (a service control policy, a permissions boundary) cuts the role down.",
            ExitCode.SERVICE,
        ) from refusals[-1]


def _is_too_new(error: Exception) -> bool:
    text = str(error).lower()
    return error_code(error) in _CODES and any(sentence in text for sentence in _SENTENCES)
