"""Checks requests against botocore's model of the service: types, required members, bounds, patterns."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

import botocore.session
from botocore.model import ServiceModel
from botocore.validate import ParamValidator

from txnpipe.local.service import ServiceError


@cache
def _model() -> ServiceModel:
    return botocore.session.get_session().get_service_model("kinesisanalyticsv2")


@cache
def operation_names() -> frozenset[str]:
    """Every operation of the service."""
    return frozenset(_model().operation_names)


def validate(operation: str, request: Any) -> None:
    """InvalidArgumentException unless `request` (parsed JSON) fits the operation's input."""
    shape = _model().operation_model(operation).input_shape
    assert shape is not None  # every operation of this service has an input
    report = ParamValidator().validate(request, shape)
    if report.has_errors():
        raise ServiceError("InvalidArgumentException", " ".join(report.generate_report().split()))
    faults: list[str] = []
    _check(shape, request, "", faults)
    if faults:
        plural = "s" if len(faults) > 1 else ""
        raise ServiceError(
            "InvalidArgumentException",
            f"{len(faults)} validation error{plural} detected: {'; '.join(faults[:10])}",
        )


def _check(shape: Any, value: Any, path: str, faults: list[str]) -> None:
    """What ParamValidator leaves out: upper bounds, patterns and enumerations."""
    kind = shape.type_name
    if kind == "structure":
        for name, member in value.items():
            if name in shape.members:
                _check(shape.members[name], member, f"{path}.{name}".lstrip("."), faults)
    elif kind == "list":
        for index, item in enumerate(value, 1):
            _check(shape.member, item, f"{path}.{index}", faults)
    elif kind == "map":
        for key, item in value.items():
            _check(shape.key, key, f"{path} (key)", faults)
            _check(shape.value, item, f"{path}.{key}", faults)
    limits = shape.metadata
    size = value if kind in ("integer", "long") else len(value) if kind in ("string", "list", "map") else 0
    if "max" in limits and size > limits["max"]:
        what = "value" if kind in ("integer", "long") else "length"
        _fault(faults, path, f"Member must have {what} less than or equal to {limits['max']}")
    if kind != "string":
        return
    if "enum" in limits and value not in limits["enum"]:
        _fault(faults, path, f"Member must satisfy enum value set: [{', '.join(limits['enum'])}]")
    if "pattern" in limits and not re.fullmatch(limits["pattern"], value):
        _fault(faults, path, f"Member must satisfy regular expression pattern: {limits['pattern']}")


def _fault(faults: list[str], path: str, constraint: str) -> None:
    faults.append(f"Value at '{path}' failed to satisfy constraint: {constraint}")
