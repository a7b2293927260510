"""The commands, run under the policy that `txnpipe policy` prints, against an account in memory."""

from __future__ import annotations

import json
from contextlib import AbstractContextManager
from typing import Any

import pytest

from tests.iam.evaluator import Document
from tests.unit.deploy.places import ACCOUNT, REGION
from tests.unit.deploy.remote import Remote, make_zip, settings_of, tear_down
from tests.unit.deploy.variants import VARIANTS
from tests.unit.deploy.wire import Call, Forward, received
from tests.unit.operate.letters import letter_of
from tests.unit.permissions.enforced import Judge, enforced
from txnpipe.deploy.inspection import inspect
from txnpipe.deploy.teardown import take_inventory
from txnpipe.errors import TxnpipeError
from txnpipe.local.service import Response
from txnpipe.names import Names
from txnpipe.operate.dead_letters import choose_entries, list_dead_letters
from txnpipe.operate.permissions import operator_actions, policy_documents
from txnpipe.operate.redrive import redrive
from txnpipe.proof.in_stream import StreamSearch
from txnpipe.resources import policies
from txnpipe.scaling import reshard
from txnpipe.traffic.runs import RunStore
from txnpipe.traffic.stream import KinesisStream
from txnpipe.warehouse.data_api import DataApiWarehouse

QUEUE = f"arn:aws:sqs:{REGION}:{ACCOUNT}:alerts"
SUBSCRIBED = {"subscriptions": [{"protocol": "sqs", "endpoint": QUEUE, "raw": True}]}
RESUBSCRIBED = {"subscriptions": [{"protocol": "sqs", "endpoint": QUEUE}]}
FIRST = settings_of(topic=SUBSCRIBED, stream={"retention_hours": 48})
CHANGED = settings_of(
    topic=RESUBSCRIBED,
    stream={"retention_hours": 24},
    loader={"batch_size": 77, "memory_mb": 1024},
    functions={"log_retention_days": 30},
    analytics={"parallelism": 2},
    warehouse={"nodes": 2, "port": 5440},
)


NAMES = Names("default", ACCOUNT, REGION)
ADMIN_SECRET = f"secret:redshift!{NAMES.cluster}-txnpipe_admin-AbCdEf"
OTHER_TRUST = policies.document(policies.trust_analytics(NAMES))
OTHER_POLICY = policies.document(policies.notifier_policy(NAMES))


def documents(*, read_only: bool = False) -> tuple[Document, ...]:
    """What `txnpipe policy` prints."""
    return policy_documents(operator_actions(NAMES, settings_of(), read_only=read_only))


def judged(policy: tuple[Document, ...]) -> AbstractContextManager[Judge]:
    """Every call inside is judged."""
    return enforced(policy, ACCOUNT, REGION)


def set_up_change_and_tear_down(remote: Remote) -> None:
    """Everything is made, nearly everything is changed, everything goes."""
    remote.setup(FIRST)
    remote.zips = {name: make_zip(name, "2") for name in remote.zips}
    remote.setup(CHANGED)
    inspect(remote.graph(CHANGED))
    tear_down(remote, CHANGED)


def spoil(remote: Remote, judge: Judge) -> None:
    """Somebody with more rights changes by hand what he can."""

    def do(service: str, operation: str, **parameters: Any) -> Any:
        return judge.original(remote.target.client(service), operation, parameters)

    by_name = [{"Name": "group-name", "Values": [NAMES.cluster]}]
    group = do("ec2", "DescribeSecurityGroups", Filters=by_name)["SecurityGroups"][0]["GroupId"]
    ssh = {"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "IpRanges": [{"CidrIp": "10.0.0.0/8"}]}
    do("ec2", "AuthorizeSecurityGroupIngress", GroupId=group, IpPermissions=[ssh])
    do("iam", "DeleteRolePolicy", RoleName=NAMES.loader_role, PolicyName="txnpipe")
    do("iam", "UpdateAssumeRolePolicy", RoleName=NAMES.notifier_role, PolicyDocument=OTHER_TRUST)
    extra = do("iam", "CreatePolicy", PolicyName="extra", PolicyDocument=OTHER_POLICY)["Policy"]["Arn"]
    do("iam", "AttachRolePolicy", RoleName=NAMES.loader_role, PolicyArn=extra)
    do("secretsmanager", "DeleteSecret", SecretId=NAMES.loader_secret)
    for change in ("DeleteLogGroup", "CreateLogGroup"):
        do("logs", change, logGroupName=f"/aws/lambda/{NAMES.notifier}")
    do("redshift", "PauseCluster", ClusterIdentifier=NAMES.cluster)
    do("s3", "DeletePublicAccessBlock", Bucket=NAMES.bucket)
    do("s3", "CreateMultipartUpload", Bucket=NAMES.bucket, Key="runs/unfinished")


def operate(remote: Remote) -> None:
    """send, scale, and what verify and sql read. Without the functions: moto would want to run them."""
    target, resources = remote.target, remote.graph(settings_of()).resources
    for resource in (resources[f"bucket/{NAMES.bucket}"], resources[f"stream/{NAMES.stream}"]):
        resource.create(resource.desired())
    kinesis = target.client("kinesis")
    store, stream = RunStore(target, NAMES.bucket), KinesisStream(target, NAMES.stream)
    store.put("runs/r/manifest.json", b"{}")
    stream.open_shards()
    stream.put([(0, "key", b"payload")])
    reshard.plan(kinesis, NAMES.stream, 2)
    reshard.walk(kinesis, NAMES.stream, 2, sleep=lambda _: None)
    redrive_a_failed_batch(remote)
    read(remote)


def redrive_a_failed_batch(remote: Remote) -> None:
    """The function does not run: the account answers for it."""
    RunStore(remote.target, NAMES.bucket).put("aws/lambda/m/s/x", letter_of([("key", "1", b"payload")]))
    s3 = remote.target.client("s3")
    outcomes = redrive(
        choose_entries(s3, NAMES.bucket, ()),
        target=remote.target,
        bucket=NAMES.bucket,
        functions=(NAMES.loader,),
        timeout_s=60,
    )
    assert [each.state for each in outcomes] == ["sent"]


def read(remote: Remote) -> None:
    """What verify, sql, alerts and rejects read; the rest is what plan and status read."""
    target = remote.target
    assert RunStore(target, NAMES.bucket).get("runs/r/manifest.json") == b"{}"
    assert list(list_dead_letters(target.client("s3"), NAMES.bucket)) == []
    assert StreamSearch(target.client("kinesis"), NAMES.stream).find("key", None, lambda data: True)
    where = {
        "ClusterIdentifier": NAMES.cluster,
        "Database": "txnpipe",
        "SecretArn": NAMES.arn("secretsmanager", ADMIN_SECRET),
    }
    DataApiWarehouse(target.client("redshift-data"), where).query("SELECT 1")


_STATEMENT: dict[str, dict[str, Any]] = {
    "ExecuteStatement": {"Id": "1"},
    "DescribeStatement": {"Id": "1", "Status": "FINISHED", "HasResultSet": True},
    "GetStatementResult": {"ColumnMetadata": [{"name": "a", "typeName": "int4"}], "Records": []},
}


def _answer_invocation(call: Call, forward: Forward) -> Any:
    """A function that takes every batch."""
    if (call.service, call.operation) != ("lambda", "Invoke"):
        return forward()
    return received(None, Response(200, b'{"batchItemFailures": []}', "application/json", {}))


def _answer_statement(call: Call, forward: Forward) -> Any:
    """A Data API whose statements are done at once."""
    if call.service != "redshift-data":
        return forward()
    body = json.dumps(_STATEMENT[call.operation]).encode()
    return received(None, Response(200, body, "application/x-amz-json-1.1", {}))


@pytest.fixture
def account(remote: Remote) -> Remote:
    """An account with what belongs to no pipeline."""
    remote.wire.layers += [_answer_statement, _answer_invocation]
    remote.target.client("sqs").create_queue(QueueName="alerts")
    return remote


def test_setup_changes_and_teardown_may_do_all_they_do(account: Remote) -> None:
    with judged(documents()) as judge:
        set_up_change_and_tear_down(account)
    assert judge.denied == []


def test_what_was_spoilt_by_hand_may_be_repaired(account: Remote) -> None:
    with judged(documents()) as judge:
        # Empty and untagged, as a setup leaves it that is killed between the two calls.
        judge.original(account.target.client("s3"), "CreateBucket", {"Bucket": NAMES.bucket})
        account.setup(settings_of())
        spoil(account, judge)
        account.setup(settings_of(warehouse={"loader_user": "other"}))
        tear_down(account, settings_of())
    assert judge.denied == []


def test_sending_scaling_and_verifying_may_do_all_they_do(account: Remote) -> None:
    with judged(documents()) as judge:
        operate(account)
    assert judge.denied == []


def test_the_endpoint_may_be_handed_over_to_another_pipeline(account: Remote) -> None:
    other = settings_of(pipeline="other")
    with judged(documents()) as judge:
        account.setup(settings_of())
    account.setup(other)
    with judge.again():
        tear_down(account, settings_of())
    assert judge.denied == []
    assert "ec2.ModifyVpcEndpoint" in {call for call, _ in judge.asked}


def test_reading_needs_no_more_than_the_read_only_policy(account: Remote) -> None:
    operate(account)
    account.setup(settings_of())
    before = account.recorder.changes
    with judged(documents(read_only=True)) as judge:
        account.plan(CHANGED)
        take_inventory(account.graph(settings_of()))
        inspect(account.graph(settings_of()))
        read(account)
    assert judge.denied == []
    assert account.recorder.changes == before


def test_the_read_only_policy_changes_nothing(account: Remote) -> None:
    with judged(documents(read_only=True)) as judge, pytest.raises(TxnpipeError):
        account.setup(settings_of())
    assert account.recorder.changes == ["sqs.CreateQueue"]
    assert judge.denied


@pytest.mark.parametrize("other", ["other", "default"])
def test_another_pipeline_is_out_of_reach(account: Remote, other: str) -> None:
    """`default` is the check of the check: there it is allowed."""
    account.setup(settings_of(pipeline=other))
    with judged(documents()) as judge:
        try:
            tear_down(account, settings_of(pipeline=other))
        except TxnpipeError:
            assert judge.denied
    assert bool(judge.denied) == (other != "default")


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_shape_of_a_pipeline_may_be_made_looked_at_and_removed(account: Remote, variant: str) -> None:
    settings = settings_of(**VARIANTS[variant])
    with judged(documents()) as judge:
        account.setup(settings)
        inspect(account.graph(settings))
        tear_down(account, settings)
    assert judge.denied == []
