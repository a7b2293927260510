"""Batches that Lambda gave up on: named by `verify`, shown, handed over again, also across a kill; discarded.

The loader may not insert, and the topic is away: every batch of transactions and of alerts to be published
fails at once. Once both are mended, `redrive` alone must make the run whole.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from tests.e2e.conftest import REGION, Cloud
from tests.e2e.pipelines import Pipeline
from tests.waiting import eventually
from txnpipe.errors import ExitCode
from txnpipe.local.part import ACCOUNT
from txnpipe.names import Names

NAME = "letters"
NAMES = Names(NAME, ACCOUNT, REGION)
COUNT = 1000
BATCH = 20
AT_ONCE = {
    "TXNPIPE_LOADER_BATCH_SIZE": str(BATCH),
    "TXNPIPE_LOADER_MAXIMUM_RETRY_ATTEMPTS": "0",
    "TXNPIPE_NOTIFIER_MAXIMUM_RETRY_ATTEMPTS": "0",
}


@dataclass(frozen=True)
class Failed:
    """A run of which no row is stored."""

    run_id: str
    letters: list[dict[str, Any]]


@pytest.fixture(scope="module")
def pipeline(cloud: Cloud) -> Iterator[Pipeline]:
    made = Pipeline(cloud, NAME)
    made.run("setup", environment=AT_ONCE)
    yield made
    made.run("teardown")


def letters(pipeline: Pipeline, function: str | None = None) -> list[dict[str, Any]]:
    """The failed batches, those of one function or all."""
    found: list[dict[str, Any]] = pipeline.run("dead-letters", "list", "--limit", "1000")["dead_letters"]
    return [each for each in found if function is None or each["function"] == function]


def records(found: list[dict[str, Any]]) -> int:
    return sum(int(each["records"]) for each in found)


def may_insert(pipeline: Pipeline, allowed: bool) -> None:
    """Breaks and mends the loader."""
    change = "GRANT INSERT ON transactions TO" if allowed else "REVOKE INSERT ON transactions FROM"
    pipeline.query(f"{change} txnpipe_loader; SELECT 1")


@contextmanager
def locked(pipeline: Pipeline, table: str) -> Iterator[None]:
    """Meanwhile whoever needs the table waits."""
    with closing(pipeline.connect()) as connection, connection, connection.cursor() as cursor:
        cursor.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")
        yield


def waiting(pipeline: Pipeline, table: str) -> int:
    """How many wait for the table."""
    sql = "SELECT COUNT(*) FROM pg_locks WHERE NOT granted AND relation = CAST(%s AS REGCLASS)"
    return int(pipeline.query(sql, [table])[0][0])


@pytest.fixture(scope="module")
def failed(pipeline: Pipeline) -> Failed:
    may_insert(pipeline, False)
    pipeline.cloud.client("sns").delete_topic(TopicArn=NAMES.topic_arn)
    run_id = pipeline.run("send", "--count", str(COUNT))["run_id"]
    eventually(
        lambda: records(letters(pipeline, NAMES.loader)) == COUNT,
        "failed batches of all transactions",
        120,
        interval_s=0.5,
    )
    # Alerts are stored, but nobody is told: each is in a batch of the notifier's as well.
    eventually(
        lambda: records(letters(pipeline, NAMES.notifier)) == pipeline.count("alerts") > 0,
        "failed batches of all alerts",
        60,
        interval_s=0.5,
    )
    return Failed(run_id, letters(pipeline))


def test_verify_names_them(pipeline: Pipeline, failed: Failed) -> None:
    proof = pipeline.run("verify", "--timeout", "1", code=ExitCode.DIFFERENCE)
    assert proof["rows"]["missing"]["count"] == COUNT
    assert proof["dead_letters"]["own"] == proof["dead_letters"]["batches"] == len(failed.letters)
    assert set(proof["dead_letters"]["own_keys"]) <= {each["key"] for each in failed.letters}
    told = pipeline.cloud.run("verify", "--timeout", "1", "--pipeline", NAME)
    assert proof["dead_letters"]["own_keys"][0].rpartition("/")[2] in told.stdout
    assert "txnpipe dead-letters redrive --all" in told.stderr


def test_one_is_shown_with_its_payload(pipeline: Pipeline, failed: Failed) -> None:
    letter = next(each for each in failed.letters if each["function"] == NAMES.loader)
    assert (letter["condition"], letter["error"]) == ("RetryAttemptsExhausted", "Unhandled")
    assert letter["records"] == letter["payloads_held"] <= BATCH
    shown = pipeline.cloud.run("dead-letters", "show", letter["key"], "--pipeline", NAME, check=True)
    assert shown.stdout.count('{"transaction_id":') == letter["records"]
    assert failed.run_id in shown.stdout


def test_a_dry_run_changes_nothing(pipeline: Pipeline, failed: Failed) -> None:
    told = pipeline.run("dead-letters", "redrive", "--all", "--dry-run")
    assert (told["records"], told["left"]) == (records(failed.letters), 0)
    assert {each["state"] for each in told["batches"]} == {"would send"}
    assert letters(pipeline) == failed.letters
    assert pipeline.count("transactions") == 0


def test_before_the_cause_is_mended_everything_is_left(pipeline: Pipeline, failed: Failed) -> None:
    told = pipeline.run("dead-letters", "redrive", "--all", code=ExitCode.DIFFERENCE)
    assert told["left"] == len(failed.letters)
    assert any("permission denied" in each["reason"] for each in told["batches"])
    assert letters(pipeline) == failed.letters


def test_redrive_makes_the_run_whole_also_across_a_kill(pipeline: Pipeline, failed: Failed) -> None:
    may_insert(pipeline, True)
    pipeline.run("setup", environment=AT_ONCE)
    queue = subscribe(pipeline.cloud)
    mended = pipeline.query("SELECT CURRENT_TIMESTAMP AT TIME ZONE 'UTC'")[0][0]

    first = next(each["key"] for each in failed.letters if each["function"] == NAMES.loader)
    assert pipeline.run("dead-letters", "redrive", first)["left"] == 0
    with locked(pipeline, "transactions"):
        process = pipeline.begin("dead-letters", "redrive", "--all")
        eventually(lambda: waiting(pipeline, "transactions"), "a batch that waits for the table")
        process.kill()
        process.communicate()
    left = letters(pipeline)
    assert 0 < len(left) < len(failed.letters)

    told = pipeline.run("dead-letters", "redrive", "--all")

    assert (told["records"], told["left"]) == (records(left), 0)
    assert letters(pipeline) == []
    proof = pipeline.prove(COUNT)
    assert proof["run_id"] == failed.run_id
    assert proof["dead_letters"]["batches"] == 0
    # Rows are where their records came, not where they were handed over.
    assert pipeline.query("SELECT COUNT(*) FROM transactions WHERE arrived_at >= %s", [mended]) == [(0,)]
    alerts = {alert_id for (alert_id,) in pipeline.query("SELECT alert_id FROM alerts")}
    assert published(pipeline.cloud, queue, len(alerts)) == alerts


def test_what_is_discarded_is_missing_by_name(pipeline: Pipeline, failed: Failed) -> None:
    may_insert(pipeline, False)
    run_id = pipeline.run("send", "--count", "30")["run_id"]
    eventually(lambda: records(letters(pipeline, NAMES.loader)) == 30, "failed batches", interval_s=0.5)
    before = letters(pipeline)
    may_insert(pipeline, True)

    asked = pipeline.cloud.run("dead-letters", "discard", "--all", "--pipeline", NAME)
    assert asked.returncode == ExitCode.REFUSED
    assert letters(pipeline) == before
    deleted = pipeline.run("dead-letters", "discard", "--all", "--yes")["deleted"]

    assert set(deleted) == {each["key"] for each in before}
    assert letters(pipeline) == []
    proof = pipeline.run("verify", "--timeout", "1", code=ExitCode.DIFFERENCE)
    assert proof["run_id"] == run_id
    assert proof["rows"]["missing"]["count"] == len(proof["rows"]["missing"]["ids"]) == 30
    assert failed.run_id != run_id


def subscribe(cloud: Cloud) -> str:
    """A queue that gets what is published; its URL."""
    sqs = cloud.client("sqs")
    url: str = sqs.create_queue(QueueName=f"{NAME}-published")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    cloud.client("sns").subscribe(
        TopicArn=NAMES.topic_arn,
        Protocol="sqs",
        Endpoint=arn,
        Attributes={"RawMessageDelivery": "true"},
    )
    return url


def published(cloud: Cloud, queue: str, count: int) -> set[str]:
    """The alert_ids that the queue got, once there are so many."""
    sqs = cloud.client("sqs")
    found: set[str] = set()

    def enough() -> bool:
        for message in sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10).get("Messages", []):
            found.add(json.loads(message["Body"])["alert_id"])
        return len(found) >= count

    eventually(enough, f"{count} alerts at the subscriber")
    return found
