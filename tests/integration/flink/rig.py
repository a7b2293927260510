"""The pipeline's Flink job on a Kinesis engine of its own, without the rest of the local cloud."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.integration.kinesis.server import Server, wait_active
from tests.waiting import eventually
from txnpipe.config import Settings
from txnpipe.local.flink import configuration as configurations
from txnpipe.local.flink.code import Code, split
from txnpipe.local.flink.connector.build import JAR
from txnpipe.local.flink.jvm import FlinkJob, JobPlan, launch
from txnpipe.local.flink.supervisor import Start, Supervisor
from txnpipe.names import Names
from txnpipe.packaging.analytics_zip import render_statements

NAMES = Names("default", "000000000000", "us-east-1")
OBSERVED = "Observed"
PATIENCE_S = 240.0
"""How long for a job to get somewhere: where a quick machine is busy, a JVM needs half a minute to start."""

OBSERVE = """
CREATE TEMPORARY TABLE observed (
    transaction_id STRING, amount STRING, transaction_type STRING, event_time STRING, account_id STRING,
    merchant STRING, country STRING, currency STRING, run_id STRING
) WITH (
    'connector' = 'kinesis', 'stream.arn' = '{arn}', 'aws.region' = 'us-east-1', 'format' = 'json',
    'sink.partitioner' = 'fixed', 'sink.flush-buffer.timeout' = '20'
);
INSERT INTO observed
SELECT transaction_id, CAST(amount AS STRING), transaction_type, CAST(event_time AS STRING), account_id,
    merchant, country, currency, run_id
FROM valid_transactions;
"""
"""Writes what the view accepts, before repeats are dropped, to a stream of its own."""


@dataclass
class Rig:
    """Kinesis, the job, and what a test wants to do with them."""

    directory: Path
    server: Server
    client: Any = None
    job: Supervisor | None = None
    serial: int = 0
    _iterators: dict[tuple[str, str], str | None] = field(default_factory=dict)
    _read: dict[str, list[Any]] = field(default_factory=dict)

    def create(self, stream: str, shards: int = 1) -> None:
        self.server.create(self.client, stream, shards)

    def supervise(self, statements: str, name: str = "job", **settings: Any) -> Supervisor:
        """A job of these statements, not started."""
        directory = self.directory / name
        checkpoints = directory / "checkpoints"
        checkpoints.mkdir(parents=True)
        configuration = configurations.completed(
            {
                "FlinkApplicationConfiguration": {
                    "CheckpointConfiguration": {
                        "ConfigurationType": "CUSTOM",
                        "CheckpointInterval": 500,
                        "MinPauseBetweenCheckpoints": 0,
                    },
                    "ParallelismConfiguration": {"ConfigurationType": "CUSTOM", **settings},
                }
            }
        )
        plan = JobPlan(
            name=name,
            code=Code(split(statements), JAR),
            configuration=configurations.flink_options(configuration, name, checkpoints),
            environment={
                "AWS_ACCESS_KEY_ID": "key",
                "AWS_SECRET_ACCESS_KEY": "secret",
                "AWS_ENDPOINT_URL": f"http://127.0.0.1:{self.server.port}",
            },
            directory=directory,
            log_file=directory / "flink.log",
            log_level="INFO",
            heap_mb=512,
        )

        def start(state: Path | None, stopping: threading.Event) -> FlinkJob:
            return launch(plan, state, stopping)

        return Supervisor(name, Start(start, checkpoints, None))

    def put(self, stream: str, records: Sequence[tuple[str, bytes]]) -> list[tuple[str, str]]:
        """Puts (partition key, data) in order, patiently; the shard and sequence number of each."""
        placed: dict[int, tuple[str, str]] = {}
        todo = list(range(len(records)))
        while todo:
            batch = _of_limited_size(todo, records)
            answer = self.client.put_records(
                StreamName=stream,
                Records=[{"PartitionKey": records[i][0], "Data": records[i][1]} for i in batch],
            )
            refused = []
            for index, result in zip(batch, answer["Records"], strict=True):
                if "SequenceNumber" in result:
                    placed[index] = (result["ShardId"], result["SequenceNumber"])
                else:
                    refused.append(index)
            todo = refused + todo[len(batch) :]
            if refused:
                time.sleep(0.2)
        return [placed[index] for index in range(len(records))]

    def open_shards(self, stream: str) -> list[dict[str, Any]]:
        shards = self.client.list_shards(StreamName=stream)["Shards"]
        return [s for s in shards if "EndingSequenceNumber" not in s["SequenceNumberRange"]]

    def reshard(self, stream: str, count: int) -> None:
        self.client.update_shard_count(
            StreamName=stream, TargetShardCount=count, ScalingType="UNIFORM_SCALING"
        )
        wait_active(self.client, stream)

    def read(self, stream: str) -> list[Any]:
        """Every record of a stream, decoded. Asks only for what is new: reads are limited, too."""
        found = self._read.setdefault(stream, [])
        for shard in self.client.list_shards(StreamName=stream)["Shards"]:
            key = (stream, shard["ShardId"])
            if key not in self._iterators:
                self._iterators[key] = self.client.get_shard_iterator(
                    StreamName=stream, ShardId=shard["ShardId"], ShardIteratorType="TRIM_HORIZON"
                )["ShardIterator"]
            while iterator := self._iterators[key]:
                try:
                    answer = self.client.get_records(ShardIterator=iterator)
                except self.client.exceptions.ProvisionedThroughputExceededException:
                    time.sleep(0.25)
                    continue
                self._iterators[key] = answer.get("NextShardIterator")
                found += [json.loads(record["Data"]) for record in answer["Records"]]
                if not answer["Records"]:
                    break
        return found

    def settle(self) -> None:
        """Returns when every transaction put so far has been through the job.

        One event above the threshold goes into each open shard; records of a shard are read in order, so its
        alert comes after theirs.
        """
        expected = set()
        for shard in self.open_shards(NAMES.stream):
            self.serial += 1
            transaction_id = f"end-{self.serial}"
            self.client.put_record(
                StreamName=NAMES.stream,
                PartitionKey="end",
                ExplicitHashKey=shard["HashKeyRange"]["StartingHashKey"],
                Data=event(transaction_id=transaction_id, amount=99_999),
            )
            expected.add(f"large_amount:{transaction_id}")
        self.wait_until(lambda: expected <= {a["alert_id"] for a in self.read(NAMES.alert_stream)})

    def alerts(self, run_id: str) -> list[dict[str, Any]]:
        """The alerts of a run, repeats included."""
        return [alert for alert in self.read(NAMES.alert_stream) if alert["run_id"] == run_id]

    def wait_until(self, condition: Callable[[], bool]) -> None:
        eventually(condition, "progress of the job", timeout_s=PATIENCE_S, interval_s=0.25)


def pipeline_statements(settings: Settings | None = None) -> str:
    """What the analytics app executes, and beside it what its view accepts."""
    arn = NAMES.arn("kinesis", f"stream/{OBSERVED}")
    return render_statements(settings or Settings(), NAMES, "us-east-1") + OBSERVE.format(arn=arn)


def event(**fields: Any) -> bytes:
    """A valid event with these fields."""
    plain = {
        "transaction_id": "t",
        "amount": 1,
        "transaction_type": "purchase",
        "timestamp": "2026-01-01T00:00:00Z",
    }
    return json.dumps({**plain, **fields}).encode()


def ids(alerts: Iterable[Mapping[str, Any]]) -> set[str]:
    return {str(alert["alert_id"]) for alert in alerts}


def _of_limited_size(indexes: Sequence[int], records: Sequence[tuple[str, bytes]]) -> list[int]:
    batch: list[int] = []
    size = 0
    for index in indexes[:500]:
        size += len(records[index][1])
        if batch and size > 4_000_000:
            break
        batch.append(index)
    return batch
