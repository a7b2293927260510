"""What is told of past runs, from what lies in the bucket."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest

from tests.unit.traffic.fakes import FakeS3, target_with
from txnpipe.traffic.history import FINISHED, SENDING, UNFINISHED, UNREADABLE, PastRun, newest_runs, past_run
from txnpipe.traffic.manifest import generated_run, input_run
from txnpipe.traffic.runs import ALIVE_FOR_S, Marker, RunResult, RunStore

NOW = datetime(2026, 11, 24, 5, 31, 12, tzinfo=UTC)
RUN = "20261124T053112-4f9a1c"


@dataclass
class Bucket:
    """A bucket with a clock."""

    now: datetime = NOW
    s3: FakeS3 = field(init=False)
    store: RunStore = field(init=False)

    def __post_init__(self) -> None:
        self.s3 = FakeS3(lambda: self.now)
        self.store = RunStore(target_with(s3=self.s3), "b")

    def generated(self, run_id: str = RUN) -> None:
        self.store.create(
            generated_run(run_id=run_id, pipeline="default", count=3000, seed=7, now=NOW, rate=500)
        )

    def progress(self, acknowledged: int) -> None:
        """A marker of another machine, ten seconds after the beginning."""
        self.store.write_marker(
            Marker(
                run_id=RUN,
                next_index=acknowledged,
                acknowledged=acknowledged,
                attempts=acknowledged,
                throttled=0,
                failed=0,
                invalid=0,
                started_at=NOW,
                written_at=NOW + timedelta(seconds=10),
                marks={"shardId-000000000000": "49"},
                host="another machine",
                pid=1,
                pid_started="1",
            )
        )

    def finish(self, count: int) -> None:
        self.store.write_result(
            RunResult(
                run_id=RUN,
                count=count,
                attempts=count,
                throttled=0,
                failed=0,
                invalid=2,
                invalid_lines=(),
                started_at=NOW,
                finished_at=NOW + timedelta(seconds=20),
                marks={"shardId-000000000000": "49"},
            )
        )

    def run(self) -> PastRun:
        return past_run(self.store, RUN)


@pytest.fixture
def bucket() -> Bucket:
    return Bucket()


def test_a_run_that_was_killed_before_its_first_record(bucket: Bucket) -> None:
    bucket.generated()
    run = bucket.run()
    assert (run.state, run.source, run.count, run.acknowledged) == (UNFINISHED, "synthetic", 3000, 0)
    assert (run.started_at, run.seconds, run.rate) == (NOW, None, None)


def test_a_run_that_is_being_sent_is_unfinished_once_its_marker_grows_old(bucket: Bucket) -> None:
    bucket.generated()
    bucket.progress(1000)
    run = bucket.run()
    assert (run.state, run.count, run.acknowledged) == (SENDING, 3000, 1000)
    assert (run.seconds, run.rate) == (10.0, 100.0)
    bucket.now += timedelta(seconds=ALIVE_FOR_S + 1)
    assert bucket.run().state == UNFINISHED


def test_a_finished_run_tells_its_rate_and_not_its_last_marker(bucket: Bucket) -> None:
    bucket.generated()
    bucket.progress(1000)
    bucket.finish(3000)
    run = bucket.run()
    assert (run.state, run.acknowledged, run.seconds, run.rate) == (FINISHED, 3000, 20.0, 150.0)
    assert run.marker is None
    assert run.result is not None
    assert run.result.marks == {"shardId-000000000000": "49"}


@pytest.mark.parametrize(("name", "source"), [("-", "standard input"), ("/data/in.jsonl", "file")])
def test_the_length_of_an_input_is_known_at_its_end(bucket: Bucket, name: str, source: str) -> None:
    bucket.store.create(input_run(run_id=RUN, pipeline="default", input_name=name, now=NOW))
    bucket.progress(1000)
    assert (bucket.run().source, bucket.run().count, bucket.run().acknowledged) == (source, None, 1000)
    bucket.finish(1234)
    assert (bucket.run().count, bucket.run().acknowledged) == (1234, 1234)


@pytest.mark.parametrize("damage", ["manifest", "progress", "result"])
def test_what_is_damaged_is_unreadable_and_says_so(bucket: Bucket, damage: str) -> None:
    bucket.generated()
    bucket.s3.put_object(Bucket="b", Key=f"runs/{RUN}/{damage}.json", Body=b"{")
    assert bucket.run().state == UNREADABLE
    assert "cannot be read" in bucket.run().problem


def test_a_run_without_a_manifest_and_one_of_a_newer_version_are_unreadable(bucket: Bucket) -> None:
    bucket.s3.put_object(Bucket="b", Key=f"runs/{RUN}/input/000000.jsonl", Body=b"")
    assert (bucket.run().state, bucket.run().problem) == (UNREADABLE, "It has no manifest.")
    bucket.s3.put_object(Bucket="b", Key=f"runs/{RUN}/manifest.json", Body=b'{"version": 99}')
    assert "has version 99" in bucket.run().problem


def test_the_newest_come_first_and_one_bad_run_hides_no_other(bucket: Bucket) -> None:
    bucket.generated(RUN)
    for day in (22, 23, 25):
        bucket.generated(f"202611{day}T000000-000000")
    bucket.s3.put_object(Bucket="b", Key="runs/20261125T000000-000000/manifest.json", Body=b"")
    found = newest_runs(bucket.store, 3)
    assert [(run.run_id, run.state) for run in found] == [
        ("20261125T000000-000000", UNREADABLE),
        (RUN, UNFINISHED),
        ("20261123T000000-000000", UNFINISHED),
    ]
