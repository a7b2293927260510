"""What the runtime needs of moto: how it describes functions, and the method we replace."""

from __future__ import annotations

import base64
import inspect
import json
from collections.abc import Iterator

import boto3
import pytest

from tests.unit.local.lambda_runtime.doubles import zipped
from txnpipe.local.lambda_runtime import hook
from txnpipe.local.lambda_runtime.functions import FunctionSpec, find_function
from txnpipe.local.part import ACCOUNT
from txnpipe.local.service import ServiceError

CODE = zipped({"app.py": "def handler(event, context): return event"})
REGION = "us-east-1"


@pytest.fixture
def moto(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    from moto import mock_aws

    for name, value in {
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "MOTO_ACCOUNT_ID": ACCOUNT,
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("moto.core.models.DEFAULT_ACCOUNT_ID", ACCOUNT)
    monkeypatch.setattr("moto.core.DEFAULT_ACCOUNT_ID", ACCOUNT)
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    with mock_aws():
        role = boto3.client("iam", REGION).create_role(RoleName="r", AssumeRolePolicyDocument="{}")
        boto3.client("lambda", REGION).create_function(
            FunctionName="f",
            Runtime="python3.13",
            Role=role["Role"]["Arn"],
            Handler="app.handler",
            Code={"ZipFile": CODE},
            Timeout=7,
            MemorySize=256,
            Environment={"Variables": {"B": "2", "A": "1"}},
        )
        yield


@pytest.mark.usefixtures("moto")
def test_a_functions_definition_is_read_whole() -> None:
    import hashlib

    found = find_function("f", REGION)
    assert found == FunctionSpec(
        arn=f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:f",
        name="f",
        version="$LATEST",
        region=REGION,
        runtime="python3.13",
        handler="app.handler",
        code_sha256=hashlib.sha256(CODE).hexdigest(),
        timeout_s=7,
        memory_mb=256,
        environment=(("A", "1"), ("B", "2")),
        role=f"arn:aws:iam::{ACCOUNT}:role/r",
    )
    assert found.code == CODE
    assert found.reserved_concurrency is None


@pytest.mark.usefixtures("moto")
def test_functions_are_found_by_name_arn_version_and_alias() -> None:
    client = boto3.client("lambda", REGION)
    client.publish_version(FunctionName="f")
    client.update_function_configuration(FunctionName="f", Timeout=9)
    client.create_alias(FunctionName="f", Name="prod", FunctionVersion="1")
    arn = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:f"
    for name in ("f", arn, f"{ACCOUNT}:function:f", "f:$LATEST", f"{arn}:$LATEST"):
        assert find_function(name, REGION).timeout_s == 9
    for name in ("f:1", f"{arn}:1", "f:prod", f"{arn}:prod"):
        found = find_function(name, REGION)
        assert (found.timeout_s, found.version, found.arn) == (7, "1", f"{arn}:1")
    assert find_function("f", REGION, "prod").version == "1"


@pytest.mark.usefixtures("moto")
@pytest.mark.parametrize("name", ["g", "f:2", "f:test", f"arn:aws:lambda:eu-west-1:{ACCOUNT}:function:f"])
def test_a_function_that_is_not_there_is_not_found(name: str) -> None:
    with pytest.raises(ServiceError) as caught:
        find_function(name, REGION)
    assert (caught.value.code, caught.value.status) == ("ResourceNotFoundException", 404)


@pytest.mark.usefixtures("moto")
def test_reserved_concurrency_is_read_zero_included() -> None:
    client = boto3.client("lambda", REGION)
    for value in (5, 0):
        client.put_function_concurrency(FunctionName="f", ReservedConcurrentExecutions=value)
        assert find_function("f", REGION).reserved_concurrency == value


@pytest.mark.usefixtures("moto")
def test_what_sns_sends_to_a_function_is_queued() -> None:
    queued: list[tuple[str, dict[str, object]]] = []
    uninstall = hook.install(lambda spec, payload: queued.append((spec.name, json.loads(payload))))
    try:
        sns = boto3.client("sns", REGION)
        topic = sns.create_topic(Name="t")["TopicArn"]
        sns.subscribe(TopicArn=topic, Protocol="lambda", Endpoint=find_function("f", REGION).arn)
        sns.publish(TopicArn=topic, Message="hello")
    finally:
        uninstall()
    ((name, event),) = queued
    assert name == "f"
    assert event["Records"][0]["Sns"]["Message"] == "hello"  # type: ignore[index]


@pytest.mark.usefixtures("moto")
def test_what_s3_notifies_a_function_of_is_queued() -> None:
    queued: list[bytes] = []
    uninstall = hook.install(lambda _spec, payload: queued.append(payload))
    try:
        s3 = boto3.client("s3", REGION)
        s3.create_bucket(Bucket="bucket")
        s3.put_bucket_notification_configuration(
            Bucket="bucket",
            NotificationConfiguration={
                "LambdaFunctionConfigurations": [
                    {"LambdaFunctionArn": find_function("f", REGION).arn, "Events": ["s3:ObjectCreated:*"]}
                ]
            },
        )
        queued.clear()
        s3.put_object(Bucket="bucket", Key="key", Body=b"")
    finally:
        uninstall()
    assert [json.loads(payload)["Records"][0]["s3"]["object"]["key"] for payload in queued] == ["key"]


def test_motos_method_is_the_one_we_know_and_is_put_back() -> None:
    from moto.awslambda.models import LambdaFunction

    original = LambdaFunction.invoke
    assert list(inspect.signature(original).parameters) == [
        "self",
        "body",
        "request_headers",
        "response_headers",
    ]
    hook.install(lambda _spec, _payload: None)()
    assert LambdaFunction.invoke is original


@pytest.mark.usefixtures("moto")
def test_the_codes_hash_is_awss() -> None:
    shown = boto3.client("lambda", REGION).get_function_configuration(FunctionName="f")["CodeSha256"]
    assert base64.b64decode(shown).hex() == find_function("f", REGION).code_sha256
