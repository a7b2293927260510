"""`txnpipe send` into a real stream: what arrives, how fast, and what a stop leaves.

These need a stream and a bucket only, so they make no pipeline.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.e2e.conftest import REGION, Cloud
from tests.e2e.pipelines import Pipeline, records_of
from tests.waiting import PATIENCE_S, eventually
from txnpipe.errors import ExitCode
from txnpipe.local.part import ACCOUNT
from txnpipe.names import Names
from txnpipe.transactions import parse


class Channel(Pipeline):
    """A stream and a bucket under a pipeline's names."""

    def __init__(self, cloud: Cloud, name: str, shards: int) -> None:
        super().__init__(cloud, name)
        self.names = Names(name, ACCOUNT, REGION)
        self.since = datetime.now(UTC)
        self.kinesis = cloud.client("kinesis")
        self.kinesis.create_stream(StreamName=self.names.stream, ShardCount=shards)
        cloud.client("s3").create_bucket(Bucket=self.names.bucket)
        self.kinesis.get_waiter("stream_exists").wait(StreamName=self.names.stream, WaiterConfig={"Delay": 1})

    def events(self, run_id: str) -> list[dict[str, Any]]:
        """Everything since `since` that belongs to a run, shard by shard in order."""
        found = []
        for record in self.records():
            event = json.loads(record["Data"])
            assert record["PartitionKey"] == event.get("account_id", event["transaction_id"])
            parse(record["Data"])
            if event["run_id"] == run_id:
                found.append(event)
        return found

    def records(self) -> Iterator[dict[str, Any]]:
        """What came since `since`, shard by shard in order."""
        return records_of(self.kinesis, self.names.stream, self.since)

    def ids(self, run_id: str) -> list[str]:
        """The transaction ids of a run, as often as they are in the stream."""
        return [event["transaction_id"] for event in self.events(run_id)]


def expected_ids(run_id: str, count: int) -> list[str]:
    return [f"{run_id}-{index:09d}" for index in range(count)]


@pytest.fixture(scope="module")
def shared_channel(cloud: Cloud) -> Iterator[Channel]:
    made = Channel(cloud, "sending", 2)
    yield made
    made.kinesis.delete_stream(StreamName=made.names.stream)


@pytest.fixture
def channel(shared_channel: Channel) -> Channel:
    """The module's channel; a test reads only what came since it began."""
    shared_channel.since = datetime.now(UTC)
    return shared_channel


def test_every_transaction_is_in_the_stream_once(channel: Channel) -> None:
    sent = channel.run("send", "--count", "2500", "--seed", "7")
    assert sent["all_acknowledged"]
    assert sent["acknowledged"] == 2500
    assert sorted(channel.ids(sent["run_id"])) == expected_ids(sent["run_id"], 2500)


def test_the_same_command_again_is_another_run_with_the_same_amounts(channel: Channel) -> None:
    one, other = (channel.run("send", "--count", "300", "--seed", "3") for _ in range(2))
    assert one["run_id"] != other["run_id"]
    amounts = [
        [
            event["amount"]
            for event in sorted(channel.events(run["run_id"]), key=lambda e: e["transaction_id"])
        ]
        for run in (one, other)
    ]
    assert amounts[0] == amounts[1]


def test_the_rate_is_not_exceeded(channel: Channel) -> None:
    sent = channel.run("send", "--count", "900", "--rate", "300")
    assert sent["records_per_second"] < 320
    assert sent["throttled"] == 0


def test_a_shards_limit_slows_the_sender_down_and_does_not_storm_it(channel: Channel) -> None:
    sent = channel.run("send", "--count", "16000")
    # The first second's burst of each shard comes on top of 1,000 a second.
    assert sent["records_per_second"] < 1.5 * 2000
    assert sent["throttled"] < 0.2 * sent["attempts"]


SLOWLY = ("--rate", "200")
"""A rate is no part of what a run is. At this one it does not end before a test has looked at it."""


def begin(channel: Channel, *arguments: str) -> subprocess.Popen[str]:
    """Starts a send and waits until its run has a marker with some progress."""
    process = channel.begin(*arguments)
    s3 = channel.cloud.client("s3")

    def progressed() -> bool:
        for entry in s3.list_objects_v2(Bucket=channel.names.bucket, Prefix="runs/").get("Contents", ()):
            if entry["Key"].endswith("progress.json"):
                body = s3.get_object(Bucket=channel.names.bucket, Key=entry["Key"])["Body"].read()
                marker = json.loads(body)
                if marker["pid"] == process.pid and marker["next_index"] > 0:
                    return True
        return False

    eventually(progressed, "progress")
    assert process.poll() is None
    return process


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_the_same_command_continues_a_stopped_run(channel: Channel, how: signal.Signals) -> None:
    command = ("send", "--count", "6000", "--seed", str(100 + how))
    process = begin(channel, *command, *SLOWLY)
    process.send_signal(how)
    _, errors = process.communicate(timeout=PATIENCE_S)
    if how is signal.SIGINT:
        assert process.returncode == ExitCode.INTERRUPTED
        assert "the same command continues it" in errors
        assert "txnpipe send --resume " in errors
    result = channel.cloud.run(*command, "--pipeline", channel.name, "--json", check=True)
    assert "Continuing run" in result.stderr
    sent = json.loads(result.stdout)
    assert sent["acknowledged"] < 6000
    assert sorted(set(channel.ids(sent["run_id"]))) == expected_ids(sent["run_id"], 6000)


def test_resume_continues_the_run_that_it_names(channel: Channel) -> None:
    process = begin(channel, "send", "--count", "3000", "--seed", "77", *SLOWLY)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=PATIENCE_S)
    run_id = errors.partition("--resume ")[2].partition(";")[0].strip()
    assert channel.run("send", "--count", "10")["run_id"] != run_id
    refused = channel.cloud.run("send", "--resume", run_id, "--seed", "78", "--pipeline", channel.name)
    assert refused.returncode == ExitCode.USAGE
    assert "--seed is not what the run" in refused.stderr
    sent = channel.run("send", "--resume", run_id)
    assert (sent["run_id"], sent["count"]) == (run_id, 3000)
    assert sorted(set(channel.ids(run_id))) == expected_ids(run_id, 3000)
    again = channel.cloud.run("send", "--resume", run_id, "--pipeline", channel.name)
    assert again.returncode == ExitCode.USAGE
    assert "nothing left to send" in again.stderr


def test_a_run_that_is_at_work_is_not_resumed(channel: Channel) -> None:
    process = begin(channel, "send", "--duration", "60s", "--rate", "100", "--seed", "79")
    run_id = channel.run("runs", "--limit", "1")["runs"][0]["run_id"]
    refused = channel.cloud.run("send", "--resume", run_id, "--pipeline", channel.name)
    process.kill()
    process.communicate()
    assert refused.returncode == ExitCode.CONFLICT
    assert f"process {process.pid}" in refused.stderr


def test_a_run_without_a_count_has_every_record_up_to_its_end(channel: Channel) -> None:
    process = begin(channel, "send", "--duration", "8s", "--seed", "80")
    process.kill()
    process.communicate()
    sent = channel.run("send", "--duration", "8s", "--seed", "80")
    ids = channel.ids(sent["run_id"])
    assert sorted(set(ids)) == expected_ids(sent["run_id"], sent["count"])
    stored = channel.run("runs", "show", sent["run_id"])
    assert stored["manifest"]["count"] is None
    assert stored["result"]["count"] == sent["count"]
    assert stored["result"]["sending_s"] >= 8.0


def test_new_leaves_the_stopped_run_alone(channel: Channel) -> None:
    command = ("send", "--count", "6000", "--seed", "55")
    process = begin(channel, *command, *SLOWLY)
    process.kill()
    process.communicate()
    result = channel.cloud.run(*command, "--new", "--pipeline", channel.name, "--json", check=True)
    assert "Continuing" not in result.stderr
    assert json.loads(result.stdout)["acknowledged"] == 6000


CSV = """transaction_id,amount,transaction_type,timestamp,account_id,merchant
c-1,12.50,purchase,2026-01-02T03:04:05Z,a-1,"Smith, Sons"
c-2,not a number,purchase,2026-01-02T03:04:05Z,a-1,
c-3,7,refund,2026-01-02T03:04:05+01:00,,Café
"""


def test_a_csv_file_is_sent_and_its_bad_lines_are_named(channel: Channel) -> None:
    (channel.cloud.work / "in.csv").write_text(CSV, encoding="utf-8")
    sent = channel.run("send", "--file", "in.csv", code=ExitCode.DIFFERENCE)
    assert (sent["count"], sent["invalid"]) == (2, 1)
    assert [(each["line"], each["reason"]) for each in sent["invalid_lines"]] == [(3, "invalid_amount")]
    events = {event["transaction_id"]: event for event in channel.events(sent["run_id"])}
    assert events["c-1"]["merchant"] == "Smith, Sons"
    assert events["c-3"]["timestamp"] == "2026-01-02T02:04:05Z"
    assert set(events) == {"c-1", "c-3"}


def test_a_bad_line_stops_the_run_and_once_mended_it_goes_on(channel: Channel) -> None:
    place = channel.cloud.work / "mended.csv"
    place.write_text(CSV, encoding="utf-8")
    command = ("send", "--file", "mended.csv", "--on-error", "stop", "--partition-key", "transaction_type")
    stopped = channel.run(*command, code=ExitCode.DIFFERENCE)
    assert (stopped["acknowledged"], stopped["finished"]) == (1, False)
    assert (stopped["stopped_at"]["line"], stopped["stopped_at"]["reason"]) == (3, "invalid_amount")
    place.write_text(CSV.replace("not a number", "8"), encoding="utf-8")
    sent = channel.run("send", "--resume", stopped["run_id"], "--file", "mended.csv")
    assert (sent["run_id"], sent["count"], sent["invalid"], sent["lines"], sent["blank"]) == (
        stopped["run_id"], 3, 0, 4, 1,
    )  # fmt: skip
    keys = {
        json.loads(record["Data"])["transaction_id"]: record["PartitionKey"]
        for record in channel.records()
        if sent["run_id"].encode() in record["Data"]
    }
    assert keys == {"c-1": "purchase", "c-2": "purchase", "c-3": "refund"}


def test_an_input_that_holds_nothing_leaves_no_run(channel: Channel) -> None:
    before = channel.run("runs")["runs"]
    (channel.cloud.work / "empty.jsonl").write_bytes(b"")
    sent = channel.run("send", "--file", "empty.jsonl")
    assert (sent["run_id"], sent["count"]) == (None, 0)
    assert channel.run("runs")["runs"] == before


def test_standard_input_is_sent_while_it_is_written(channel: Channel) -> None:
    line = (
        '{"transaction_id":"live-%d","amount":1,"transaction_type":"purchase",'
        '"timestamp":"2026-01-02T03:04:05Z"}\n'
    )
    process = channel.begin("send", "--file", "-", stdin=subprocess.PIPE)
    assert process.stdin is not None
    process.stdin.write(line % 1)
    process.stdin.flush()

    def arrived() -> bool:
        return any(b'"live-1"' in record["Data"] for record in channel.records())

    eventually(arrived, "the first line in the stream", interval_s=0.5)
    assert process.poll() is None
    output, errors = process.communicate(line % 2, timeout=PATIENCE_S)
    assert process.returncode == 0, errors
    sent = json.loads(output)
    assert channel.ids(sent["run_id"]).count("live-1") == 1
    assert sorted(channel.ids(sent["run_id"])) == ["live-1", "live-2"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--count", "-1"), "--count is -1"),
        (("--count", "0"), "--count is 0"),
        (("--count", "many"), "valid integer"),
        (("--rate", "0"), "--rate is 0"),
        (("--seed", "-5"), "--seed is -5"),
        (("--file", "nowhere.jsonl"), "'nowhere.jsonl' cannot be read"),
        (("--file", "."), "cannot be read"),
        (("--file", "x.csv", "--count", "5"), "--file sends what is in the file"),
        (("--file", "twice.csv"), "names the column 'amount' twice"),
        (("--resume", "20000101T000000-000000"), "There is no run 20000101T000000-000000"),
    ],
)
def test_bad_input_is_a_sentence_and_a_fix(channel: Channel, arguments: tuple[str, ...], words: str) -> None:
    (channel.cloud.work / "twice.csv").write_text("transaction_id,amount,amount\n")
    result = channel.cloud.run("send", *arguments, "--pipeline", channel.name)
    assert result.returncode == (ExitCode.NOT_FOUND if "--resume" in arguments else ExitCode.USAGE)
    assert words in result.stderr
    assert "fix:" in result.stderr


@pytest.mark.parametrize("command", [("send",), ("verify",), ("scale", "--shards", "2")])
def test_without_a_pipeline_there_is_a_sentence_and_a_fix(cloud: Cloud, command: tuple[str, ...]) -> None:
    result = cloud.run(*command, "--pipeline", "nobodys")
    assert result.returncode == ExitCode.NOT_FOUND
    assert "txnpipe setup" in result.stderr


def test_verify_before_any_send_says_what_to_do(cloud: Cloud) -> None:
    empty = Channel(cloud, "unsent", 1)
    result = cloud.run("verify", "--pipeline", empty.name)
    assert result.returncode == ExitCode.NOT_FOUND
    assert "Nothing was sent" in result.stderr
    assert "txnpipe send" in result.stderr
    empty.kinesis.delete_stream(StreamName=empty.names.stream)


def test_it_works_without_a_terminal_and_without_a_home_directory(channel: Channel) -> None:
    variables = {name: value for name, value in channel.cloud.environment().items() if name != "HOME"}
    result = subprocess.run(
        [sys.executable, "-m", "txnpipe", "send", "--count", "10", "--pipeline", channel.name],
        env=variables,
        cwd=os.sep,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
    )
    assert result.returncode == 0, result.stderr
    assert "10 records acknowledged" in result.stdout
