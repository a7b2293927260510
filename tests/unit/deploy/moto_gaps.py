"""What moto leaves out of an answered call, and out of an answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from tests.unit.deploy.places import ACCOUNT, REGION

Parameters = Mapping[str, Any]


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
