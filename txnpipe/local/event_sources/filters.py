"""Filter criteria: Lambda's event patterns, applied to Kinesis records.

Documented comparisons: equals (string, number, boolean, null), `equals-ignore-case`, `prefix`, `suffix`,
`anything-but` (values, prefix, suffix), `numeric`, `exists`, `$or`. They are checked when a mapping is made.

A record's fields can be matched by name (partitionKey, sequenceNumber, ...). `data` is decoded: a pattern
object needs JSON data, a pattern list of strings needs data that is plain text; data of the other kind does
not match. Without `data` in the pattern, data of any kind passes.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable
from typing import Any

MAX_PATTERN_BYTES = 4096
FIELDS = frozenset(
    {"data", "partitionKey", "sequenceNumber", "kinesisSchemaVersion", "approximateArrivalTimestamp"}
)

Test = Callable[[Any], bool]
_ABSENT = object()
_NUMBER_TESTS: dict[str, Callable[[float, float], bool]] = {
    "=": lambda value, bound: value == bound,
    "<": lambda value, bound: value < bound,
    "<=": lambda value, bound: value <= bound,
    ">": lambda value, bound: value > bound,
    ">=": lambda value, bound: value >= bound,
}


class PatternError(ValueError):
    """The pattern is not valid; the message says where."""


class RecordFilter:
    """Several patterns: a record passes if one of them matches. No patterns: every record passes."""

    def __init__(self, patterns: tuple[str, ...]) -> None:
        self._tests = [_compile_pattern(pattern) for pattern in patterns]
        self._needs_data = any("data" in json.loads(pattern) for pattern in patterns)

    def passes(self, sequence_number: str, partition_key: str, data: str, arrived_at: float) -> bool:
        """Whether the function is to get this record."""
        if not self._tests:
            return True
        fields: dict[str, Any] = {
            "partitionKey": partition_key,
            "sequenceNumber": sequence_number,
            "kinesisSchemaVersion": "1.0",
            "approximateArrivalTimestamp": round(arrived_at, 3),
        }
        if self._needs_data:
            fields["data"] = _decoded(data)
        return any(test(fields) for test in self._tests)


def _decoded(data: str) -> Any:
    try:
        raw = base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError):
        return _ABSENT
    try:
        return json.loads(raw)
    except (ValueError, RecursionError):
        return raw.decode(errors="replace")


def _compile_pattern(pattern: str) -> Test:
    if len(pattern.encode()) > MAX_PATTERN_BYTES:
        raise PatternError(f"a pattern may have {MAX_PATTERN_BYTES} bytes at most")
    try:
        parsed = json.loads(pattern)
    except (ValueError, RecursionError) as error:
        raise PatternError(f"the pattern is not JSON: {error}") from error
    if not isinstance(parsed, dict):
        raise PatternError("the pattern must be a JSON object")
    unknown = set(parsed) - FIELDS - {"$or"}
    if unknown:
        raise PatternError(f"a Kinesis record has no field {sorted(unknown)[0]!r}")
    return _object(parsed, "")


def _object(pattern: dict[str, Any], path: str) -> Test:
    if not pattern:
        raise PatternError(f"the pattern at {path or 'the top'} is empty")
    tests: list[Test] = []
    for key, value in pattern.items():
        if key == "$or":
            tests.append(_either(value, path))
        else:
            tests.append(_field(key, value, f"{path}.{key}".lstrip(".")))
    return lambda value: isinstance(value, dict) and all(test(value) for test in tests)


def _either(alternatives: Any, path: str) -> Test:
    if not isinstance(alternatives, list) or len(alternatives) < 2:
        raise PatternError("$or needs a list of at least two patterns")
    if not all(isinstance(item, dict) for item in alternatives):
        raise PatternError("$or needs a list of objects")
    tests = [_object(item, path) for item in alternatives]
    return lambda value: any(test(value) for test in tests)


def _field(key: str, pattern: Any, path: str) -> Test:
    if isinstance(pattern, dict):
        inner = _object(pattern, path)
        return lambda value: inner(value.get(key, _ABSENT))
    if not isinstance(pattern, list) or not pattern:
        raise PatternError(f"{path} must be an object or a list that is not empty")
    matchers = [_matcher(item, path) for item in pattern]

    def test(value: Any) -> bool:
        found = value.get(key, _ABSENT)
        candidates = found if isinstance(found, list) and found else [found]
        return any(matcher(candidate) for candidate in candidates for matcher in matchers)

    return test


def _matcher(item: Any, path: str) -> Test:
    if not isinstance(item, dict):
        if isinstance(item, list):
            raise PatternError(f"{path} holds a list within a list")
        return lambda value: _equal(value, item)
    if len(item) != 1:
        raise PatternError(f"{path}: one comparison per object")
    ((name, operand),) = item.items()
    match name:
        case "exists" if isinstance(operand, bool):
            return lambda value: (value is not _ABSENT) == operand
        case "prefix" if isinstance(operand, str):
            return lambda value: isinstance(value, str) and value.startswith(operand)
        case "suffix" if isinstance(operand, str):
            return lambda value: isinstance(value, str) and value.endswith(operand)
        case "equals-ignore-case" if isinstance(operand, str):
            return lambda value: isinstance(value, str) and value.casefold() == operand.casefold()
        case "numeric" if isinstance(operand, list):
            return _numeric(operand, path)
        case "anything-but":
            return _anything_but(operand, path)
    raise PatternError(f"{path}: {name!r} is no comparison of filter criteria, or its operand is wrong")


def _anything_but(operand: Any, path: str) -> Test:
    if isinstance(operand, dict):
        if not set(operand) <= {"prefix", "suffix"}:
            raise PatternError(f"{path}: anything-but takes values, a prefix or a suffix")
        excluded = [_matcher(operand, path)]
    else:
        values = operand if isinstance(operand, list) else [operand]
        if not values or not all(isinstance(value, str | int | float) for value in values):
            raise PatternError(f"{path}: anything-but takes strings or numbers")
        excluded = [_matcher(value, path) for value in values]
    return lambda value: value is not _ABSENT and not any(matcher(value) for matcher in excluded)


def _numeric(operand: list[Any], path: str) -> Test:
    pairs = list(zip(operand[::2], operand[1::2], strict=False))
    well_formed = len(operand) in (2, 4) and all(
        operator in _NUMBER_TESTS and isinstance(bound, int | float) and not isinstance(bound, bool)
        for operator, bound in pairs
    )
    if not well_formed:
        raise PatternError(f'{path}: numeric takes one or two pairs such as [">", 0, "<=", 5]')
    return lambda value: (
        isinstance(value, int | float)
        and not isinstance(value, bool)
        and all(_NUMBER_TESTS[operator](value, bound) for operator, bound in pairs)
    )


def _equal(value: Any, wanted: Any) -> bool:
    # JSON's true is not 1, though Python's is.
    same_type = type(value) is type(wanted) or _both_numbers(value, wanted)
    return same_type and bool(value == wanted)


def _both_numbers(*values: Any) -> bool:
    return all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)
