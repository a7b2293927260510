"""Policy documents out of the table: one statement a scope, and as many documents as IAM's limit asks for."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from txnpipe.config import Settings
from txnpipe.names import Names
from txnpipe.operate.permissions.scopes import Condition, Pipeline
from txnpipe.operate.permissions.table import OPERATIONS
from txnpipe.resources.policies import VERSION

MANAGED_POLICY_CHARACTERS = 6144
"""The longest managed policy, white space not counted ("IAM and AWS STS quotas" in the IAM user guide)."""

_WHITE_SPACE = re.compile(r"\s")


@dataclass(frozen=True)
class Granted:
    """Actions with the same resources and conditions: one statement.

    `why` says, where the resources are wider than the pipeline, what keeps them from being narrower.
    """

    sid: str
    actions: tuple[str, ...]
    resources: tuple[str, ...]
    condition: Condition
    why: str

    def statement(self) -> dict[str, Any]:
        """As IAM wants it."""
        return {
            "Sid": self.sid,
            "Effect": "Allow",
            "Action": list(self.actions),
            "Resource": list(self.resources),
            **({"Condition": self.condition} if self.condition else {}),
        }


def operator_actions(names: Names, settings: Settings, *, read_only: bool = False) -> tuple[Granted, ...]:
    """What an operator of this pipeline may do, in a stable order; statement ids are unique.

    read_only: only what plan, status, sql, alerts, rejects and verify need.
    """
    actions: dict[Any, set[str]] = defaultdict(set)
    for operation in OPERATIONS.values():
        if operation.reads or not read_only:
            for grant in operation.grants:
                actions[grant.scope].add(grant.action)
    pipeline = Pipeline(names, settings)
    return tuple(
        Granted(
            scope.sid,
            tuple(sorted(actions[scope])),
            scope.resources(pipeline),
            scope.condition(pipeline),
            scope.why,
        )
        for scope in sorted(actions, key=lambda scope: str(scope.sid))
        if scope.resources(pipeline)
    )


def policy_documents(
    granted: tuple[Granted, ...], limit: int = MANAGED_POLICY_CHARACTERS
) -> tuple[dict[str, Any], ...]:
    """Documents that each fit into the limit, filled in order; statements stay whole."""
    documents: list[list[dict[str, Any]]] = [[]]
    for each in granted:
        statement = each.statement()
        if documents[-1] and characters(_document([*documents[-1], statement])) > limit:
            documents.append([])
        documents[-1].append(statement)
    return tuple(_document(statements) for statements in documents)


def whole_document(granted: tuple[Granted, ...]) -> dict[str, Any]:
    """Everything in one document, however long."""
    return _document([each.statement() for each in granted])


def characters(document: Mapping[str, Any]) -> int:
    """How many characters IAM counts: white space is free."""
    return len(_WHITE_SPACE.sub("", json.dumps(document)))


def _document(statements: list[dict[str, Any]]) -> dict[str, Any]:
    return {"Version": VERSION, "Statement": statements}
