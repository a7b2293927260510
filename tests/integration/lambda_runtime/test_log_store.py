"""Function output in CloudWatch Logs: who may write it, what is bounded, what is kept. With moto as it is."""

from __future__ import annotations

import json
import pickle
from collections.abc import Iterator
from contextlib import nullcontext
from typing import Any

import boto3
import pytest

from tests.integration.moto_control_plane.program import run
from txnpipe.local.lambda_runtime.cloudwatch import LogStream
from txnpipe.local.lambda_runtime.log_store import MOST_EVENTS, MOST_STREAMS, REFUSAL_S, LogStore
from txnpipe.local.part import ACCOUNT

REGION = "us-east-1"
GROUP = "/aws/lambda/f"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/f"
STREAM = LogStream(REGION, GROUP, "2026/11/24/[$LATEST]0", ROLE)
OWN_GROUP = f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:{GROUP}:*"
WRITE = ["logs:CreateLogStream", "logs:PutLogEvents"]


class Account:
    """CloudWatch Logs, and one role."""

    def __init__(self) -> None:
        self.logs = boto3.client("logs", REGION)
        self.iam = boto3.client("iam", REGION)
        self.iam.create_role(RoleName="f", AssumeRolePolicyDocument="{}")
        self.now = 0.0
        self.store = LogStore(nullcontext, lambda: self.now)

    def allow(self, actions: list[str], resource: str = OWN_GROUP, effect: str = "Allow") -> None:
        document = {
            "Version": "2012-10-17",
            "Statement": [{"Effect": effect, "Action": actions, "Resource": resource}],
        }
        self.iam.put_role_policy(RoleName="f", PolicyName=effect, PolicyDocument=json.dumps(document))

    def put(self, *lines: str, stream: LogStream = STREAM) -> None:
        from moto.core.utils import unix_time_millis

        self.store.put(stream, [(int(unix_time_millis()), line) for line in lines])

    def groups(self) -> list[str]:
        return [group["logGroupName"] for group in self.logs.describe_log_groups()["logGroups"]]

    def lines(self) -> list[str]:
        pages = self.logs.get_paginator("filter_log_events").paginate(logGroupName=GROUP)
        return [event["message"] for page in pages for event in page["events"]]


@pytest.fixture
def account(monkeypatch: pytest.MonkeyPatch) -> Iterator[Account]:
    from moto import mock_aws

    monkeypatch.setattr("moto.core.models.DEFAULT_ACCOUNT_ID", ACCOUNT)
    monkeypatch.setattr("moto.core.DEFAULT_ACCOUNT_ID", ACCOUNT)
    monkeypatch.setenv("MOTO_ACCOUNT_ID", ACCOUNT)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    with mock_aws():
        yield Account()


def test_lines_are_found_in_the_functions_group(account: Account) -> None:
    account.logs.create_log_group(logGroupName=GROUP)
    account.allow(WRITE)
    account.put("one\n", "two\n")
    account.put("three\n")
    assert account.lines() == ["one\n", "two\n", "three\n"]
    (stream,) = account.logs.describe_log_streams(logGroupName=GROUP)["logStreams"]
    assert stream["logStreamName"] == STREAM.name


@pytest.mark.parametrize(
    ("actions", "made"), [([*WRITE, "logs:CreateLogGroup"], True), (WRITE, False), (["logs:*"], True)]
)
def test_a_missing_group_is_made_where_the_role_allows_it(
    account: Account, actions: list[str], made: bool
) -> None:
    account.allow(actions)
    account.put("line\n")
    assert (account.groups() == [GROUP]) is made


@pytest.mark.parametrize("action", WRITE)
def test_a_role_that_may_not_write_leaves_nothing(account: Account, action: str) -> None:
    account.logs.create_log_group(logGroupName=GROUP)
    account.put("no policy\n")
    account.now += REFUSAL_S
    account.allow(WRITE)
    account.allow([action], effect="Deny")
    account.put("denied\n")
    account.iam.delete_role_policy(RoleName="f", PolicyName="Deny")
    account.put("not asked again yet\n")
    account.now += REFUSAL_S
    account.put("allowed\n")
    assert account.lines() == ["allowed\n"]


def test_an_attached_policy_counts(account: Account) -> None:
    document = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
    policy = account.iam.create_policy(PolicyName="p", PolicyDocument=json.dumps(document))["Policy"]["Arn"]
    account.iam.attach_role_policy(RoleName="f", PolicyArn=policy)
    account.put("line\n")
    assert account.lines() == ["line\n"]


def test_a_role_that_is_gone_leaves_nothing(account: Account) -> None:
    account.iam.delete_role(RoleName="f")
    account.put("line\n")
    assert account.groups() == []


def test_the_newest_events_and_streams_are_kept(account: Account) -> None:
    account.allow(["logs:*"])
    others = [LogStream(REGION, GROUP, f"2026/11/24/[$LATEST]{n:02}", ROLE) for n in range(MOST_STREAMS)]
    account.put("oldest\n")
    for stream in others:
        account.put("x\n", stream=stream)
    names = {
        stream["logStreamName"]
        for stream in account.logs.describe_log_streams(logGroupName=GROUP)["logStreams"]
    }
    assert names == {stream.name for stream in others}
    account.put(*(f"{n}\n" for n in range(MOST_EVENTS)), stream=others[-1])
    lines = account.lines()
    assert len(lines) == MOST_EVENTS
    assert lines[0] == "0\n"


def test_what_others_wrote_is_left_alone(account: Account) -> None:
    account.allow(["logs:*"])
    account.logs.create_log_group(logGroupName=GROUP)
    account.logs.create_log_stream(logGroupName=GROUP, logStreamName="theirs")
    for n in range(MOST_STREAMS + 1):
        account.put("x\n", stream=LogStream(REGION, GROUP, f"s{n:02}", ROLE))
    streams = account.logs.describe_log_streams(logGroupName=GROUP)["logStreams"]
    assert "theirs" in {stream["logStreamName"] for stream in streams}


def test_saved_state_holds_groups_and_streams_and_no_lines(account: Account) -> None:
    from moto.logs.models import logs_backends

    account.allow(["logs:*"])
    account.put("a line of a function\n")
    group = logs_backends[ACCOUNT][REGION].groups[GROUP]
    events: Any = group.streams[STREAM.name].events
    assert pickle.loads(pickle.dumps(events)) == []
    assert type(pickle.loads(pickle.dumps(events))) is type(events)


STATE = """
    import time
    from moto.iam.models import iam_backends
    from moto.logs.models import logs_backends
    from txnpipe.local.lambda_runtime.cloudwatch import LogStream
    from txnpipe.local.lambda_runtime.log_store import LogStore

    plane.start()
    stream = LogStream("us-east-1", "/aws/lambda/f", "s", "arn:aws:iam::000000000000:role/f")
    group = logs_backends[ACCOUNT]["us-east-1"].groups.get(stream.group)
    before = None if group is None else {n: len(s.events) for n, s in group.streams.items()}
    if before is None:
        with plane.changing():
            iam = iam_backends[ACCOUNT]["aws"]
            role = iam.create_role("f", "{}", "/", None, "", [], 3600)
            role.put_policy("p", '{"Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}')
            theirs = logs_backends[ACCOUNT]["us-east-1"]
            theirs.create_log_group("theirs", {})
            theirs.create_log_stream("theirs", "s")
            theirs.put_log_events("theirs", "s", [{"timestamp": int(time.time() * 1000), "message": "m"}])
    LogStore(plane.changing_later).put(stream, [(int(time.time() * 1000), "line")])
    logs = logs_backends[ACCOUNT]["us-east-1"].groups
    after = {name: sum(len(s.events) for s in group.streams.values()) for name, group in logs.items()}
    plane.stop()
    show(before=before, after=after)
"""


def test_after_a_restart_the_lines_are_gone_and_the_rest_is_there(tmp_path: Any) -> None:
    first = run(STATE, str(tmp_path))
    assert first == {"before": None, "after": {"theirs": 1, "/aws/lambda/f": 1}}
    second = run(STATE, str(tmp_path))
    assert second == {"before": {"s": 0}, "after": {"theirs": 1, "/aws/lambda/f": 1}}
