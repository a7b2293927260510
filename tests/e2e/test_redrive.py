"""kill -9 of `txnpipe rejects redrive` in the middle of its work, and the same command again."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.e2e.pipelines import Pipeline, records_of
from tests.waiting import eventually
from txnpipe.errors import ExitCode
from txnpipe.local.part import ACCOUNT
from txnpipe.names import Names

COUNT = 700
"""More than one call carries: the first is answered, the second never is."""

_ONE_CALL = """
import threading
from txnpipe.__main__ import main
from txnpipe.traffic.stream import KinesisStream

put, first = KinesisStream.put, threading.Semaphore(1)

def put_once(stream, records):
    first.acquire()
    return put(stream, records)

KinesisStream.put = put_once
main()
"""
"""The program, whose second call to the stream waits for ever: it cannot end before it is killed."""


@pytest.fixture
def rejected(pipeline: Pipeline) -> str:
    """Records without a type, put aside by the loader; since when."""
    began = datetime.now(UTC).isoformat()
    names = Names(pipeline.name, ACCOUNT, "us-east-1")
    for first in range(0, COUNT, 100):
        put(pipeline, names.stream, [f"redriven-{n:03d}" for n in range(first, first + 100)])
    eventually(lambda: len(listed(pipeline, began)) == COUNT, f"{COUNT} rejects")
    return began


def put(pipeline: Pipeline, stream: str, ids: list[str]) -> None:
    """Puts records, which a shard with room takes at once."""
    waiting = [
        {
            "PartitionKey": id_,
            "Data": json.dumps({"transaction_id": id_, "amount": 5, "timestamp": "2026-01-02T03:04:05Z"}),
        }
        for id_ in ids
    ]
    while waiting:
        answers = pipeline.cloud.client("kinesis").put_records(StreamName=stream, Records=waiting)["Records"]
        waiting = [each for each, answer in zip(waiting, answers, strict=True) if "ErrorCode" in answer]


def listed(pipeline: Pipeline, began: str) -> list[Any]:
    found: list[Any] = pipeline.run("rejects", "--since", began, "--limit", "10000")["rejects"]
    return found


@pytest.fixture
def half_done(pipeline: Pipeline, rejected: str) -> Iterator[tuple[subprocess.Popen[str], tuple[str, ...]]]:
    """A redrive of which one call is acknowledged and kept, and no other can be; and its command."""
    command = (
        "rejects", "redrive", "--since", rejected, "--set", "transaction_type=purchase",
        "--pipeline", pipeline.name, "--json",
    )  # fmt: skip
    process = subprocess.Popen(
        [sys.executable, "-c", _ONE_CALL, *command],
        cwd=pipeline.cloud.work,
        env=pipeline.cloud.environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )

    def progressed() -> bool:
        assert process.poll() is None
        return any(
            run["source"] == "rejects" and run["acknowledged"] > 0
            for run in pipeline.run("runs", "--limit", "1")["runs"]
        )

    try:
        eventually(progressed, "progress")
        yield process, command
    finally:
        process.kill()
        process.communicate()


def test_a_killed_redrive_is_continued_by_the_same_command(
    pipeline: Pipeline, rejected: str, half_done: tuple[subprocess.Popen[str], tuple[str, ...]]
) -> None:
    process, command = half_done
    (run,) = pipeline.run("runs", "--limit", "1")["runs"]
    refused = pipeline.cloud.run(*command)
    assert refused.returncode == ExitCode.CONFLICT
    assert f"process {process.pid}" in refused.stderr

    process.kill()
    assert process.wait() == -signal.SIGKILL
    again = pipeline.cloud.run(*command, check=True)

    assert f"Continuing run {run['run_id']}" in " ".join(again.stderr.split())
    document = json.loads(again.stdout)
    assert (document["run_id"], document["continued"]) == (run["run_id"], True)
    assert (document["records"], document["unacknowledged"]) == (COUNT - run["acknowledged"], 0)
    made = [each for each in pipeline.run("runs")["runs"] if each["run_id"] >= run["run_id"]]
    assert [(each["run_id"], each["state"], each["count"]) for each in made] == [
        (run["run_id"], "finished", COUNT)
    ]
    proof = pipeline.run("verify", "--run", run["run_id"])
    assert proof["equal"]
    assert proof["rows"]["stored"] == COUNT
    since = datetime.fromisoformat(rejected)
    assert set(times_in_stream(pipeline, run["run_id"], since).values()) == {1}


def times_in_stream(pipeline: Pipeline, run_id: str, since: datetime) -> Counter[str]:
    """How often each transaction of a run is in the stream."""
    kinesis = pipeline.cloud.client("kinesis")
    stream = Names(pipeline.name, ACCOUNT, "us-east-1").stream
    payloads = (record["Data"] for record in records_of(kinesis, stream, since))
    found = Counter(json.loads(data)["transaction_id"] for data in payloads if run_id.encode() in data)
    assert len(found) == COUNT
    return found
