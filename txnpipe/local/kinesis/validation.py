"""Checks requests against botocore's model of the service, and words what is wrong as AWS does.

Two kinds of error: a value of the wrong type never becomes a request (SerializationException); one of the
right type that breaks a constraint of its shape is named in a ValidationException, together with all others.
Members that the model does not know are ignored, and null counts as absent.
"""

from __future__ import annotations

import binascii
import re
from functools import cache
from typing import Any

import botocore.session
from botocore.model import OperationModel

from txnpipe.local.service import ServiceError

_JSON_NAMES = {str: "STRING_VALUE", bool: "TRUE_VALUE", int: "NUMBER_VALUE", float: "DECIMAL_VALUE"}
_SCALARS: dict[str, tuple[tuple[type, ...], str]] = {
    "string": ((str,), "String"),
    "blob": ((str,), "Blob"),
    "integer": ((int,), "Integer"),
    "long": ((int,), "Long"),
    "boolean": ((bool,), "Boolean"),
    "timestamp": ((int, float), "Date"),
}


@cache
def operations() -> dict[str, OperationModel]:
    """The operations of Kinesis by name, from botocore."""
    service = botocore.session.get_session().get_service_model("kinesis")
    return {name: service.operation_model(name) for name in service.operation_names}


def validate(operation: str, request: Any) -> None:
    """SerializationException or ValidationException unless `request` (parsed JSON) fits the operation."""
    shape = operations()[operation].input_shape
    _check_type(shape, request)
    faults: list[str] = []
    _check(shape, request, "", faults)
    if faults:
        plural = "s" if len(faults) > 1 else ""
        raise ServiceError(
            "ValidationException",
            f"{len(faults)} validation error{plural} detected: {'; '.join(faults[:10])}",
        )


def _check_type(shape: Any, value: Any) -> None:
    if value is None:
        return
    kind = shape.type_name
    if kind == "structure":
        _require(isinstance(value, dict), value, "structure")
        for name, member in shape.members.items():
            _check_type(member, value.get(name))
    elif kind == "list":
        _require(isinstance(value, list), value, "list")
        for item in value:
            _check_type(shape.member, item)
    elif kind == "map":
        _require(isinstance(value, dict), value, "map")
        for item in value.values():
            _check_type(shape.value, item)
    else:
        types, name = _SCALARS[kind]
        # bool is an int to Python, not to JSON.
        _require(isinstance(value, types) and (bool in types or not isinstance(value, bool)), value, name)
        if kind == "blob":
            decoded_length(value)


def _require(fits: bool, value: Any, wanted: str) -> None:
    if fits:
        return
    if isinstance(value, list | dict):
        start = "list" if isinstance(value, list) else "structure or map"
        raise ServiceError("SerializationException", f"Start of {start} found where not expected")
    if wanted in ("structure", "list", "map"):
        raise ServiceError("SerializationException", f"Expected {wanted} or null")
    raise ServiceError(
        "SerializationException", f"{_JSON_NAMES[type(value)]} can not be converted to a {wanted}"
    )


def decoded_length(text: str) -> int:
    """The length in bytes of base64 text; SerializationException where it is none."""
    try:
        return len(binascii.a2b_base64(text, strict_mode=True))
    except ValueError as error:  # binascii.Error, or text that is not ASCII
        raise ServiceError(
            "SerializationException", f"The value can not be converted to a Blob: Invalid Base64: {error}"
        ) from error


def _check(shape: Any, value: Any, path: str, faults: list[str]) -> None:
    kind = shape.type_name
    if kind == "structure":
        for name, member in shape.members.items():
            inner = f"{path}.{_lower_first(name)}".lstrip(".")
            if value.get(name) is not None:
                _check(member, value[name], inner, faults)
            elif name in shape.required_members:
                _fault(faults, None, inner, "Member must not be null")
        return
    limits = shape.metadata
    if kind in ("integer", "long"):
        _check_bounds(limits, value, value, path, "value", faults)
    elif kind == "blob":
        _check_bounds(limits, decoded_length(value), "", path, "length", faults)
    elif kind in ("string", "list", "map"):
        _check_bounds(limits, len(value), value if kind == "string" else "", path, "length", faults)
    if kind == "string":
        if "enum" in limits and value not in limits["enum"]:
            values = ", ".join(limits["enum"])
            _fault(faults, value, path, f"Member must satisfy enum value set: [{values}]")
        if "pattern" in limits and not re.fullmatch(limits["pattern"], value):
            _fault(
                faults, value, path, f"Member must satisfy regular expression pattern: {limits['pattern']}"
            )
    elif kind == "list":
        for index, item in enumerate(value, 1):
            _check(shape.member, item, f"{path}.{index}.member", faults)
    elif kind == "map":
        for key, item in value.items():
            _check(shape.key, key, f"{path}.key", faults)
            _check(shape.value, item, f"{path}.{key}.member", faults)


def _check_bounds(
    limits: dict[str, Any], size: int, value: Any, path: str, what: str, faults: list[str]
) -> None:
    if "min" in limits and size < limits["min"]:
        _fault(faults, value, path, f"Member must have {what} greater than or equal to {limits['min']}")
    if "max" in limits and size > limits["max"]:
        _fault(faults, value, path, f"Member must have {what} less than or equal to {limits['max']}")


def _fault(faults: list[str], value: Any, path: str, constraint: str) -> None:
    shown = "Value" if value == "" else "Value null" if value is None else f"Value '{value}'"
    faults.append(f"{shown} at '{path}' failed to satisfy constraint: {constraint}")


def _lower_first(name: str) -> str:
    return name[0].lower() + name[1:]
