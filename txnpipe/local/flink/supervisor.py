"""Keeps the job of one running application alive.

A job that Flink restarts by itself is left alone. When its JVM dies, or the job ends although nobody stopped
it, it is started again from the newest checkpoint, with pauses that double up to half a minute and shrink
again once it has run for a while.
"""

from __future__ import annotations

import contextlib
import logging
import shutil
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from txnpipe.local.flink.code import CodeError
from txnpipe.local.flink.jvm import JobError, has_ended

log = logging.getLogger(__name__)

TICK_S = 0.5
FIRST_PAUSE_S = 0.2
LAST_PAUSE_S = 30.0
STABLE_AFTER_S = 60.0
"""A job that ran this long starts with the first pause again."""


class Job(Protocol):
    """A job in a JVM: what `txnpipe.local.flink.jvm.FlinkJob` is, and what tests stand in for."""

    @property
    def pid(self) -> int: ...

    def status(self) -> str: ...

    def savepoint(self, target: Path) -> Path: ...

    def stop_with_savepoint(self, target: Path) -> Path: ...

    def kill(self) -> None: ...


@dataclass(frozen=True)
class Start:
    """How to start the job.

    launch: takes what to restore from (None for an empty state) and an event that calls the start off.
    """

    launch: Callable[[Path | None, threading.Event], Job]
    checkpoints: Path
    restore_from: Path | None


class Supervisor:
    """The job of one application, from start to stop."""

    def __init__(
        self,
        name: str,
        start: Start,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._name = name
        self._start = start
        self._clock = clock
        self._job: Job | None = None
        self._lock = threading.RLock()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._former: list[Path] = []

    @property
    def pid(self) -> int | None:
        """Process id of the JVM, None between two."""
        job = self._job
        return job.pid if job else None

    def run(self) -> None:
        """Starts the job and returns when it runs. Raises JobError, CodeError; then nothing is left."""
        job = self._launch()
        with self._lock:
            if self._stopping.is_set():
                job.kill()
                raise JobError("The application was stopped while it started.")
            self._job = job
        self._watch_in_background()

    def resume(self) -> None:
        """Starts the job in the background, as often as it takes."""
        self._watch_in_background()

    def savepoint(self, target: Path) -> Path:
        """Writes a savepoint. Raises JobError where the job cannot write one now."""
        with self._lock:
            return self._running_job().savepoint(target)

    def stop_with_savepoint(self, target: Path) -> Path:
        """Stops the job with a savepoint. Raises JobError, and then the job goes on."""
        with self._lock:
            path = self._running_job().stop_with_savepoint(target)
            self._stopping.set()
        self.kill()
        return path

    def kill(self) -> None:
        """Ends the job and its JVM. Returns when both are gone."""
        self._stopping.set()
        with self._lock:
            if self._job:
                self._job.kill()
                self._job = None
        thread = self._thread
        if thread and thread is not threading.current_thread():
            thread.join(timeout=90)

    def newest_state(self) -> Path | None:
        """What a successor should be restored from."""
        return newest_checkpoint(self._start.checkpoints) or self._start.restore_from

    def _running_job(self) -> Job:
        if self._job is None:
            raise JobError("The job is being started again.")
        return self._job

    def _launch(self) -> Job:
        self._former = _jobs(self._start.checkpoints)
        job = self._start.launch(self.newest_state(), self._stopping)
        status = "INITIALIZING"
        try:
            while status not in ("RUNNING", "RESTARTING"):
                status = job.status()
                if has_ended(status):
                    raise JobError(f"The job is {status}; the application's log says why.")
                if self._stopping.wait(0.05):
                    raise JobError("The application was stopped while it started.")
        except JobError:
            job.kill()
            raise
        return job

    def _watch_in_background(self) -> None:
        self._thread = threading.Thread(target=self._watch, name=f"flink-{self._name}", daemon=True)
        self._thread.start()

    def _watch(self) -> None:
        pause = FIRST_PAUSE_S
        started = self._clock()
        while not self._stopping.is_set():
            if self._job is None:
                try:
                    job = self._launch()
                except (JobError, CodeError) as error:
                    log.warning("%s did not start: %s", self._name, error)
                    pause = self._rest(pause)
                    continue
                with self._lock:
                    if self._stopping.is_set():
                        job.kill()
                        return
                    self._job = job
                started = self._clock()
            self._stopping.wait(TICK_S)
            with self._lock:
                job_now = self._job
                if job_now is None or self._stopping.is_set():
                    return
                if has_ended(self._status(job_now)):
                    log.warning("the job of %s has ended; it is started again", self._name)
                    job_now.kill()
                    self._job = None
            if self._job is None:
                if self._clock() - started > STABLE_AFTER_S:
                    pause = FIRST_PAUSE_S
                pause = self._rest(pause)
            else:
                self._tidy()

    def _tidy(self) -> None:
        """Removes what former jobs left, once the present one has a checkpoint of its own.

        A restored job does not build on its predecessor's files (claim mode NO_CLAIM).
        """
        newest = newest_checkpoint(self._start.checkpoints) if self._former else None
        if newest and newest.parent not in self._former:
            for job in self._former:
                shutil.rmtree(job, ignore_errors=True)
            self._former = []

    def _status(self, job: Job) -> str:
        try:
            return job.status()
        except JobError as error:
            log.warning("the status of %s is not known: %s", self._name, error)
            return "UNKNOWN"

    def _rest(self, pause: float) -> float:
        self._stopping.wait(pause)
        return min(pause * 2, LAST_PAUSE_S)


def newest_checkpoint(directory: Path) -> Path | None:
    """The newest complete checkpoint below a directory of JOB/chk-N; Flink writes _metadata last."""
    complete: list[tuple[int, Path]] = []
    for path in directory.glob("*/chk-*/_metadata"):
        with contextlib.suppress(FileNotFoundError):  # Flink has just removed it for a newer one
            complete.append((path.stat().st_mtime_ns, path.parent))
    return max(complete)[1] if complete else None


def _jobs(checkpoints: Path) -> list[Path]:
    return list(checkpoints.iterdir()) if checkpoints.is_dir() else []
