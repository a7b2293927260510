"""Every policy that the program writes or prints, under a linter."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from tests.iam.evaluator import Document
from tests.iam.lint import findings
from tests.unit.deploy.remote import settings_of
from txnpipe.names import Names
from txnpipe.operate.permissions import operator_actions, policy_documents
from txnpipe.resources import policies
from txnpipe.resources.policies import Statements, document

NAMES = Names("staging", "123456789012", "eu-west-1")
KEYS = (None, "alias/ours", "12345678-1234-1234-1234-123456789012")
ROLES = {
    "loader": policies.loader_policy,
    "notifier": policies.notifier_policy,
    "analytics": policies.analytics_policy,
}


def as_document(statements: Statements) -> Document:
    found: Mapping[str, Any] = json.loads(document(statements))
    return found


def operator(key: str | None, *, read_only: bool = False) -> tuple[Document, ...]:
    settings = settings_of(pipeline="staging", stream={"kms_key": key} if key else {})
    return policy_documents(operator_actions(NAMES, settings, read_only=read_only))


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("read_only", [False, True])
def test_the_operator_s_policy_is_clean(key: str | None, read_only: bool) -> None:
    assert findings(operator(key, read_only=read_only)) == []


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("role", ROLES)
def test_the_policy_of_a_role_is_clean(role: str, key: str | None) -> None:
    assert findings([as_document(ROLES[role](NAMES, key))]) == []


@pytest.mark.parametrize("trust", [policies.trust_lambda(), policies.trust_analytics(NAMES)])
def test_a_trust_policy_lets_one_service_in(trust: Statements) -> None:
    (statement,) = as_document(trust)["Statement"]
    assert statement["Action"] == ["sts:AssumeRole"]
    assert list(statement["Principal"]) == ["Service"]
    assert statement["Principal"]["Service"].endswith(".amazonaws.com")
    assert set(statement) <= {"Sid", "Effect", "Action", "Principal", "Condition"}


def test_whatever_is_wide_says_why() -> None:
    for each in operator_actions(NAMES, settings_of(pipeline="staging")):
        tagged = "txnpipe:pipeline" in json.dumps(each.condition)
        assert (
            each.why
            or tagged
            or all("staging" in resource for resource in each.resources)
            or (each.sid == "RedshiftServiceRole")
        ), each.sid
