"""Turns symbols in properties into CloudFormation's functions."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from txnpipe.export.symbols import LISTS, PSEUDO_PARAMETERS, elements
from txnpipe.resources.difference import Marker

_SYMBOL = re.compile(
    r"\$\{(?P<name>[A-Za-z0-9]+|AWS::[A-Za-z]+)(?:\.(?P<attribute>[A-Za-z.]+)|:(?P<index>\d+))?\}"
)


@dataclass(frozen=True)
class Known:
    """What a template has: parameters and logical ids."""

    names: Collection[str]

    def has(self, name: str) -> bool:
        """Whether `${name}` is a symbol, and no text of the user's."""
        return name in self.names or name in PSEUDO_PARAMETERS


def resolve(value: Any, known: Known, path: str = "") -> Any:
    """A copy of `value` with functions in the place of symbols. A value that is not known raises."""
    if isinstance(value, Marker):
        raise NotImplementedError(f"nothing renders {path}: {value.value}")
    if isinstance(value, Mapping):
        return {key: resolve(item, known, f"{path}.{key}") for key, item in value.items()}
    if isinstance(value, list | tuple):
        for parameter in LISTS:
            if tuple(value) == elements(parameter):
                return {"Ref": parameter}
        return [resolve(item, known, f"{path}.{index}") for index, item in enumerate(value)]
    return _text(value, known) if isinstance(value, str) else value


def _text(text: str, known: Known) -> Any:
    found = [match for match in _SYMBOL.finditer(text) if known.has(match["name"])]
    if not found:
        return text
    if found[0].span() == (0, len(text)):
        return _function(found[0])
    variables: dict[str, Any] = {}
    parts, end = [], 0
    for match in found:
        parts.append(_literal(text[end : match.start()]))
        if match["index"] is None:
            parts.append(match[0])
        else:
            variable = f"{match['name']}{match['index']}"
            variables[variable] = _function(match)
            parts.append(f"${{{variable}}}")
        end = match.end()
    whole = "".join([*parts, _literal(text[end:])])
    return {"Fn::Sub": [whole, variables] if variables else whole}


def _literal(text: str) -> str:
    """Text between symbols: what looks like one to Fn::Sub is no symbol of ours."""
    return text.replace("${", "${!")


def _function(match: re.Match[str]) -> dict[str, Any]:
    if match["attribute"]:
        return {"Fn::GetAtt": [match["name"], match["attribute"]]}
    if match["index"] is not None:
        return {"Fn::Select": [int(match["index"]), {"Ref": match["name"]}]}
    return {"Ref": match["name"]}


def referred(value: Any) -> set[str]:
    """The names that functions in `value` refer to."""
    found: set[str] = set()
    if isinstance(value, Mapping):
        for key, item in value.items():
            if key == "Ref":
                found.add(item)
            elif key == "Fn::GetAtt":
                found.add(item[0])
            elif key == "Fn::Sub":
                text = item if isinstance(item, str) else item[0]
                found |= {match["name"] for match in _SYMBOL.finditer(text)}
                found |= set() if isinstance(item, str) else referred(item[1])
            else:
                found |= referred(item)
    elif isinstance(value, list):
        for item in value:
            found |= referred(item)
    return found
