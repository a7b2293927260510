"""Roles that are too new: IAM tells the other services of a role some seconds after it has made it.

Until then they refuse the role, each in its own words. The sentences below are the ones that Lambda and the
Managed Service for Apache Flink use for that; nothing else is retried.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from txnpipe.aws import error_code
from txnpipe.resources.refusals import once_accepted
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
    # Lambda encrypts the environment with a grant to the role, and KMS does not know the role either.
    "kms key is invalid for creategrant",
    "kinesis analytics service doesn't have sufficient privileges",
    "please check the role provided or validity of s3 location",
)


def once_role_is_known(cloud: Cloud, resource: Resource[Any], call: Callable[[], T]) -> T:
    """Makes a call that may fail because its role is too new, again and again for up to ROLE_TIMEOUT_S.

    Raises whatever else the call raises; TxnpipeError (SERVICE) with the last refusal once the time is up.
    """
    return once_accepted(
        cloud,
        resource,
        call,
        _is_too_new,
        what="AWS to learn of the new role",
        timeout_s=ROLE_TIMEOUT_S,
        subject=f"The role of {resource.name}",
        fix="Check that nothing (a service control policy, a permissions boundary) cuts the role down.",
    )


def _is_too_new(error: Exception) -> bool:
    text = str(error).lower()
    return error_code(error) in _CODES and any(sentence in text for sentence in _SENTENCES)
