"""What the local cloud answered for is there after a kill -9, for every service of the control plane."""

from __future__ import annotations

import io
import json
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from botocore.exceptions import BotoCoreError, ClientError

from tests.directories import make_directory
from tests.e2e.conftest import Cloud

Check = Callable[[], None]
ASSUME_LAMBDA = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"Service": "lambda.amazonaws.com"},
                "Action": "sts:AssumeRole",
            }
        ],
    }
)

ALLOW_LOGS = json.dumps(
    {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "logs:*", "Resource": "*"}]}
)


@pytest.fixture(scope="module")
def own_cloud() -> Iterator[Cloud]:
    running = Cloud(make_directory("txnpipe-e2e-"))
    running.start()
    yield running
    running.close()


@pytest.fixture
def crash(own_cloud: Cloud) -> Callable[[], None]:
    def kill_and_restart() -> None:
        own_cloud.kill()
        own_cloud.start()

    return kill_and_restart


def function_zip(size: int = 0) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("app.py", "def handler(event, context):\n    return event\n")
        archive.writestr("ballast", b"\0" * size)
    return buffer.getvalue()


def test_s3_keeps_buckets_objects_versions_tags_and_uploads_under_way(
    own_cloud: Cloud, crash: Callable[[], None]
) -> None:
    s3 = own_cloud.client("s3")
    s3.create_bucket(Bucket="kept")
    s3.put_bucket_versioning(Bucket="kept", VersioningConfiguration={"Status": "Enabled"})
    s3.put_bucket_tagging(Bucket="kept", Tagging={"TagSet": [{"Key": "txnpipe:pipeline", "Value": "x"}]})
    first = s3.put_object(Bucket="kept", Key="a/%2F é", Body=b"one", Metadata={"by": "me"})["VersionId"]
    s3.put_object(Bucket="kept", Key="a/%2F é", Body=b"two")
    s3.put_object(Bucket="kept", Key="big", Body=bytes(20_000_000))
    s3.put_object(Bucket="kept", Key="gone", Body=b"x")
    s3.delete_object(Bucket="kept", Key="gone")
    upload = s3.create_multipart_upload(Bucket="kept", Key="parts")["UploadId"]
    part = s3.upload_part(Bucket="kept", Key="parts", UploadId=upload, PartNumber=1, Body=b"part")

    crash()

    s3 = own_cloud.client("s3")
    assert s3.get_object(Bucket="kept", Key="a/%2F é")["Body"].read() == b"two"
    old = s3.get_object(Bucket="kept", Key="a/%2F é", VersionId=first)
    assert (old["Body"].read(), old["Metadata"]) == (b"one", {"by": "me"})
    assert s3.head_object(Bucket="kept", Key="big")["ContentLength"] == 20_000_000
    assert s3.get_object(Bucket="kept", Key="big")["Body"].read() == bytes(20_000_000)
    with pytest.raises(ClientError, match="NoSuchKey"):
        s3.get_object(Bucket="kept", Key="gone")
    assert s3.get_bucket_tagging(Bucket="kept")["TagSet"][0]["Value"] == "x"
    s3.complete_multipart_upload(
        Bucket="kept",
        Key="parts",
        UploadId=upload,
        MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]},
    )
    assert s3.get_object(Bucket="kept", Key="parts")["Body"].read() == b"part"


def test_s3_removes_the_files_of_deleted_objects(own_cloud: Cloud, crash: Callable[[], None]) -> None:
    s3 = own_cloud.client("s3")
    contents = own_cloud.home.state("moto") / "contents"
    s3.create_bucket(Bucket="emptied")
    before = set(contents.iterdir())
    s3.put_object(Bucket="emptied", Key="k", Body=b"x" * 100)
    s3.put_object(Bucket="emptied", Key="k", Body=b"y" * 100)
    assert len(set(contents.iterdir()) - before) == 1
    (contents / "written-and-never-named").write_bytes(b"x")

    crash()
    own_cloud.client("s3").delete_object(Bucket="emptied", Key="k")

    assert set(contents.iterdir()) == before


def test_s3_conditional_writes_hold_across_a_restart(own_cloud: Cloud, crash: Callable[[], None]) -> None:
    s3 = own_cloud.client("s3")
    s3.create_bucket(Bucket="locked")
    s3.put_object(Bucket="locked", Key="lock", Body=b"mine", IfNoneMatch="*")

    crash()

    with pytest.raises(ClientError, match="PreconditionFailed"):
        own_cloud.client("s3").put_object(Bucket="locked", Key="lock", Body=b"yours", IfNoneMatch="*")


def test_sqs_keeps_queues_messages_and_what_was_deleted(own_cloud: Cloud, crash: Callable[[], None]) -> None:
    sqs = own_cloud.client("sqs")
    url = sqs.create_queue(QueueName="kept", tags={"a": "b"})["QueueUrl"]
    for text in ("first", "second"):
        sqs.send_message(QueueUrl=url, MessageBody=text)
    received = sqs.receive_message(QueueUrl=url)["Messages"][0]
    sqs.delete_message(QueueUrl=url, ReceiptHandle=received["ReceiptHandle"])

    crash()

    sqs = own_cloud.client("sqs")
    url = sqs.get_queue_url(QueueName="kept")["QueueUrl"]
    left = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10)["Messages"]
    assert len(left) == 1
    assert left[0]["Body"] != received["Body"]
    sqs.delete_message(QueueUrl=url, ReceiptHandle=left[0]["ReceiptHandle"])


def test_sns_keeps_topics_and_delivers_to_the_queue_after_a_restart(
    own_cloud: Cloud, crash: Callable[[], None]
) -> None:
    sns, sqs = own_cloud.client("sns"), own_cloud.client("sqs")
    topic = sns.create_topic(Name="kept", Tags=[{"Key": "a", "Value": "b"}])["TopicArn"]
    sqs.create_queue(QueueName="subscriber")
    arn = f"arn:aws:sqs:us-east-1:{own_cloud.running.account}:subscriber"
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn, Attributes={"RawMessageDelivery": "true"})
    sns.publish(TopicArn=topic, Message="before")

    crash()

    sns, sqs = own_cloud.client("sns"), own_cloud.client("sqs")
    sns.publish(TopicArn=topic, Message="after")
    url = sqs.get_queue_url(QueueName="subscriber")["QueueUrl"]
    bodies = [m["Body"] for m in sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10)["Messages"]]
    assert bodies == ["before", "after"]
    assert sns.list_tags_for_resource(ResourceArn=topic)["Tags"] == [{"Key": "a", "Value": "b"}]


def test_secrets_manager_keeps_secrets(own_cloud: Cloud, crash: Callable[[], None]) -> None:
    secrets = own_cloud.client("secretsmanager")
    arn = secrets.create_secret(Name="txnpipe/kept", SecretString='{"password": "p"}')["ARN"]
    secrets.put_secret_value(SecretId=arn, SecretString='{"password": "q"}')

    crash()

    secrets = own_cloud.client("secretsmanager")
    assert secrets.get_secret_value(SecretId=arn)["SecretString"] == '{"password": "q"}'
    previous = secrets.get_secret_value(SecretId="txnpipe/kept", VersionStage="AWSPREVIOUS")
    assert previous["SecretString"] == '{"password": "p"}'


def test_iam_keeps_roles_with_their_own_and_awss_policies(
    own_cloud: Cloud, crash: Callable[[], None]
) -> None:
    iam = own_cloud.client("iam")
    aws_policy = "arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole"
    iam.create_role(
        RoleName="kept", AssumeRolePolicyDocument=ASSUME_LAMBDA, Tags=[{"Key": "a", "Value": "b"}]
    )
    iam.put_role_policy(RoleName="kept", PolicyName="inline", PolicyDocument=ALLOW_LOGS)
    iam.attach_role_policy(RoleName="kept", PolicyArn=aws_policy)
    own = iam.create_policy(PolicyName="own", PolicyDocument=ALLOW_LOGS)["Policy"]["Arn"]
    iam.attach_role_policy(RoleName="kept", PolicyArn=own)

    crash()

    iam = own_cloud.client("iam")
    attached = iam.list_attached_role_policies(RoleName="kept")["AttachedPolicies"]
    assert {policy["PolicyArn"] for policy in attached} == {aws_policy, own}
    assert iam.list_role_policies(RoleName="kept")["PolicyNames"] == ["inline"]
    assert iam.get_role(RoleName="kept")["Role"]["Tags"] == [{"Key": "a", "Value": "b"}]
    assert iam.get_policy(PolicyArn=aws_policy)["Policy"]["AttachmentCount"] == 1
    iam.detach_role_policy(RoleName="kept", PolicyArn=aws_policy)
    assert iam.get_policy(PolicyArn=aws_policy)["Policy"]["AttachmentCount"] == 0


def test_lambda_keeps_functions_with_code_versions_aliases_and_layers(
    own_cloud: Cloud, crash: Callable[[], None]
) -> None:
    iam, functions, s3 = own_cloud.client("iam"), own_cloud.client("lambda"), own_cloud.client("s3")
    role = iam.create_role(RoleName="for-lambda", AssumeRolePolicyDocument=ASSUME_LAMBDA)["Role"]["Arn"]
    common = {"Runtime": "python3.13", "Role": role, "Handler": "app.handler"}
    functions.create_function(
        FunctionName="direct",
        Code={"ZipFile": function_zip(5_000_000)},
        Environment={"Variables": {"A": "B"}},
        Tags={"t": "u"},
        **common,
    )
    functions.publish_version(FunctionName="direct")
    functions.create_alias(FunctionName="direct", Name="live", FunctionVersion="1")
    functions.update_function_code(FunctionName="direct", ZipFile=function_zip())
    s3.create_bucket(Bucket="code")
    s3.put_object(Bucket="code", Key="f.zip", Body=function_zip(10))
    functions.create_function(FunctionName="from-s3", Code={"S3Bucket": "code", "S3Key": "f.zip"}, **common)
    functions.publish_layer_version(LayerName="layer", Content={"ZipFile": function_zip(9)})
    before = functions.get_function(FunctionName="direct")["Configuration"]

    crash()

    functions = own_cloud.client("lambda")
    after = functions.get_function(FunctionName="direct")
    assert after["Configuration"] == before
    assert after["Tags"] == {"t": "u"}
    assert functions.get_alias(FunctionName="direct", Name="live")["FunctionVersion"] == "1"
    old = functions.get_function(FunctionName="direct", Qualifier="1")["Configuration"]
    assert old["CodeSize"] == len(function_zip(5_000_000))
    assert functions.list_layers()["Layers"][0]["LayerName"] == "layer"
    assert {f["FunctionName"] for f in functions.list_functions()["Functions"]} == {"direct", "from-s3"}
    functions.create_alias(FunctionName="from-s3", Name="new", FunctionVersion="$LATEST")
    functions.delete_function(FunctionName="direct")
    with pytest.raises(ClientError, match="ResourceNotFoundException"):
        functions.get_function(FunctionName="direct")


def test_logs_and_metrics_are_kept_once_the_late_saver_has_run(
    own_cloud: Cloud, crash: Callable[[], None]
) -> None:
    logs, metrics = own_cloud.client("logs"), own_cloud.client("cloudwatch")
    logs.create_log_group(logGroupName="/kept")
    logs.put_retention_policy(logGroupName="/kept", retentionInDays=14)
    logs.create_log_stream(logGroupName="/kept", logStreamName="s")

    crash()

    logs, metrics = own_cloud.client("logs"), own_cloud.client("cloudwatch")
    assert logs.describe_log_groups()["logGroups"][0]["retentionInDays"] == 14
    events = [{"timestamp": int(time.time() * 1000), "message": "hello"}]
    logs.put_log_events(logGroupName="/kept", logStreamName="s", logEvents=events)
    metrics.put_metric_data(Namespace="N", MetricData=[{"MetricName": "m", "Value": 1.0}])
    metrics.put_metric_alarm(
        AlarmName="a",
        MetricName="m",
        Namespace="N",
        Period=60,
        EvaluationPeriods=1,
        Threshold=1.0,
        ComparisonOperator="GreaterThanThreshold",
        Statistic="Sum",
    )

    own_cloud.stop()  # an orderly stop saves everything
    own_cloud.start()

    logs, metrics = own_cloud.client("logs"), own_cloud.client("cloudwatch")
    read = logs.get_log_events(logGroupName="/kept", logStreamName="s")["events"]
    assert [event["message"] for event in read] == ["hello"]
    assert metrics.list_metrics(Namespace="N")["Metrics"][0]["MetricName"] == "m"
    assert metrics.describe_alarms()["MetricAlarms"][0]["AlarmName"] == "a"


def test_ec2_keeps_networks_and_the_default_one_that_a_read_made(
    own_cloud: Cloud, crash: Callable[[], None]
) -> None:
    ec2 = own_cloud.client("ec2", "eu-west-1")
    default = ec2.describe_vpcs()["Vpcs"][0]["VpcId"]

    crash()

    ec2 = own_cloud.client("ec2", "eu-west-1")
    assert ec2.describe_vpcs()["Vpcs"][0]["VpcId"] == default
    group = ec2.create_security_group(GroupName="g", Description="d", VpcId=default)["GroupId"]
    ec2.authorize_security_group_ingress(
        GroupId=group,
        IpPermissions=[
            {"IpProtocol": "tcp", "FromPort": 5439, "ToPort": 5439, "IpRanges": [{"CidrIp": "10.0.0.0/8"}]}
        ],
    )

    crash()

    ec2 = own_cloud.client("ec2", "eu-west-1")
    found = ec2.describe_security_groups(GroupIds=[group])["SecurityGroups"][0]
    assert found["IpPermissions"][0]["FromPort"] == 5439


def test_kms_keeps_keys_of_both_kinds(own_cloud: Cloud, crash: Callable[[], None]) -> None:
    kms = own_cloud.client("kms")
    symmetric = kms.create_key()["KeyMetadata"]["KeyId"]
    secret = kms.encrypt(KeyId=symmetric, Plaintext=b"plain")["CiphertextBlob"]
    pair = kms.create_key(KeyUsage="SIGN_VERIFY", KeySpec="RSA_2048")["KeyMetadata"]["KeyId"]
    arguments: dict[str, Any] = {
        "KeyId": pair,
        "Message": b"m",
        "MessageType": "RAW",
        "SigningAlgorithm": "RSASSA_PKCS1_V1_5_SHA_256",
    }
    signature = kms.sign(**arguments)["Signature"]

    crash()

    kms = own_cloud.client("kms")
    assert kms.decrypt(CiphertextBlob=secret)["Plaintext"] == b"plain"
    assert kms.verify(Signature=signature, **arguments)["SignatureValid"]


def test_the_tagging_api_finds_what_was_tagged_before_a_restart(
    own_cloud: Cloud, crash: Callable[[], None]
) -> None:
    topic = own_cloud.client("sns").create_topic(Name="tagged", Tags=[{"Key": "find", "Value": "me"}])
    kinesis = own_cloud.client("kinesis")
    kinesis.create_stream(StreamName="tagged", ShardCount=1, Tags={"find": "me"})
    stream = kinesis.describe_stream_summary(StreamName="tagged")["StreamDescriptionSummary"]

    crash()

    tagging = own_cloud.client("resourcegroupstaggingapi")
    found = tagging.get_resources(TagFilters=[{"Key": "find", "Values": ["me"]}])
    arns = {each["ResourceARN"] for each in found["ResourceTagMappingList"]}
    assert arns == {topic["TopicArn"], stream["StreamARN"]}


def test_everything_that_was_asked_of_the_control_plane_can_be_kept(own_cloud: Cloud) -> None:
    from txnpipe.local import client

    status = client.status(own_cloud.home)

    assert status is not None
    assert status["not_kept"] == []


def test_a_kill_in_the_middle_of_many_writes_loses_nothing_that_was_answered(own_cloud: Cloud) -> None:
    s3, sqs = own_cloud.client("s3"), own_cloud.client("sqs")
    s3.create_bucket(Bucket="busy")
    url = sqs.create_queue(QueueName="busy")["QueueUrl"]
    answered: list[str] = []

    def write(writer: int) -> None:
        for index in range(10_000):
            name = f"{writer}-{index}"
            try:
                s3.put_object(Bucket="busy", Key=name, Body=name.encode())
                sqs.send_message(QueueUrl=url, MessageBody=name)
            except (ClientError, BotoCoreError):
                return
            answered.append(name)

    writers = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for writer in writers:
        writer.start()
    while len(answered) < 100:
        time.sleep(0.01)
    own_cloud.kill()
    for writer in writers:
        writer.join()
    own_cloud.start()

    s3, sqs = own_cloud.client("s3"), own_cloud.client("sqs")
    for name in answered:
        assert s3.get_object(Bucket="busy", Key=name)["Body"].read() == name.encode()
    stored: set[str] = set()
    while messages := sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
        stored |= {message["Body"] for message in messages}
    assert stored >= set(answered)
    # At most the calls under way were kept without having been answered.
    assert len(stored) <= len(answered) + len(writers)
