"""What the roles may do, and what they may not."""

from __future__ import annotations

import json

import pytest

from txnpipe.config.settings import StreamSettings
from txnpipe.names import Names
from txnpipe.resources import policies
from txnpipe.resources.policies import Statements
from txnpipe.resources.stream_key import customer_key

NAMES = Names("staging", "123456789012", "eu-west-1")
ALL = {
    "loader": policies.loader_policy(NAMES),
    "notifier": policies.notifier_policy(NAMES),
    "analytics": policies.analytics_policy(NAMES),
}
UNSCOPED = {"UseNetwork", "FindNetwork", "FindLogs"}
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


KEY_ID = "12345678-1234-1234-1234-123456789012"
KEY_ARN = f"arn:aws:kms:eu-west-1:123456789012:key/{KEY_ID}"
CONTEXT = "kms:EncryptionContext:aws:kinesis:arn"


@pytest.mark.parametrize("key", [KEY_ID, KEY_ARN])
def test_a_key_of_the_users_is_used_for_the_roles_own_streams_only(key: str) -> None:
    read = policies.notifier_policy(NAMES, key)["ReadWithKey"]
    assert (read["Action"], read["Resource"]) == (["kms:Decrypt"], [KEY_ARN])
    assert read["Condition"] == {"StringEquals": {CONTEXT: [NAMES.alert_stream_arn]}}
    both = policies.loader_policy(NAMES, key)["ReadWithKey"]
    assert both["Condition"]["StringEquals"][CONTEXT] == sorted([NAMES.stream_arn, NAMES.alert_stream_arn])
    analytics = policies.analytics_policy(NAMES, key)
    assert analytics["WriteWithKey"]["Action"] == ["kms:GenerateDataKey"]
    assert analytics["WriteWithKey"]["Condition"]["StringEquals"] == {CONTEXT: [NAMES.alert_stream_arn]}
    assert analytics["ReadWithKey"]["Condition"]["StringEquals"] == {CONTEXT: [NAMES.stream_arn]}


@pytest.mark.parametrize("key", ["alias/mine", "arn:aws:kms:eu-west-1:123456789012:alias/mine"])
def test_an_alias_is_a_condition_because_it_cannot_be_a_resource(key: str) -> None:
    read = policies.loader_policy(NAMES, key)["ReadWithKey"]
    assert read["Resource"] == ["arn:aws:kms:eu-west-1:123456789012:key/*"]
    assert read["Condition"]["ForAnyValue:StringEquals"] == {"kms:ResourceAliases": ["alias/mine"]}
    assert CONTEXT in read["Condition"]["StringEquals"]


def test_an_alias_of_another_account_is_looked_for_there() -> None:
    read = policies.loader_policy(NAMES, "arn:aws:kms:eu-west-1:999999999999:alias/mine")["ReadWithKey"]
    assert read["Resource"] == ["arn:aws:kms:eu-west-1:999999999999:key/*"]


@pytest.mark.parametrize(
    ("settings", "key"),
    [
        (StreamSettings(), None),
        (StreamSettings(kms_key="arn:aws:kms:eu-west-1:123456789012:alias/aws/kinesis"), None),
        (StreamSettings(kms_key=KEY_ID, encryption=False), None),
        (StreamSettings(kms_key=KEY_ID), KEY_ID),
    ],
)
def test_aws_s_own_key_needs_no_permission(settings: StreamSettings, key: str | None) -> None:
    assert customer_key(settings) == key


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
