"""One `send`, from the choice of the run to its result."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import BinaryIO

from botocore.exceptions import BotoCoreError

from txnpipe.errors import TxnpipeError
from txnpipe.traffic.dispatch import Outgoing
from txnpipe.traffic.generator import Generator
from txnpipe.traffic.manifest import Manifest, utc_now
from txnpipe.traffic.runs import Marker, RunResult, RunStore, at_work, this_process
from txnpipe.traffic.sender import CHUNK, Progress, Sender
from txnpipe.traffic.spool import InputSource
from txnpipe.traffic.stream import Stream

CONSIDERED_RUNS = 20
"""An unfinished run is looked for among this many newest ones."""


@dataclass(frozen=True)
class Job:
    """A run to send, and how far an earlier attempt got (None: there was none)."""

    manifest: Manifest
    earlier: Marker | None

    @property
    def start(self) -> int:
        """The first index that is not known to be acknowledged."""
        return self.earlier.next_index if self.earlier else 0


@dataclass(frozen=True)
class Sent:
    """How a `send` ended. result is None where records remain unacknowledged; then given_up names them."""

    manifest: Manifest
    progress: Progress
    result: RunResult | None
    given_up: tuple[int, ...]


def choose(store: RunStore, wanted: Manifest, *, new: bool = False) -> Job:
    """Continues the unfinished run of the same command, or stores `wanted` as a new one.

    A run that another process still works on is left to it.
    """
    if not new:
        for run_id in store.ids()[:CONSIDERED_RUNS]:
            found = _unfinished_twin(store, run_id, wanted)
            if found:
                return found
    store.create(wanted)
    return Job(wanted, None)


def _unfinished_twin(store: RunStore, run_id: str, wanted: Manifest) -> Job | None:
    with suppress(TxnpipeError):  # a manifest that this version cannot read is nobody's twin
        manifest = store.manifest(run_id)
        if manifest.same_work(wanted) and store.result(run_id) is None:
            stored = store.marker(run_id)
            if stored is None or not at_work(stored):
                return Job(manifest, stored.marker if stored else None)
    return None


def send(
    store: RunStore,
    stream: Stream,
    job: Job,
    *,
    rate: float | None = None,
    workers: int | None = None,
    source: BinaryIO | None = None,
    report: Callable[[Progress], None] | None = None,
    now: Callable[[], datetime] = utc_now,
) -> Sent:
    """Sends a job's remaining records. `source` is the input of an input run.

    Raises TxnpipeError and KeyboardInterrupt; in every case the progress is kept, and `choose` finds it.
    """
    records = _records(store, job, source)
    keeper = _Keeper(store, job, records, now)
    keeper.write(None)
    listeners = (keeper.heard, report or _unheard)

    def heard(progress: Progress) -> None:
        for listener in listeners:
            listener(progress)

    sender = Sender(stream, stream.open_shards(), start=job.start, workers=workers, rate=rate, report=heard)
    progress = sender.run(iter(records))
    if progress.given_up:
        return Sent(job.manifest, progress, None, progress.given_up)
    result = keeper.result(progress)
    store.write_result(result)
    return Sent(job.manifest, progress, result, ())


class GeneratedSource:
    """The records of a synthetic run, from `start` on."""

    def __init__(self, manifest: Manifest, start: int) -> None:
        self._generator = Generator(manifest)
        self._start = start
        self._count = manifest.count or 0

    def __iter__(self) -> Iterator[Sequence[Outgoing]]:
        record = self._generator.record
        for first in range(self._start, self._count, CHUNK):
            yield [(index, *record(index)) for index in range(first, min(first + CHUNK, self._count))]


def _records(store: RunStore, job: Job, source: BinaryIO | None) -> GeneratedSource | InputSource:
    manifest = job.manifest
    if manifest.source == "generated":
        return GeneratedSource(manifest, job.start)
    if source is None:
        raise ValueError("an input run needs its input")
    return InputSource(store, manifest.run_id, source, manifest.input_format or "json", start=job.start)


class _Keeper:
    """Writes the progress marker and, at the end, makes the result."""

    def __init__(
        self, store: RunStore, job: Job, records: GeneratedSource | InputSource, now: Callable[[], datetime]
    ) -> None:
        self._store = store
        self._job = job
        self._records = records
        self._now = now
        self._started_at = job.earlier.started_at if job.earlier else now()
        self._process = this_process()
        self._writing = threading.Lock()

    def heard(self, progress: Progress) -> None:
        """Keeps the progress. A marker that cannot be written now is written a second later."""
        with self._writing, suppress(TxnpipeError, BotoCoreError):
            self.write(progress)

    def write(self, progress: Progress | None) -> None:
        """Writes the marker."""
        earlier = self._job.earlier
        host, pid, pid_started = self._process
        self._store.write_marker(
            Marker(
                run_id=self._job.manifest.run_id,
                next_index=progress.watermark if progress else self._job.start,
                acknowledged=self._job.start + (progress.acknowledged if progress else 0),
                attempts=(earlier.attempts if earlier else 0) + (progress.attempts if progress else 0),
                throttled=(earlier.throttled if earlier else 0) + (progress.throttled if progress else 0),
                failed=(earlier.failed if earlier else 0) + (progress.failed if progress else 0),
                invalid=self._invalid(),
                started_at=self._started_at,
                written_at=self._now(),
                marks=(earlier.marks if earlier else {}) | (progress.marks if progress else {}),
                host=host,
                pid=pid,
                pid_started=pid_started,
            )
        )

    def result(self, progress: Progress) -> RunResult:
        """What is written once everything is acknowledged."""
        earlier = self._job.earlier
        head = self._records.head if isinstance(self._records, InputSource) else None
        return RunResult(
            run_id=self._job.manifest.run_id,
            count=head.end if head else self._job.manifest.count or 0,
            attempts=(earlier.attempts if earlier else 0) + progress.attempts,
            throttled=(earlier.throttled if earlier else 0) + progress.throttled,
            failed=(earlier.failed if earlier else 0) + progress.failed,
            invalid=head.invalid if head else 0,
            invalid_lines=head.invalid_lines if head else (),
            started_at=self._started_at,
            finished_at=self._now(),
            marks=(earlier.marks if earlier else {}) | progress.marks,
        )

    def _invalid(self) -> int:
        return self._records.head.invalid if isinstance(self._records, InputSource) else 0


def _unheard(progress: Progress) -> None:
    _ = progress
