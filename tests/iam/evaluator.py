"""Whether policies allow a request: IAM's evaluation logic, as far as identity policies go.

Source: "Policy evaluation logic" and "IAM JSON policy elements" of the IAM user guide. An element or operator
that this does not know raises, so that nothing is allowed by not being understood.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

Document = Mapping[str, Any]
_KNOWN = {"Sid", "Effect", "Action", "Resource", "Condition"}
_VARIABLE = re.compile(r"\$\{([^}]+)\}")


@dataclass(frozen=True)
class Check:
    """One thing that a call must be allowed. context: condition key → value."""

    action: str
    resource: str
    context: Mapping[str, str] = field(default_factory=dict)


def allowed(documents: Iterable[Document], check: Check) -> bool:
    """Allowed by a statement and denied by none."""
    effects = {statement["Effect"] for statement in matching(documents, check)}
    return "Allow" in effects and "Deny" not in effects


def matching(documents: Iterable[Document], check: Check) -> list[Mapping[str, Any]]:
    """The statements that speak of a check."""
    return [
        statement
        for document in documents
        for statement in _list(document["Statement"])
        if _speaks_of(statement, check)
    ]


def _speaks_of(statement: Mapping[str, Any], check: Check) -> bool:
    if unknown := set(statement) - _KNOWN:
        raise NotImplementedError(f"statement elements {unknown}")
    return (
        any(_like(pattern.lower(), check.action.lower()) for pattern in _list(statement["Action"]))
        and any(
            _like(_filled(pattern, check.context), check.resource) for pattern in _list(statement["Resource"])
        )
        and all(
            _holds(operator, key, [_filled(str(value), check.context) for value in _list(values)], check)
            for operator, keys in statement.get("Condition", {}).items()
            for key, values in keys.items()
        )
    )


def _holds(operator: str, key: str, wanted: list[str], check: Check) -> bool:
    found = check.context.get(key)
    if operator == "Null":
        return (found is None) == (wanted == ["true"])
    if operator in {"StringEquals", "ForAnyValue:StringEquals"}:  # every key here has one value
        return found in wanted
    if operator in {"ArnEquals", "ArnLike", "StringLike"}:
        return found is not None and any(_like(pattern, found) for pattern in wanted)
    raise NotImplementedError(f"condition operator {operator}")


def _filled(pattern: str, context: Mapping[str, str]) -> str:
    """Policy variables filled in; an unknown one matches nothing."""
    return _VARIABLE.sub(lambda found: context.get(found[1], "\0"), pattern)


def _like(pattern: str, text: str) -> bool:
    return _compiled(pattern).fullmatch(text) is not None


@lru_cache(maxsize=4096)
def _compiled(pattern: str) -> re.Pattern[str]:
    """`*` is any characters, `?` is one; everything else is itself (brackets too, unlike in fnmatch)."""
    parts = {"*": ".*", "?": "."}
    return re.compile(
        "".join(parts.get(character) or re.escape(character) for character in pattern), re.DOTALL
    )


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
