"""The local cloud as an endpoint: for the AWS CLI and boto3, for many at once, for what it does not know."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable

import pytest
from botocore.exceptions import ClientError

from tests.e2e.conftest import Cloud

NewCloud = Callable[..., Cloud]


def test_env_is_what_a_shell_and_the_aws_cli_understand(new_cloud: NewCloud) -> None:
    cloud = new_cloud()
    aws = f"{sys.executable} -m awscli"
    script = (
        f'set -e; eval "$({sys.executable} -m txnpipe local env)"; '
        f"{aws} sns create-topic --name from-the-cli; "
        f"{aws} s3 mb s3://from-the-cli; "
        # Version 1 of the AWS CLI has an address of its own for SQS and asks no variable.
        f'{aws} sqs create-queue --queue-name from-the-cli --endpoint-url "$AWS_ENDPOINT_URL"'
    )
    environment = cloud.environment(AWS_PROFILE="somebody", AWS_SESSION_TOKEN="old", PATH=os.environ["PATH"])

    result = subprocess.run(["bash", "-c", script], env=environment, capture_output=True, text=True)

    assert result.returncode == 0, result.stderr
    assert "arn:aws:sns:us-east-1:000000000000:from-the-cli" in result.stdout
    assert f"{cloud.endpoint_url}/000000000000/from-the-cli" in result.stdout
    assert cloud.client("s3").list_buckets()["Buckets"][0]["Name"] == "from-the-cli"


@pytest.mark.parametrize(
    ("service", "operation", "parameters"),
    [
        ("sns", "get_data_protection_policy", {"ResourceArn": "arn:aws:sns:us-east-1:000000000000:t"}),
        ("ec2", "describe_local_gateways", {}),
        ("cloudwatch", "describe_alarm_contributors", {"AlarmName": "a"}),
        ("secretsmanager", "validate_resource_policy", {"ResourcePolicy": "{}"}),
        ("outposts", "list_sites", {}),
    ],
)
def test_a_call_that_nobody_implements_gets_a_typed_error(
    cloud: Cloud, service: str, operation: str, parameters: dict[str, str]
) -> None:
    with pytest.raises(ClientError) as refused:
        getattr(cloud.client(service), operation)(**parameters)

    assert refused.value.response["Error"]["Code"] in {"InvalidAction", "UnknownOperationException"}


def test_a_long_poll_lets_others_in(cloud: Cloud) -> None:
    sqs = cloud.client("sqs")
    url = sqs.create_queue(QueueName="polled")["QueueUrl"]
    received: list[str] = []

    def poll() -> None:
        answer = cloud.client("sqs").receive_message(QueueUrl=url, WaitTimeSeconds=20)
        received.extend(message["Body"] for message in answer.get("Messages", []))

    poller = threading.Thread(target=poll)
    poller.start()
    time.sleep(0.3)
    sqs.list_queues()
    assert poller.is_alive()  # the other call was answered while this one waits
    sqs.send_message(QueueUrl=url, MessageBody="hello")
    poller.join()

    assert received == ["hello"]


def test_calls_from_many_threads_lose_nothing(cloud: Cloud) -> None:
    url = cloud.client("sqs").create_queue(QueueName="crowded")["QueueUrl"]
    s3 = cloud.client("s3")
    s3.create_bucket(Bucket="crowded")

    def work(number: int) -> None:
        for index in range(10):
            cloud.client("sqs").send_message(QueueUrl=url, MessageBody=f"{number}/{index}")
            s3.put_object(Bucket="crowded", Key=f"{number}/{index}", Body=b"x")

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    attributes = cloud.client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    assert attributes["ApproximateNumberOfMessages"] == "80"
    assert s3.list_objects_v2(Bucket="crowded")["KeyCount"] == 80
