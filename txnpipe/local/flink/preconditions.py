"""Rules that several operations of the API share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from txnpipe.local.flink.state import RUNNABLE, Application, LoggingOption
from txnpipe.local.service import ServiceError

MAX_TAGS = 50
PAGE = 50
Item = TypeVar("Item")
_ENDED_RUNTIMES = {
    "SQL-1_0": "Kinesis Data Analytics for SQL ended on 2026-01-27; use a FLINK runtime.",
}


def check_runtime(runtime: str) -> None:
    """Refuses runtimes in which no new application can be made."""
    if runtime in _ENDED_RUNTIMES:
        raise ServiceError("UnsupportedOperationException", _ENDED_RUNTIMES[runtime])
    if runtime not in RUNNABLE:
        raise ServiceError(
            "InvalidArgumentException",
            f"{runtime} is not available for applications; use one of {', '.join(RUNNABLE)}.",
        )


def check_version(application: Application, request: Mapping[str, Any]) -> None:
    """Whoever changes an application says which state of it they have seen."""
    token, number = request.get("ConditionalToken"), request.get("CurrentApplicationVersionId")
    if token is None and number is None:
        raise ServiceError(
            "InvalidArgumentException", "Give CurrentApplicationVersionId or ConditionalToken."
        )
    if (token is not None and token != application.token) or (
        number is not None and number != application.version.number
    ):
        raise ServiceError(
            "ConcurrentModificationException",
            f"Application {application.name} was changed meanwhile; "
            f"it is at version {application.version.number}.",
        )


def add_logging_option(application: Application, arn: str) -> None:
    """Gives the application one more CloudWatch logging option."""
    application.serial += 1
    application.logging.append(
        LoggingOption(id=f"{application.version.number}.{application.serial}", log_stream_arn=arn)
    )


def logging_option(application: Application, option_id: str) -> LoggingOption:
    """The logging option of that id. Raises ResourceNotFoundException."""
    for option in application.logging:
        if option.id == option_id:
            return option
    raise ServiceError("ResourceNotFoundException", f"There is no logging option {option_id}.")


def with_tags(tags: Mapping[str, str], added: Sequence[Mapping[str, str]]) -> dict[str, str]:
    """The tags with others added. Raises TooManyTagsException."""
    result = {**tags, **{tag["Key"]: tag.get("Value", "") for tag in added}}
    if len(result) > MAX_TAGS:
        raise ServiceError("TooManyTagsException", f"An application can have {MAX_TAGS} tags.")
    return result


def page(items: Sequence[Item], request: Mapping[str, Any]) -> tuple[Sequence[Item], dict[str, str]]:
    """The page that a request asks for, and its NextToken."""
    token = request.get("NextToken", "0")
    if not token.isdigit():
        raise ServiceError("InvalidArgumentException", "NextToken is not one of this list.")
    first, size = int(token), request.get("Limit", PAGE)
    following = first + size
    return items[first:following], ({"NextToken": str(following)} if following < len(items) else {})
