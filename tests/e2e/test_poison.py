"""A thousand records, a hundred of them bad in more than twenty ways.

Every bad record becomes a reject with its reason, every good one a row, and alerts are raised for exactly
what is stored; neither a shard nor the analytics app stops for it.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.corpus.events import POISON, Case
from tests.e2e.pipelines import Pipeline
from tests.waiting import eventually
from txnpipe.config.settings import Settings
from txnpipe.packaging.rules import enabled_rules
from txnpipe.traffic.generator import Generator
from txnpipe.traffic.manifest import generated_run, new_run_id

GOOD_COUNT = 900
BAD_COUNT = 100
CALL_RECORDS = 100
STREAM = "TransactionStream"
APP = "TransactionAnalytics"

Key = tuple[str, str]
"""Shard and sequence number: what identifies a record."""
Record = tuple[str, bytes, Case | None]
"""Partition key and payload; the case of a bad one."""


@dataclass(frozen=True)
class Put:
    """What was put: the run of the good records, and every record's key with its case."""

    run_id: str
    keys: dict[Key, Case | None]
    jvm: int
    began: datetime

    @property
    def bad(self) -> dict[Key, Case]:
        return {key: case for key, case in self.keys.items() if case is not None}


@pytest.fixture(scope="module")
def put(pipeline: Pipeline) -> Put:
    """Puts the records, mixed, and waits until the last one, a good one, is stored."""
    now = datetime.now(UTC)
    run = generated_run(run_id=new_run_id(now), pipeline="default", count=GOOD_COUNT, seed=3, now=now)
    good: list[Record] = [(key, data, None) for key, data in Generator(run).records(0, GOOD_COUNT)]
    shuffle = random.Random(5)
    for n in range(BAD_COUNT):
        case = POISON[n % len(POISON)]
        # Among an account's good records, so that the rules which look at its history meet it.
        good.insert(shuffle.randrange(len(good)), (shuffle.choice(good)[0], case.data, case))
    jvm = jvm_of(pipeline)
    put = Put(run.run_id, send(pipeline.cloud.client("kinesis"), good), jvm, now.replace(tzinfo=None))
    eventually(
        lambda: len(rows(pipeline, put)) == GOOD_COUNT and len(rejects(pipeline, put)) == BAD_COUNT,
        f"{GOOD_COUNT} rows and {BAD_COUNT} rejects",
    )
    return put


def send(kinesis: Any, records: Sequence[Record]) -> dict[Key, Case | None]:
    """Puts everything, as often as the shard refuses it. Keys with the cases of the bad ones."""
    keys: dict[Key, Case | None] = {}
    for first in range(0, len(records), CALL_RECORDS):
        waiting = list(records[first : first + CALL_RECORDS])
        while waiting:
            entries = [{"PartitionKey": key, "Data": data} for key, data, _ in waiting]
            answers = kinesis.put_records(StreamName=STREAM, Records=entries)["Records"]
            refused = [
                record for record, answer in zip(waiting, answers, strict=True) if "ErrorCode" in answer
            ]
            keys |= {
                (answer["ShardId"], answer["SequenceNumber"]): case
                for (_, _, case), answer in zip(waiting, answers, strict=True)
                if "ErrorCode" not in answer
            }
            waiting = refused
    return keys


def rows(pipeline: Pipeline, put: Put) -> set[Key]:
    """The keys of the run's rows."""
    sql = "SELECT shard_id, sequence_number FROM transactions WHERE run_id = %s"
    return set(pipeline.query(sql, [put.run_id]))


def rejects(pipeline: Pipeline, put: Put) -> list[tuple[Key, str, str, int]]:
    """Key, reason, detail and size of every record that was put aside since it began."""
    found = pipeline.query(
        "SELECT shard_id, sequence_number, reason, detail, payload_bytes FROM rejected_transactions "
        "WHERE stored_at >= %s",
        [put.began],
    )
    return [((shard, sequence), reason, detail, size) for shard, sequence, reason, detail, size in found]


def jvm_of(pipeline: Pipeline) -> int:
    """The process that runs the analytics app."""
    processes = pipeline.run("local", "status")["processes"]
    return next(int(each["pid"]) for each in processes if each["name"] == f"flink {APP}")


def test_there_are_more_than_twenty_ways_to_be_bad() -> None:
    assert len(POISON) > 20
    assert len({case.reason for case in POISON}) > 10


def test_every_good_record_is_one_row(pipeline: Pipeline, put: Put) -> None:
    assert rows(pipeline, put) == put.keys.keys() - put.bad.keys()
    ids = "SELECT COUNT(*), COUNT(DISTINCT transaction_id) FROM transactions WHERE run_id = %s"
    assert pipeline.query(ids, [put.run_id]) == [(GOOD_COUNT, GOOD_COUNT)]


def test_every_bad_record_is_one_reject_with_its_reason(pipeline: Pipeline, put: Put) -> None:
    found = rejects(pipeline, put)

    assert {key: reason for key, reason, _, _ in found} == {key: case.reason for key, case in put.bad.items()}
    assert {key: size for key, _, _, size in found} == {key: len(case.data) for key, case in put.bad.items()}
    assert len(found) == BAD_COUNT
    assert all(detail for _, _, detail, _ in found)


def test_the_command_rejects_shows_them(pipeline: Pipeline, put: Put) -> None:
    shown = pipeline.run("rejects", "--limit", str(BAD_COUNT))

    assert Counter(each["reason"] for each in shown["rejects"]) == Counter(c.reason for c in put.bad.values())


def test_alerts_are_raised_for_exactly_what_is_stored(pipeline: Pipeline, put: Put) -> None:
    expected = {
        alert_id
        for rule in enabled_rules(Settings())
        for alert_id, _ in pipeline.query(
            rule.verify_sql.replace("%", "%%").replace(":run_id", "%(run_id)s"), {"run_id": put.run_id}
        )
    }
    assert {alert_id.partition(":")[0] for alert_id in expected} == {
        "large_amount",
        "velocity",
        "amount_spike",
    }

    def stored() -> list[str]:
        found = pipeline.query("SELECT alert_id FROM alerts WHERE stored_at >= %s", [put.began])
        return sorted(alert_id for (alert_id,) in found)

    eventually(lambda: len(stored()) >= len(expected), f"{len(expected)} alerts")
    assert stored() == sorted(expected)


def test_the_analytics_app_never_stopped(pipeline: Pipeline, put: Put) -> None:
    described = pipeline.cloud.client("kinesisanalyticsv2").describe_application(ApplicationName=APP)
    assert described["ApplicationDetail"]["ApplicationStatus"] == "RUNNING"
    assert jvm_of(pipeline) == put.jvm
    log = (pipeline.cloud.home.logs / f"flink-{APP}.log").read_text()
    assert "to RUNNING" in log
    assert "RESTARTING" not in log


def test_no_batch_failed_for_it(pipeline: Pipeline, put: Put) -> None:
    s3 = pipeline.cloud.client("s3")
    bucket = pipeline.run("status")["resources"][0]["name"]
    assert s3.list_objects_v2(Bucket=bucket, Prefix="aws/lambda/")["KeyCount"] == 0


def test_what_comes_after_the_poison_is_served(pipeline: Pipeline, put: Put) -> None:
    pipeline.run("send", "--count", "1000")
    pipeline.prove(1000)
