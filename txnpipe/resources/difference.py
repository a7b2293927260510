"""Field-level differences between two states of one resource."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any


class Marker(Enum):
    """Values that are no values. Their text is what a plan shows."""

    KNOWN_AFTER_APPLY = "(known after apply)"
    ABSENT = "(none)"

    def __repr__(self) -> str:
        return self.value


KNOWN_AFTER_APPLY = Marker.KNOWN_AFTER_APPLY
"""A desired value that exists only once another resource does. It differs from every actual value."""
ABSENT = Marker.ABSENT
"""What a key has on the side that lacks it."""

REPLACES = {"replaces": True}
"""Metadata of a dataclass field that the service cannot change: a difference there replaces the resource."""
LOSES_DATA = {"replaces": True, "loses_data": True}
"""The same where a replacement would lose what people stored: a plan refuses that."""


def loses_data_where(lost: Callable[[Any, Any], bool]) -> Mapping[str, Any]:
    """The same for a field that can be changed in place, but not from any value to any other.

    `lost` gets the value that is there and the one that is wanted.
    """
    return {"loses_data": lost}


@dataclass(frozen=True)
class Difference:
    """One field that is not as it should be. `field` is a dotted path: "environment.WAREHOUSE_HOST"."""

    field: str
    before: Any
    after: Any
    replaces: bool = False
    loses_data: bool = False

    def as_json(self) -> dict[str, Any]:
        """For `--json`: markers become their text, everything else stays a JSON value."""
        return {
            "field": self.field,
            "before": plain(self.before),
            "after": plain(self.after),
            "replaces": self.replaces,
        }


def plain(value: Any) -> Any:
    """A JSON-ready copy of a state's value."""
    if isinstance(value, Marker):
        return value.value
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(item) for item in value]
    if value is None or isinstance(value, bool | int | float | str):
        return value
    return str(value)


def differences(desired: Any, actual: Any) -> tuple[Difference, ...]:
    """Compares two instances of one state dataclass, field by field, mappings key by key.

    `actual` None means there is nothing yet: every field of `desired` differs from ABSENT.
    """
    found: list[Difference] = []
    for field in dataclasses.fields(desired):
        marks = {} if actual is None else dict(field.metadata)
        before = ABSENT if actual is None else getattr(actual, field.name)
        found += (
            dataclasses.replace(difference, **_resolved(marks, difference))
            for difference in _compare(field.name, getattr(desired, field.name), before)
        )
    return tuple(found)


def _resolved(marks: Mapping[str, Any], difference: Difference) -> dict[str, Any]:
    return {
        name: mark(difference.before, difference.after) if callable(mark) else mark
        for name, mark in marks.items()
    }


def _compare(path: str, desired: Any, actual: Any) -> Iterator[Difference]:
    if desired == actual:
        return
    mappings = isinstance(desired, Mapping) or isinstance(actual, Mapping)
    if mappings and all(side is ABSENT or isinstance(side, Mapping) for side in (desired, actual)):
        wanted = {} if desired is ABSENT else desired
        known = {} if actual is ABSENT else actual
        for key in sorted(wanted.keys() | known.keys()):
            yield from _compare(f"{path}.{key}", wanted.get(key, ABSENT), known.get(key, ABSENT))
    else:
        yield Difference(path, before=actual, after=desired)
