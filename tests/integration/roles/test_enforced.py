"""What the functions and the analytics app do, with exactly their role, on a server that enforces IAM.

The calls of the functions are those of their own code; those that Lambda and Managed Flink make with the role
are made here in their place.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from botocore.loaders import Loader
from botocore.session import Session

from tests.corpus.lambda_events import ALERT_STREAM_ARN, kinesis_event
from tests.iam.server import ACCOUNT, REGION, Account, account
from tests.unit.functions.test_alerts import FIELDS
from txnpipe.functions.loader.connection import secret_reader, secrets_manager
from txnpipe.functions.notifier.entry import _sns, notify
from txnpipe.names import BucketKeys, Names
from txnpipe.resources import policies
from txnpipe.resources.policies import Statements, document

NAMES, OTHER = (Names(pipeline, ACCOUNT, REGION) for pipeline in ("default", "other"))
ROLES = {
    NAMES.loader_role: policies.loader_policy(NAMES),
    NAMES.notifier_role: policies.notifier_policy(NAMES),
    NAMES.analytics_role: policies.analytics_policy(NAMES),
}
LOADER, NOTIFIER, ANALYTICS = ROLES
DENIED = {"AccessDenied", "AccessDeniedException", "UnauthorizedOperation"}
MODELS = Loader()
"""Shared by all sessions: reading the models takes longer than the calls do."""


def client(service: str) -> Any:
    """With the credentials of a role in the environment, as in Lambda."""
    connect: Any = boto3.client
    return connect(service)


def publish(names: Names) -> None:
    """The notifier's own code."""
    event = kinesis_event([json.dumps(FIELDS).encode()], stream_arn=ALERT_STREAM_ARN)
    assert notify(event, _sns(), names.topic_arn, "request", names.pipeline) == {"batchItemFailures": []}


def read_secret(arn: str) -> None:
    """The loader's own code."""
    assert secret_reader(arn, secrets_manager())().username == "loader"


def iterator(stream: str) -> str:
    shard = {"ShardId": "shardId-000000000000", "ShardIteratorType": "TRIM_HORIZON"}
    return str(client("kinesis").get_shard_iterator(StreamName=stream, **shard)["ShardIterator"])


def put_failed(bucket: str, key: str = f"{BucketKeys.FAILED}uuid/shard/record") -> None:
    client("s3").put_object(Bucket=bucket, Key=key, Body=b"{}")


def write_log(group: str, stream: str = "made") -> None:
    entry = {"timestamp": 1_800_000_000_000, "message": "a line"}
    client("logs").put_log_events(logGroupName=group, logStreamName=stream, logEvents=[entry])


def interface(place: dict[str, str]) -> dict[str, str]:
    return {"NetworkInterfaceId": place["interface"]}


Place = dict[str, str]
"""What the account numbers itself: the secrets' ARNs, a subnet, a network interface, the code's version."""
Act = Callable[[Place], Any]


def reading(stream: str) -> dict[str, Act]:
    """What a poller does with a stream."""
    return {
        "kinesis:DescribeStream": lambda _: client("kinesis").describe_stream(StreamName=stream),
        "kinesis:DescribeStreamSummary": lambda _: client("kinesis").describe_stream_summary(
            StreamName=stream
        ),
        "kinesis:GetRecords": lambda at: client("kinesis").get_records(
            ShardIterator=at[f"iterator {stream}"]
        ),
        "kinesis:GetShardIterator": lambda _: iterator(stream),
        "kinesis:ListShards": lambda _: client("kinesis").list_shards(StreamName=stream),
    }


def functions(name: str) -> dict[str, Act]:
    """What Lambda does with the role of any function of ours."""
    group = policies.function_log_group(name)
    return {
        "logs:CreateLogStream": lambda _: client("logs").create_log_stream(
            logGroupName=group, logStreamName=name
        ),
        "logs:PutLogEvents": lambda _: write_log(group),
        "s3:ListBucket": lambda _: client("s3").list_objects_v2(Bucket=NAMES.bucket),
        "s3:PutObject": lambda _: put_failed(NAMES.bucket),
    }


CODE = f"{BucketKeys.CODE}analytics.zip"
ANALYTICS_LOGS = policies.analytics_log_group(NAMES)
ACTS: dict[str, dict[str, Act]] = {
    LOADER: {
        **functions(NAMES.loader),
        **reading(NAMES.stream),
        "secretsmanager:GetSecretValue": lambda at: read_secret(at["secret"]),
        "ec2:AssignPrivateIpAddresses": lambda at: client("ec2").assign_private_ip_addresses(
            **interface(at), SecondaryPrivateIpAddressCount=1
        ),
        "ec2:CreateNetworkInterface": lambda at: client("ec2").create_network_interface(
            SubnetId=at["subnet"]
        ),
        "ec2:DeleteNetworkInterface": lambda at: client("ec2").delete_network_interface(
            NetworkInterfaceId=client("ec2").create_network_interface(SubnetId=at["subnet"])[
                "NetworkInterface"
            ]["NetworkInterfaceId"]
        ),
        "ec2:DescribeNetworkInterfaces": lambda _: client("ec2").describe_network_interfaces(),
        "ec2:DescribeSubnets": lambda _: client("ec2").describe_subnets(),
        "ec2:UnassignPrivateIpAddresses": lambda at: client("ec2").unassign_private_ip_addresses(
            **interface(at), PrivateIpAddresses=[at["address"]]
        ),
    },
    NOTIFIER: {
        **functions(NAMES.notifier),
        **reading(NAMES.alert_stream),
        "sns:Publish": lambda _: publish(NAMES),
    },
    ANALYTICS: {
        **reading(NAMES.stream),
        "kinesis:PutRecord": lambda _: put_alert(NAMES.alert_stream),
        "kinesis:PutRecords": lambda _: client("kinesis").put_records(
            StreamName=NAMES.alert_stream, Records=[{"Data": b"{}", "PartitionKey": "k"}]
        ),
        "logs:DescribeLogGroups": lambda _: client("logs").describe_log_groups(),
        "logs:DescribeLogStreams": lambda _: client("logs").describe_log_streams(logGroupName=ANALYTICS_LOGS),
        "logs:PutLogEvents": lambda _: write_log(ANALYTICS_LOGS),
        "s3:GetObject": lambda _: client("s3").get_object(Bucket=NAMES.bucket, Key=CODE),
        "s3:GetObjectVersion": lambda at: client("s3").get_object(
            Bucket=NAMES.bucket, Key=CODE, VersionId=at["version"]
        ),
    },
}
"""Role → IAM action → what is done with it."""


def put_alert(stream: str) -> None:
    client("kinesis").put_record(StreamName=stream, Data=b"{}", PartitionKey="k")


OUT_OF_REACH: dict[str, tuple[str, Act]] = {
    "another pipeline's secret": (LOADER, lambda at: read_secret(at["other secret"])),
    "another pipeline's stream": (LOADER, lambda _: iterator(OTHER.stream)),
    "another pipeline's topic": (NOTIFIER, lambda _: publish(OTHER)),
    "another pipeline's bucket": (LOADER, lambda _: put_failed(OTHER.bucket)),
    "another part of the bucket": (NOTIFIER, lambda _: put_failed(NAMES.bucket, CODE)),
    "the manifests of runs": (
        ANALYTICS,
        lambda _: client("s3").get_object(Bucket=NAMES.bucket, Key="runs/r"),
    ),
    "the secret, for the notifier": (NOTIFIER, lambda at: read_secret(at["secret"])),
    "the topic, for the loader": (LOADER, lambda _: publish(NAMES)),
    "the transactions, for the notifier": (NOTIFIER, lambda _: iterator(NAMES.stream)),
    "writing transactions": (ANALYTICS, lambda _: put_alert(NAMES.stream)),
    "writing alerts, for the loader": (LOADER, lambda _: put_alert(NAMES.alert_stream)),
    "another function's log": (LOADER, lambda _: write_log(policies.function_log_group(NAMES.notifier))),
}


@pytest.fixture(scope="module")
def server() -> Iterator[Account]:
    with account() as made:
        yield made


@pytest.fixture(scope="module")
def place(server: Account) -> Place:
    """Two pipelines, as far as the roles touch them."""
    found: Place = {}
    for names, prefix in ((NAMES, ""), (OTHER, "other ")):
        for stream in (names.stream, names.alert_stream):
            server.owner("kinesis").create_stream(StreamName=stream, ShardCount=1)
        secret = json.dumps({"username": "loader", "password": "p"})
        made = server.owner("secretsmanager").create_secret(Name=names.loader_secret, SecretString=secret)
        found[f"{prefix}secret"] = made["ARN"]
        server.owner("sns").create_topic(Name=names.topic)
        server.owner("s3").create_bucket(Bucket=names.bucket)
        log_groups = (policies.function_log_group(each) for each in (names.loader, names.notifier))
        for group in (*log_groups, policies.analytics_log_group(names)):
            server.owner("logs").create_log_group(logGroupName=group)
            server.owner("logs").create_log_stream(logGroupName=group, logStreamName="made")
    for stream in (NAMES.stream, NAMES.alert_stream):
        found[f"iterator {stream}"] = server.owner("kinesis").get_shard_iterator(
            StreamName=stream, ShardId="shardId-000000000000", ShardIteratorType="TRIM_HORIZON"
        )["ShardIterator"]
        server.gate.streams[found[f"iterator {stream}"]] = stream
    s3, ec2 = server.owner("s3"), server.owner("ec2")
    s3.put_bucket_versioning(Bucket=NAMES.bucket, VersioningConfiguration={"Status": "Enabled"})
    found["version"] = s3.put_object(Bucket=NAMES.bucket, Key=CODE, Body=b"zip")["VersionId"]
    s3.put_object(Bucket=NAMES.bucket, Key="runs/r", Body=b"{}")
    found["subnet"] = ec2.describe_subnets()["Subnets"][0]["SubnetId"]
    made = ec2.create_network_interface(SubnetId=found["subnet"], SecondaryPrivateIpAddressCount=1)
    found["interface"] = made["NetworkInterface"]["NetworkInterfaceId"]
    found["address"] = next(
        each["PrivateIpAddress"]
        for each in made["NetworkInterface"]["PrivateIpAddresses"]
        if not each["Primary"]
    )
    for role in ROLES:
        trust = policies.trust_lambda() if role != ANALYTICS else policies.trust_analytics(NAMES)
        server.owner("iam").create_role(RoleName=role, AssumeRolePolicyDocument=document(trust))
    return found


@pytest.fixture
def become(server: Account, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, Statements], None]:
    """Gives a role these statements and puts its credentials into the environment."""

    def with_role(role: str, statements: Statements) -> None:
        iam = server.owner("iam")
        for name in iam.list_role_policies(RoleName=role)["PolicyNames"]:
            iam.delete_role_policy(RoleName=role, PolicyName=name)
        if statements:
            iam.put_role_policy(RoleName=role, PolicyName="txnpipe", PolicyDocument=document(statements))
        credentials = server.assume(role)
        for name, value in credentials.items():
            monkeypatch.setenv(name.upper(), value)
        monkeypatch.setenv("AWS_ENDPOINT_URL", server.url)
        monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)
        session = Session()
        session.register_component("data_loader", MODELS)
        monkeypatch.setattr(boto3, "DEFAULT_SESSION", boto3.Session(botocore_session=session))

    return with_role


def denied(act: Act, place: Place) -> bool:
    """Whether IAM refuses; any other failure is one of the test."""
    try:
        act(place)
    except ClientError as error:
        assert error.response["Error"]["Code"] in DENIED, error
        return True
    return False


@pytest.mark.parametrize("role", ROLES)
def test_every_action_of_a_role_is_tried(role: str) -> None:
    assert {action for statement in ROLES[role].values() for action in statement["Action"]} == set(ACTS[role])


@pytest.mark.parametrize(
    ("role", "action"), [(role, action) for role, acts in ACTS.items() for action in acts]
)
def test_an_action_is_allowed_with_the_role_and_with_nothing_less(
    role: str, action: str, place: Place, become: Callable[[str, Statements], None]
) -> None:
    act = ACTS[role][action]
    become(role, ROLES[role])
    assert not denied(act, place)
    without = {sid: each for sid, each in ROLES[role].items() if action not in each["Action"]}
    become(role, without)
    assert denied(act, place)
    become(role, {})
    assert denied(act, place)


@pytest.mark.parametrize("what", OUT_OF_REACH)
def test_what_is_not_its_own_is_out_of_a_role_s_reach(
    what: str, place: Place, become: Callable[[str, Statements], None]
) -> None:
    role, act = OUT_OF_REACH[what]
    become(role, ROLES[role])
    assert denied(act, place)
