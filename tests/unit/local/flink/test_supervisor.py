"""The supervisor: what it restarts, from what, and what it leaves behind."""

from __future__ import annotations

import os
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.waiting import eventually
from txnpipe.local.flink import supervisor as supervisors
from txnpipe.local.flink.code import CodeError
from txnpipe.local.flink.jvm import JobError
from txnpipe.local.flink.supervisor import Start, Supervisor, newest_checkpoint


@dataclass
class FakeJob:
    state: Path | None
    pid: int = 4711
    now: str = "RUNNING"
    killed: bool = False
    looks: int = 0
    """How often the supervisor asked for the status."""

    def status(self) -> str:
        self.looks += 1
        return self.now

    def savepoint(self, target: Path) -> Path:
        return target / "savepoint-1"

    def stop_with_savepoint(self, target: Path) -> Path:
        if self.now != "RUNNING":
            raise JobError("not now")
        self.now = "FINISHED"
        return target / "savepoint-1"

    def kill(self) -> None:
        self.killed = True


@dataclass
class Launcher:
    """Starts fake jobs; `failures` are raised by the next starts."""

    jobs: list[FakeJob] = field(default_factory=list)
    failures: list[Exception] = field(default_factory=list)
    first_status: str = "RUNNING"

    def __call__(self, state: Path | None, stopping: threading.Event) -> FakeJob:
        if self.failures:
            raise self.failures.pop(0)
        self.jobs.append(FakeJob(state, now=self.first_status))
        return self.jobs[-1]


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisors, "TICK_S", 0.005)
    monkeypatch.setattr(supervisors, "FIRST_PAUSE_S", 0.001)


@pytest.fixture
def launcher() -> Launcher:
    return Launcher()


@pytest.fixture
def supervised(launcher: Launcher, tmp_path: Path) -> Supervisor:
    return Supervisor("App", Start(launcher, tmp_path / "checkpoints", Path("/snapshot")))


def checkpoint(directory: Path, job: str, number: int, age_s: float = 0) -> Path:
    path = directory / "checkpoints" / job / f"chk-{number}"
    path.mkdir(parents=True)
    metadata = path / "_metadata"
    metadata.write_text("")
    moment = time.time() - age_s
    os.utime(metadata, (moment, moment))
    return path


def until_looked_at(job: FakeJob, times: int = 3) -> None:
    """Waits until the supervisor has looked at the job as it is now, and come back for the next look."""
    seen = job.looks
    eventually(lambda: job.looks > seen + times, "look at the job", interval_s=0.002)


def until_started(launcher: Launcher, jobs: int) -> None:
    eventually(lambda: len(launcher.jobs) == jobs, f"start number {jobs}", interval_s=0.002)


def watchers() -> list[str]:
    """Threads that keep the job of a test alive."""
    return [thread.name for thread in threading.enumerate() if thread.name == "flink-App"]


def test_a_first_start_restores_what_the_run_begins_with(supervised: Supervisor, launcher: Launcher) -> None:
    supervised.run()
    assert [job.state for job in launcher.jobs] == [Path("/snapshot")]
    assert supervised.pid == 4711
    supervised.kill()


@pytest.mark.parametrize("end", ["DEAD", "FAILED"])
def test_a_job_that_ends_is_started_again_from_its_newest_checkpoint(
    supervised: Supervisor, launcher: Launcher, tmp_path: Path, end: str
) -> None:
    supervised.run()
    checkpoint(tmp_path, "job-1", 1, age_s=5)
    newest = checkpoint(tmp_path, "job-1", 2)
    launcher.jobs[0].now = end
    until_started(launcher, 2)
    assert launcher.jobs[1].state == newest
    assert launcher.jobs[0].killed
    supervised.kill()


def test_a_job_that_flink_restarts_itself_is_left_alone(supervised: Supervisor, launcher: Launcher) -> None:
    supervised.run()
    launcher.jobs[0].now = "RESTARTING"
    until_looked_at(launcher.jobs[0])
    assert len(launcher.jobs) == 1
    supervised.kill()


def test_a_restart_is_tried_until_it_succeeds(supervised: Supervisor, launcher: Launcher) -> None:
    supervised.run()
    launcher.failures = [JobError("no memory"), CodeError("S3 is not there yet"), JobError("again")]
    launcher.jobs[0].now = "DEAD"
    until_started(launcher, 2)
    supervised.kill()


def test_a_first_start_is_tried_once_and_its_failure_told(supervised: Supervisor, launcher: Launcher) -> None:
    launcher.failures = [JobError("SQL is wrong")]
    with pytest.raises(JobError, match="SQL is wrong"):
        supervised.run()
    launcher.first_status = "FAILED"
    with pytest.raises(JobError, match="FAILED"):
        supervised.run()
    assert launcher.jobs[0].killed
    assert supervised.pid is None


def test_resume_does_not_wait_and_does_not_give_up(supervised: Supervisor, launcher: Launcher) -> None:
    launcher.failures = [CodeError("S3 is not there yet")]
    supervised.resume()
    eventually(lambda: supervised.pid, "job", interval_s=0.002)
    supervised.kill()


def test_after_a_stop_with_savepoint_nothing_is_started_again(
    supervised: Supervisor, launcher: Launcher, tmp_path: Path
) -> None:
    supervised.run()
    assert supervised.stop_with_savepoint(tmp_path) == tmp_path / "savepoint-1"
    assert watchers() == [], "nobody is left who could start it"
    assert len(launcher.jobs) == 1
    assert launcher.jobs[0].killed


def test_a_stop_that_fails_leaves_the_job_supervised(
    supervised: Supervisor, launcher: Launcher, tmp_path: Path
) -> None:
    supervised.run()
    launcher.jobs[0].now = "RESTARTING"
    with pytest.raises(JobError):
        supervised.stop_with_savepoint(tmp_path)
    launcher.jobs[0].now = "DEAD"
    until_started(launcher, 2)
    supervised.kill()


def test_between_two_jobs_there_is_no_savepoint(supervised: Supervisor, tmp_path: Path) -> None:
    with pytest.raises(JobError, match="started again"):
        supervised.savepoint(tmp_path)


def test_former_checkpoints_go_once_the_present_job_has_its_own(
    supervised: Supervisor, launcher: Launcher, tmp_path: Path
) -> None:
    former = checkpoint(tmp_path, "job-1", 7, age_s=5)
    supervised.run()
    assert launcher.jobs[0].state == former
    (tmp_path / "checkpoints" / "job-2").mkdir()
    until_looked_at(launcher.jobs[0])
    assert former.exists(), "the present job has no checkpoint yet"
    own = checkpoint(tmp_path, "job-3", 1)
    eventually(lambda: not former.exists(), "removal of former checkpoints", interval_s=0.002)
    assert own.exists()
    supervised.kill()


def test_a_checkpoint_without_metadata_is_not_complete(tmp_path: Path) -> None:
    complete = checkpoint(tmp_path, "job-1", 1, age_s=9)
    (tmp_path / "checkpoints" / "job-1" / "chk-2").mkdir()
    assert newest_checkpoint(tmp_path / "checkpoints") == complete
    assert newest_checkpoint(tmp_path / "nothing") is None


def test_a_checkpoint_that_flink_removes_meanwhile_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Flink keeps the newest one: it removes the others while they are looked at."""
    kept = checkpoint(tmp_path, "job-1", 2)
    removed = tmp_path / "checkpoints" / "job-1" / "chk-1" / "_metadata"
    monkeypatch.setattr(Path, "glob", lambda _directory, _pattern: iter([removed, kept / "_metadata"]))
    assert newest_checkpoint(tmp_path / "checkpoints") == kept
