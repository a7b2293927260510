"""What the roles may do, and what they may not."""

from __future__ import annotations

import json

import pytest

from txnpipe.names import Names
from txnpipe.resources import policies
from txnpipe.resources.policies import Statements

NAMES = Names("staging", "123456789012", "eu-west-1")
ALL = {
    "loader": policies.loader_policy(NAMES),
    "notifier": policies.notifier_policy(NAMES),
    "analytics": policies.analytics_policy(NAMES),
}
UNSCOPED = {"UseNetwork", "FindLogs"}
"""Statements whose actions know no narrower resource."""


@pytest.mark.parametrize("policy", ALL.values(), ids=ALL)
def test_no_action_is_a_wildcard(policy: Statements) -> None:
    assert not [action for statement in policy.values() for action in statement["Action"] if "*" in action]


@pytest.mark.parametrize("policy", ALL.values(), ids=ALL)
def test_every_resource_names_the_pipeline(policy: Statements) -> None:
    for sid, statement in policy.items():
        if sid not in UNSCOPED:
            assert all("staging" in resource for resource in statement["Resource"]), sid


@pytest.mark.parametrize(
    ("role", "may", "may_not"),
    [
        ("loader", "secretsmanager:GetSecretValue", "kinesis:PutRecord"),
        ("loader", "s3:PutObject", "s3:GetObject"),
        ("notifier", "sns:Publish", "secretsmanager:GetSecretValue"),
        ("analytics", "kinesis:PutRecords", "kinesis:DeleteStream"),
    ],
)
def test_each_role_may_do_its_own_work_only(role: str, may: str, may_not: str) -> None:
    actions = {action for statement in ALL[role].values() for action in statement["Action"]}
    assert may in actions
    assert may_not not in actions


def test_the_analytics_app_reads_transactions_and_writes_alerts_never_the_other_way_round() -> None:
    assert ALL["analytics"]["ReadTransactions"]["Resource"] == [NAMES.stream_arn]
    assert ALL["analytics"]["WriteAlerts"]["Resource"] == [NAMES.alert_stream_arn]


def test_the_secret_s_random_suffix_is_matched_exactly() -> None:
    assert ALL["loader"]["ReadOwnSecret"]["Resource"] == [
        "arn:aws:secretsmanager:eu-west-1:123456789012:secret:txnpipe/staging/loader-??????"
    ]


def test_only_this_application_of_this_account_may_use_the_analytics_role() -> None:
    condition = policies.trust_analytics(NAMES)["AssumeService"]["Condition"]
    assert condition["StringEquals"] == {"aws:SourceAccount": "123456789012"}
    assert condition["ArnEquals"]["aws:SourceArn"].endswith(":application/staging-TransactionAnalytics")


@pytest.mark.parametrize("policy", ALL.values(), ids=ALL)
def test_a_policy_read_back_equals_the_one_written(policy: Statements) -> None:
    written = policies.document(policy)
    assert policies.statements_of(written) == policy
    assert policies.statements_of(json.loads(written)) == policy


def test_what_iam_shortens_is_read_as_the_same() -> None:
    """IAM gives a list of one element back as it was written; other tools write the bare element."""
    short = {"Statement": {"Sid": "A", "Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn"}}
    assert policies.statements_of(short) == {
        "A": {"Effect": "Allow", "Action": ["s3:GetObject"], "Resource": ["arn"]}
    }
