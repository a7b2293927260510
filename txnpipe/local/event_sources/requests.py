"""Checks requests about mappings: against botocore's model of Lambda, then against the rules beside it.

What AWS knows and the local cloud does not is refused by name, not ignored.
"""

from __future__ import annotations

import functools
import json
import re
from typing import Any

from txnpipe.local.event_sources.filters import PatternError, RecordFilter
from txnpipe.local.service import ServiceError

MAX_FILTERS = 5
"""Filters of one mapping; AWS raises it on request."""
MIN_RECORD_AGE_S = 60
"""MaximumRecordAgeInSeconds is -1 or at least this."""
_STREAM_ARN = re.compile(r"arn:aws[a-z-]*:kinesis:(?P<region>[a-z0-9-]+):\d{12}:stream/[a-zA-Z0-9_.-]{1,128}")
_DESTINATION_ARN = re.compile(r"arn:aws[a-z-]*:(s3:::|sqs:[a-z0-9-]+:\d{12}:|sns:[a-z0-9-]+:\d{12}:).+")
_NOT_SUPPORTED = (
    "AmazonManagedKafkaEventSourceConfig",
    "DocumentDBEventSourceConfig",
    "KMSKeyArn",
    "LoggingConfig",
    "MetricsConfig",
    "ProvisionedPollerConfig",
    "Queues",
    "ScalingConfig",
    "SelfManagedEventSource",
    "SelfManagedKafkaEventSourceConfig",
    "SourceAccessConfigurations",
    "Topics",
    "TumblingWindowInSeconds",
)


def invalid(message: str) -> ServiceError:
    """InvalidParameterValueException."""
    return ServiceError("InvalidParameterValueException", message)


def parse_body(operation: str, body: bytes) -> dict[str, Any]:
    """The JSON body of an operation, checked against botocore's model. Raises ServiceError."""
    try:
        given = json.loads(body or b"{}")
    except ValueError as error:
        raise ServiceError(
            "InvalidRequestContentException", f"Could not parse request body into json: {error}"
        ) from error
    if not isinstance(given, dict):
        raise ServiceError("InvalidRequestContentException", "The request body must be a JSON object.")
    shape = _model().operation_model(operation).input_shape
    fields = {
        name: value
        for name, value in given.items()
        if value is not None
        and name in shape.members
        and not shape.members[name].serialization.get("location")
    }
    problems: list[str] = []
    for name, value in fields.items():
        _check(shape.members[name], value, name[0].lower() + name[1:], problems)
    if problems:
        plural = "s" if len(problems) > 1 else ""
        raise ServiceError(
            "ValidationException", f"{len(problems)} validation error{plural} detected: {'; '.join(problems)}"
        )
    return fields


@functools.lru_cache(maxsize=1)
def _model() -> Any:
    import botocore.session

    return botocore.session.get_session().get_service_model("lambda")


def _check(shape: Any, value: Any, path: str, problems: list[str]) -> None:
    """Adds what is wrong with `value` to `problems`, in the words of AWS's validator."""

    def complain(rule: str) -> None:
        problems.append(f"Value '{value}' at '{path}' failed to satisfy constraint: Member must {rule}")

    if not _right_type(shape.type_name, value):
        complain(f"be a {shape.type_name}")
        return
    bounds = shape.metadata
    if shape.type_name == "integer":
        if value < bounds.get("min", value):
            complain(f"have value greater than or equal to {bounds['min']}")
        if value > bounds.get("max", value):
            complain(f"have value less than or equal to {bounds['max']}")
    elif shape.type_name in ("string", "list"):
        if len(value) < bounds.get("min", 0):
            complain(f"have length greater than or equal to {bounds['min']}")
        if len(value) > bounds.get("max", len(value)):
            complain(f"have length less than or equal to {bounds['max']}")
        if "enum" in bounds and value not in bounds["enum"]:
            complain(f"satisfy enum value set: [{', '.join(bounds['enum'])}]")
        if "pattern" in bounds and not re.fullmatch(bounds["pattern"], value):
            complain(f"satisfy regular expression pattern: {bounds['pattern']}")
        if shape.type_name == "list":
            for index, item in enumerate(value):
                _check(shape.member, item, f"{path}.{index + 1}.member", problems)
    elif shape.type_name == "structure":
        for name, member in shape.members.items():
            if value.get(name) is not None:
                _check(member, value[name], f"{path}.{name[0].lower()}{name[1:]}", problems)


_TYPES: dict[str, type | tuple[type, ...]] = {
    "string": str,
    "integer": int,
    "boolean": bool,
    "list": list,
    "map": dict,
    "structure": dict,
    "timestamp": (int, float),
}


def _right_type(name: str, value: Any) -> bool:
    # A JSON boolean is not a number, though Python's bool is an int.
    return isinstance(value, _TYPES.get(name, object)) and (name == "boolean" or not isinstance(value, bool))


def source_and_start(fields: dict[str, Any], region: str, now: float) -> dict[str, Any]:
    """What only a new mapping has: stream and starting position, as Mapping's fields. Raises ServiceError."""
    arn = fields.get("EventSourceArn", "")
    match = _STREAM_ARN.fullmatch(arn)
    if match is None:
        raise invalid(
            "The local cloud maps Kinesis data streams only "
            f"(arn:aws:kinesis:REGION:ACCOUNT:stream/NAME), not {arn!r}."
            if arn
            else "EventSourceArn is required: the ARN of a Kinesis data stream."
        )
    if match["region"] != region:
        raise invalid(f"The stream {arn} is not in the region of this call, {region}.")
    position = fields.get("StartingPosition")
    if position is None:
        raise invalid(
            "1 validation error detected: Value null at 'startingPosition' failed to satisfy constraint: "
            "Member must not be null."
        )
    timestamp = fields.get("StartingPositionTimestamp")
    if (position == "AT_TIMESTAMP") != (timestamp is not None):
        raise invalid("StartingPositionTimestamp goes with StartingPosition AT_TIMESTAMP, and only with it.")
    if timestamp is not None and timestamp > now:
        raise invalid("StartingPositionTimestamp cannot be in the future.")
    return {
        "source_arn": arn,
        "starting_position": position,
        "starting_timestamp": None if timestamp is None else float(timestamp),
    }


def settings(fields: dict[str, Any]) -> dict[str, Any]:
    """What mappings can be given, as Mapping's fields; only what the request has. Raises ServiceError."""
    for name in _NOT_SUPPORTED:
        if fields.get(name):
            raise invalid(f"{name} is not supported for a Kinesis mapping of the local cloud.")
    names = {
        "Enabled": "enabled",
        "BatchSize": "batch_size",
        "MaximumBatchingWindowInSeconds": "window_s",
        "ParallelizationFactor": "lanes",
        "MaximumRecordAgeInSeconds": "max_record_age_s",
        "MaximumRetryAttempts": "max_retries",
        "BisectBatchOnFunctionError": "bisect",
    }
    changes = {names[name]: value for name, value in fields.items() if name in names}
    if 0 <= changes.get("max_record_age_s", -1) < MIN_RECORD_AGE_S:
        raise invalid(f"MaximumRecordAgeInSeconds must be -1 (for ever) or at least {MIN_RECORD_AGE_S}.")
    if "FunctionResponseTypes" in fields:
        changes["report_failures"] = "ReportBatchItemFailures" in fields["FunctionResponseTypes"]
    if "DestinationConfig" in fields:
        changes["on_failure"] = _destination(fields["DestinationConfig"])
    if "FilterCriteria" in fields:
        changes["filters"] = _filters(fields["FilterCriteria"])
    return changes


def _destination(config: dict[str, Any]) -> str | None:
    if (config.get("OnSuccess") or {}).get("Destination"):
        raise invalid("OnSuccess destinations are not supported for event source mappings.")
    arn: str | None = (config.get("OnFailure") or {}).get("Destination") or None
    if arn is not None and not _DESTINATION_ARN.fullmatch(arn):
        raise invalid(
            f"The OnFailure destination must be an S3 bucket, an SQS queue or an SNS topic, not {arn!r}."
        )
    return arn


def _filters(criteria: dict[str, Any]) -> tuple[str, ...]:
    patterns = tuple(item.get("Pattern") or "{}" for item in criteria.get("Filters") or [])
    if len(patterns) > MAX_FILTERS:
        raise invalid(f"FilterCriteria may hold {MAX_FILTERS} filters at most.")
    try:
        RecordFilter(patterns)
    except PatternError as error:
        raise invalid(f"Invalid filter pattern definition: {error}.") from error
    return patterns
