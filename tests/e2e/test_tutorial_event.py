"""The tutorial's event, put by the unmodified AWS CLI, at every end of the pipeline."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from typing import Any

import pytest

from tests.corpus.events import TUTORIAL_EVENT
from tests.e2e.pipelines import Pipeline, program
from tests.waiting import PATIENCE_S, eventually


def run(pipeline: Pipeline, *command: str) -> str:
    """Runs somebody else's program in the environment that `txnpipe local env` prints."""
    result = subprocess.run(
        command,
        env=pipeline.environment(),
        cwd=pipeline.cloud.work,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


def aws(pipeline: Pipeline, *arguments: str) -> Any:
    """Runs the AWS CLI and reads its answer."""
    if arguments[0] == "sqs":
        # For this service the AWS CLI, version 1, overrules AWS_ENDPOINT_URL with a host name of its own
        # (awscli/customizations/overridesslcommonname.py) unless it is told on the command line.
        arguments = (*arguments, "--endpoint-url", pipeline.environment()["AWS_ENDPOINT_URL"])
    answer = run(pipeline, program("aws"), *arguments)
    return json.loads(answer) if answer.strip() else None


@pytest.fixture(scope="module")
def queue(pipeline: Pipeline) -> Iterator[str]:
    """The URL of a queue that is subscribed to the topic of alerts."""
    url = aws(pipeline, "sqs", "create-queue", "--queue-name", "tutorial")["QueueUrl"]
    asked = ("sqs", "get-queue-attributes", "--queue-url", url, "--attribute-names", "QueueArn")
    arn = aws(pipeline, *asked)["Attributes"]["QueueArn"]
    topics = [topic["TopicArn"] for topic in aws(pipeline, "sns", "list-topics")["Topics"]]
    topic = next(arn for arn in topics if arn.endswith(":TransactionAlerts"))
    subscribed = ("--topic-arn", topic, "--protocol", "sqs", "--notification-endpoint", arn)
    subscription = aws(pipeline, "sns", "subscribe", *subscribed)["SubscriptionArn"]
    yield url
    aws(pipeline, "sns", "unsubscribe", "--subscription-arn", subscription)
    aws(pipeline, "sqs", "delete-queue", "--queue-url", url)


def test_the_tutorials_event_becomes_one_row_one_alert_and_one_message(
    pipeline: Pipeline, queue: str
) -> None:
    put = ("--stream-name", "TransactionStream", "--partition-key", "1", "--data", TUTORIAL_EVENT.decode())
    answer = aws(pipeline, "kinesis", "put-record", *put)
    began = time.monotonic()

    assert answer["ShardId"].startswith("shardId-")
    alerts = eventually(lambda: alerts_of(pipeline), "alert")
    message = eventually(lambda: messages_in(pipeline, queue), "message")[0]
    print(f"the alert is stored and the message is in the queue after {time.monotonic() - began:.2f} s")
    rows = pipeline.query(
        'SELECT transaction_id, amount, transaction_type, "timestamp", account_id, run_id, sequence_number '
        "FROM transactions WHERE transaction_id = 'txn123'"
    )

    stored = ("txn123", Decimal("12000.00"), "purchase", datetime(2024, 12, 21, 10), None, None)
    assert rows == [(*stored, answer["SequenceNumber"])]
    raised = (
        "large_amount:txn123",
        "large_amount",
        "txn123",
        Decimal("12000.00"),
        datetime(2024, 12, 21, 10),
    )
    assert alerts == [raised]
    published = json.loads(message["Message"])
    assert message["Type"] == "Notification"
    assert message["Subject"] == "Alert large_amount: 12000.00, transaction txn123"
    assert {name: published[name] for name in ("alert_id", "rule", "transaction_id", "amount")} == {
        "alert_id": "large_amount:txn123",
        "rule": "large_amount",
        "transaction_id": "txn123",
        "amount": 12000.00,
    }
    assert messages_in(pipeline, queue, wait_s=1) == []
    assert alerts_of(pipeline) == [raised]


def test_the_same_event_again_changes_nothing(pipeline: Pipeline, queue: str) -> None:
    """It is another record, of the same transaction."""
    put = ("--stream-name", "TransactionStream", "--partition-key", "1", "--data")
    aws(pipeline, "kinesis", "put-record", *put, TUTORIAL_EVENT.decode())
    marker = TUTORIAL_EVENT.replace(b"txn123", b"txn124").decode()
    aws(pipeline, "kinesis", "put-record", *put, marker)

    message = eventually(lambda: messages_in(pipeline, queue), "message")[0]
    assert json.loads(message["Message"])["alert_id"] == "large_amount:txn124"
    eventually(lambda: count(pipeline, "alerts", "txn124"), "alert")
    assert [count(pipeline, table, "txn123") for table in ("transactions", "alerts")] == [1, 1]


def test_psql_sees_what_was_stored(pipeline: Pipeline, queue: str) -> None:
    if shutil.which("psql") is None:
        pytest.skip("psql is not installed here")
    eventually(lambda: count(pipeline, "transactions", "txn123"), "row")
    columns = 'transaction_id, amount, transaction_type, "timestamp"'
    printed = run(
        pipeline,
        "psql",
        "-X",
        "-At",
        "-c",
        f"SELECT {columns} FROM transactions WHERE transaction_id = 'txn123'",
    )
    assert printed == "txn123|12000.00|purchase|2024-12-21 10:00:00\n"


def alerts_of(pipeline: Pipeline) -> list[tuple[Any, ...]]:
    """The stored alerts of the tutorial's event."""
    columns = "alert_id, rule, transaction_id, amount, event_time"
    return pipeline.query(f"SELECT {columns} FROM alerts WHERE transaction_id = 'txn123'")


def count(pipeline: Pipeline, table: str, transaction_id: str) -> int:
    """Rows of a table for one transaction."""
    sql = f"SELECT COUNT(*) FROM {table} WHERE transaction_id = %s"
    return int(pipeline.query(sql, [transaction_id])[0][0])


def messages_in(pipeline: Pipeline, queue: str, wait_s: int = 0) -> list[dict[str, Any]]:
    """Takes every message out of the queue."""
    sqs = pipeline.cloud.client("sqs")
    got = sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10, WaitTimeSeconds=wait_s)
    messages = got.get("Messages", [])
    for message in messages:
        sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
    return [json.loads(message["Body"]) for message in messages]
