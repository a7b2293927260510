"""What moto leaves out of calls and answers, what it should refuse, and that a token makes a call once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from tests.unit.deploy.places import ACCOUNT, REGION

Parameters = Mapping[str, Any]


def refusal(operation: str, parameters: Parameters) -> tuple[str, str, int] | None:
    """Code, message and status where the service would refuse a call that moto takes."""
    if operation == "lambda.CreateEventSourceMapping" and _is_mapped(parameters):
        return (
            "ResourceConflictException",
            "An event source mapping with this source and function already exists.",
            409,
        )
    return None


def _is_mapped(parameters: Parameters) -> bool:
    from moto.awslambda.models import lambda_backends

    return any(
        mapping.event_source_arn == parameters["EventSourceArn"]
        and mapping.function_arn.rpartition(":")[2] == parameters["FunctionName"]
        for mapping in lambda_backends[ACCOUNT][REGION]._event_source_mappings.values()
    )


def token(parameters: Parameters) -> str | None:
    """What makes a repeated call the same one."""
    found = parameters.get("ClientToken") or parameters.get("ClientRequestToken")
    return str(found) if found else None


def fill(operation: str, parameters: Parameters) -> None:
    """Does what the service would have done as well."""
    if operation in _GAPS:
        _GAPS[operation](parameters)


def _tag_stream(parameters: Parameters) -> None:
    """moto takes the tags of CreateStream and forgets them."""
    from moto.kinesis.models import kinesis_backends

    tags = dict(parameters.get("Tags", {}))
    kinesis_backends[ACCOUNT][REGION].add_tags_to_stream(None, parameters["StreamName"], tags)


def _keep_logging(parameters: Parameters) -> None:
    """moto passes over the LoggingConfig of a function."""
    function = _function(parameters["FunctionName"])
    function.logging_config = vars(function).get("logging_config", {}) | parameters.get("LoggingConfig", {})


def show_logging(answer: dict[str, Any]) -> None:
    """Puts it into what GetFunction answers."""
    if "Configuration" in answer:
        name = answer["Configuration"]["FunctionName"]
        defaults = {"LogFormat": "Text", "LogGroup": f"/aws/lambda/{name}"}
        kept = vars(_function(name)).get("logging_config", {})
        answer["Configuration"]["LoggingConfig"] = defaults | kept


def _function(name: str) -> Any:
    from moto.awslambda.models import lambda_backends

    return lambda_backends[ACCOUNT][REGION].get_function(name)


_GAPS: dict[str, Callable[[Parameters], None]] = {
    "kinesis.CreateStream": _tag_stream,
    "lambda.CreateFunction": _keep_logging,
    "lambda.UpdateFunctionConfiguration": _keep_logging,
}
