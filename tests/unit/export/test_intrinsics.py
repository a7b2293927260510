"""Symbols become functions; what is no symbol stays text."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.export.conftest import settings_of
from txnpipe.export.account import Account, symbolic_target
from txnpipe.export.intrinsics import Known, referred, resolve
from txnpipe.export.symbols import elements, logical_id, template_names
from txnpipe.names import Names
from txnpipe.resources.difference import KNOWN_AFTER_APPLY
from txnpipe.target import unidentified_aws

KNOWN = Known({"VpcId", "SubnetIds", "Group"})


@pytest.mark.parametrize(
    ("value", "function"),
    [
        ("plain", "plain"),
        ("${VpcId}", {"Ref": "VpcId"}),
        ("${AWS::Region}", {"Ref": "AWS::Region"}),
        ("${Group.GroupId}", {"Fn::GetAtt": ["Group", "GroupId"]}),
        ("${SubnetIds:1}", {"Fn::Select": [1, {"Ref": "SubnetIds"}]}),
        ("a-${VpcId}-b", {"Fn::Sub": "a-${VpcId}-b"}),
        (
            "a-${SubnetIds:1}",
            {"Fn::Sub": ["a-${SubnetIds1}", {"SubnetIds1": {"Fn::Select": [1, {"Ref": "SubnetIds"}]}}]},
        ),
        ("${other}", "${other}"),
        ("${other}/${VpcId}", {"Fn::Sub": "${!other}/${VpcId}"}),
        (elements("SubnetIds"), {"Ref": "SubnetIds"}),
        (elements("SubnetIds")[:1], [{"Fn::Select": [0, {"Ref": "SubnetIds"}]}]),
        ({"a": [1, True, None, "${VpcId}"]}, {"a": [1, True, None, {"Ref": "VpcId"}]}),
    ],
)
def test_a_symbol_becomes_its_function(value: Any, function: Any) -> None:
    assert resolve(value, KNOWN) == function


def test_a_value_that_is_not_known_raises_and_names_its_place() -> None:
    with pytest.raises(NotImplementedError, match=r"Function\.Environment\.HOST"):
        resolve({"Environment": {"HOST": KNOWN_AFTER_APPLY}}, KNOWN, "Function")


def test_references_are_found_in_every_function() -> None:
    value = resolve(["${VpcId}", "x${Group.GroupId}", "x${SubnetIds:0}"], KNOWN)
    assert {"VpcId", "Group", "SubnetIds"} <= referred(value)


@given(st.text())
def test_text_without_a_symbol_is_left_as_it_is(text: str) -> None:
    assert resolve(text, Known(())) == text or "${AWS::" in text


@pytest.mark.parametrize(
    ("pipeline", "kind", "name", "identifier"),
    [
        ("default", "stream", "TransactionStream", "StreamTransactionStream"),
        ("staging", "stream", "staging-TransactionStream", "StreamTransactionStream"),
        ("staging", "secret", "txnpipe/staging/loader", "SecretTxnpipeLoader"),
        (
            "staging",
            "log group",
            "/aws/lambda/staging-TransactionLoader",
            "LogGroupAwsLambdaTransactionLoader",
        ),
        (
            "staging",
            "event source mapping",
            "staging-TransactionStream → staging-TransactionLoader",
            "EventSourceMappingTransactionStreamTransactionLoader",
        ),
        ("staging", "alarms", "txnpipe-staging", "AlarmsTxnpipe"),
        ("a", "security group", "a-transaction-warehouse", "SecurityGroupTransactionWarehouse"),
    ],
)
def test_a_logical_id_leaves_the_pipeline_s_name_out(
    pipeline: str, kind: str, name: str, identifier: str
) -> None:
    assert logical_id(Names(pipeline, "123456789012", "us-east-1"), kind, name) == identifier


def test_the_account_of_symbols_refuses_questions_that_nobody_foresaw() -> None:
    settings = settings_of()
    account = Account(template_names("default", "us-east-1"), settings.warehouse)
    target = symbolic_target(unidentified_aws(settings), account)
    with pytest.raises(NotImplementedError, match=r"sns\.ListTopics"):
        target.client("sns").list_topics()
