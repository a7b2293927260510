"""The policy evaluator of the tests: where it says no."""

from __future__ import annotations

from typing import Any

import pytest

from tests.iam.evaluator import Check, allowed

STREAM = "arn:aws:kinesis:us-east-1:1:stream/S"
ALLOW = {"Effect": "Allow", "Action": ["kinesis:PutRecord"], "Resource": [STREAM]}


def may(check: Check, *statements: dict[str, Any]) -> bool:
    return allowed([{"Statement": list(statements)}], check)


def test_action_and_resource_must_both_fit() -> None:
    assert may(Check("kinesis:PutRecord", STREAM), ALLOW)
    assert not may(Check("kinesis:PutRecords", STREAM), ALLOW)
    assert not may(Check("kinesis:PutRecord", f"{STREAM}2"), ALLOW)
    assert not may(Check("kinesis:PutRecord", "*"), ALLOW)


def test_a_denial_beats_every_allowance() -> None:
    assert not may(Check("kinesis:PutRecord", STREAM), ALLOW, {**ALLOW, "Effect": "Deny"})


@pytest.mark.parametrize(("suffix", "fits"), [("AbCdEf", True), ("AbCdE", False), ("AbCdEfg", False)])
def test_a_question_mark_is_one_character(suffix: str, fits: bool) -> None:
    statement = {**ALLOW, "Resource": "arn:secret:s-??????"}
    assert may(Check("kinesis:PutRecord", f"arn:secret:s-{suffix}"), statement) == fits


@pytest.mark.parametrize(
    ("condition", "context", "holds"),
    [
        ({"StringEquals": {"k": ["a", "b"]}}, {"k": "b"}, True),
        ({"StringEquals": {"k": "a"}}, {"k": "c"}, False),
        ({"StringEquals": {"k": "a"}}, {}, False),
        ({"StringEquals": {"k": "${aws:userid}"}}, {"k": "me", "aws:userid": "me"}, True),
        ({"StringEquals": {"k": "${aws:userid}"}}, {"k": "me", "aws:userid": "you"}, False),
        ({"Null": {"k": "false"}}, {"k": "a"}, True),
        ({"Null": {"k": "false"}}, {}, False),
        ({"ArnEquals": {"k": "arn:*"}}, {"k": "arn:x"}, True),
        ({"ArnEquals": {"k": "arn:*"}}, {}, False),
    ],
)
def test_a_condition_must_hold(condition: dict[str, Any], context: dict[str, str], holds: bool) -> None:
    statement = {**ALLOW, "Condition": condition}
    assert may(Check("kinesis:PutRecord", STREAM, context), statement) == holds


@pytest.mark.parametrize("unknown", [{"NotAction": ["s3:*"]}, {"Condition": {"Bool": {"k": "true"}}}])
def test_what_is_not_understood_is_not_allowed(unknown: dict[str, Any]) -> None:
    with pytest.raises(NotImplementedError):
        may(Check("kinesis:PutRecord", STREAM), {**ALLOW, **unknown})
