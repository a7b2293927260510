"""One `send`, from the choice of the run to its result."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import BinaryIO

from botocore.exceptions import BotoCoreError

from txnpipe.errors import ExitCode, TxnpipeError, usage_error
from txnpipe.traffic.manifest import Manifest, OnError, utc_now
from txnpipe.traffic.rates import Rate
from txnpipe.traffic.runs import Marker, Rejected, RunResult, RunStore, at_work, this_process
from txnpipe.traffic.sender import Progress, Sender
from txnpipe.traffic.sources import GeneratedSource
from txnpipe.traffic.spool import InputSource
from txnpipe.traffic.stream import Stream

CONSIDERED_RUNS = 20
"""An unfinished run is looked for among this many newest ones."""
TIMED_BACKLOG = 1000
"""Waiting records per shard of a run that only its duration ends: what waits then is still sent, a second's
worth at the shard's limit."""


@dataclass(frozen=True)
class Job:
    """A run to send, and how far an earlier attempt got (None: there was none).

    rate, on_error: of this attempt; they are no part of what the run is. stored: whether the manifest is in
    the bucket; that of an input run is written with its first record.
    """

    manifest: Manifest
    earlier: Marker | None
    rate: Rate | None = None
    on_error: OnError = "skip"
    stored: bool = True

    @property
    def start(self) -> int:
        """The first index that is not known to be acknowledged."""
        return self.earlier.next_index if self.earlier else 0

    @property
    def remaining_s(self) -> float | None:
        """Seconds that are left of the manifest's duration; time between attempts does not count."""
        if self.manifest.duration_s is None:
            return None
        return max(self.manifest.duration_s - (self.earlier.sending_s if self.earlier else 0.0), 0.0)


@dataclass(frozen=True)
class Sent:
    """How a `send` ended. result is None where the run is unfinished: records remain unacknowledged, which
    given_up names, or reading ended at the bad line `stopped`. stored: whether there is a run; an input
    without any record makes none."""

    manifest: Manifest
    progress: Progress
    result: RunResult | None
    given_up: tuple[int, ...] = ()
    stopped: Rejected | None = None
    stored: bool = True


def choose(store: RunStore, wanted: Manifest, *, new: bool = False) -> Job:
    """Continues the unfinished run of the same command, or makes `wanted` a new one.

    A run that another process still works on is left to it.
    """
    if not new:
        for run_id in store.ids()[:CONSIDERED_RUNS]:
            found = _unfinished_twin(store, run_id, wanted)
            if found:
                return found
    stored = wanted.source == "generated"
    if stored:
        store.create(wanted)
    return Job(wanted, None, wanted.pacing, wanted.on_error, stored=stored)


def _unfinished_twin(store: RunStore, run_id: str, wanted: Manifest) -> Job | None:
    with suppress(TxnpipeError):  # a manifest that this version cannot read is nobody's twin
        manifest = store.manifest(run_id)
        if manifest.same_work(wanted) and store.result(run_id) is None:
            stored = store.marker(run_id)
            if stored is None or not at_work(stored):
                return Job(manifest, stored.marker if stored else None, wanted.pacing, wanted.on_error)
    return None


def resume(store: RunStore, run_id: str) -> Job:
    """Continues this run. Raises TxnpipeError: NOT_FOUND without such a run, USAGE for a finished one,
    CONFLICT where another process works on it."""
    manifest = store.manifest(run_id)
    if store.result(run_id) is not None:
        raise usage_error(
            f"The run {run_id} is finished: there is nothing left to send.",
            f"Prove it with txnpipe verify --run {run_id}, or leave out --resume to send another one.",
        )
    stored = store.marker(run_id)
    if stored is not None and at_work(stored):
        raise TxnpipeError(
            f"The process {stored.marker.pid} on {stored.marker.host} works on the run {run_id}.",
            "Wait until it ends, or end it.",
            ExitCode.CONFLICT,
        )
    return Job(manifest, stored.marker if stored else None, manifest.pacing, manifest.on_error)


def send(
    store: RunStore,
    stream: Stream,
    job: Job,
    *,
    workers: int | None = None,
    ordered: bool = False,
    source: BinaryIO | None = None,
    report: Callable[[Progress], None] | None = None,
    now: Callable[[], datetime] = utc_now,
) -> Sent:
    """Sends a job's remaining records. `source` is the input of an input run; workers and ordered are the
    sender's.

    Raises TxnpipeError and KeyboardInterrupt; in every case the progress is kept, and `choose` finds it.
    """
    keeper = _Keeper(store, job, source, now)
    if job.stored:
        keeper.write(None)
    listeners = (keeper.heard, report or _unheard)

    def heard(progress: Progress) -> None:
        for listener in listeners:
            listener(progress)

    spans = stream.open_shards()
    timed = job.manifest.duration_s is not None and job.manifest.count is None
    sender = Sender(
        stream,
        spans,
        start=job.start,
        workers=workers,
        ordered=ordered,
        rate=job.rate,
        backlog=TIMED_BACKLOG * len(spans) if timed else None,
        report=heard,
    )
    progress = sender.run(iter(keeper.records))
    stopped = keeper.records.stopped if isinstance(keeper.records, InputSource) else None
    if progress.given_up or stopped:
        return Sent(job.manifest, progress, None, progress.given_up, stopped, keeper.begun)
    result = keeper.result(progress)
    if keeper.begun:
        if isinstance(keeper.records, InputSource):
            store.write_buckets(result.run_id, keeper.records.sums)
        store.write_result(result)
    return Sent(job.manifest, progress, result, stored=keeper.begun)


class _Keeper:
    """Has the records of a job, writes the progress marker and, at the end, makes the result.

    begun: whether the run is in the bucket.
    """

    def __init__(
        self, store: RunStore, job: Job, source: BinaryIO | None, now: Callable[[], datetime]
    ) -> None:
        self._store = store
        self._job = job
        self._now = now
        self._started_at = job.earlier.started_at if job.earlier else now()
        self._process = this_process()
        self._writing = threading.Lock()
        self._reserved = job.earlier.reserved if job.earlier else 0
        self._heard: Progress | None = None
        self.begun = job.stored
        self.records = self._records(source)

    def heard(self, progress: Progress) -> None:
        """Keeps the progress. A marker that cannot be written now is written a second later."""
        with self._writing, suppress(TxnpipeError, BotoCoreError):
            self._heard = progress
            if progress.final and self._reserved:
                self._reserved = max(self._job.start + progress.offered, self._least)
            if self.begun:
                self.write(progress)

    def write(self, progress: Progress | None) -> None:
        """Writes the marker."""
        earlier = self._job.earlier
        host, pid, pid_started = self._process
        first_event, last_event = self._event_range()
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
                reserved=self._reserved,
                sending_s=self._sending_s(progress),
                first_event=first_event,
                last_event=last_event,
            )
        )

    def result(self, progress: Progress) -> RunResult:
        """What is written once everything is acknowledged."""
        earlier = self._job.earlier
        head = self.records.head if isinstance(self.records, InputSource) else None
        first_event, last_event = self._event_range()
        return RunResult(
            run_id=self._job.manifest.run_id,
            count=self.records.head.end if isinstance(self.records, InputSource) else self.records.made,
            attempts=(earlier.attempts if earlier else 0) + progress.attempts,
            throttled=(earlier.throttled if earlier else 0) + progress.throttled,
            failed=(earlier.failed if earlier else 0) + progress.failed,
            invalid=head.invalid if head else 0,
            invalid_lines=head.invalid_lines if head else (),
            started_at=self._started_at,
            finished_at=self._now(),
            marks=(earlier.marks if earlier else {}) | progress.marks,
            lines=head.lines if head else 0,
            blank=head.blank if head else 0,
            sending_s=self._sending_s(progress),
            first_event=first_event,
            last_event=last_event,
        )

    def _records(self, source: BinaryIO | None) -> GeneratedSource | InputSource:
        job, manifest = self._job, self._job.manifest
        if manifest.source == "generated":
            return GeneratedSource(
                manifest,
                job.start,
                remaining_s=job.remaining_s or 0.0,
                reserved=self._reserved,
                reserve=self._reserve,
            )
        if source is None:
            raise ValueError("an input run needs its input")
        return InputSource(
            self._store,
            manifest,
            source,
            start=job.start,
            remaining_s=job.remaining_s,
            stop_at_errors=job.on_error == "stop",
            begin=None if job.stored else self._begin,
        )

    def _begin(self) -> None:
        """Stores an input run: its first record was read."""
        with self._writing:
            self._store.create(self._job.manifest)
            self.begun = True
            self.write(None)

    def _reserve(self, index: int) -> None:
        """Keeps that no record of an open run from `index` on was made. It is written before they are."""
        with self._writing:
            self._reserved = index
            self.write(self._heard)

    @property
    def _least(self) -> int:
        """What a run that was continued makes in any case."""
        return self._job.earlier.reserved if self._job.earlier else 0

    def _sending_s(self, progress: Progress | None) -> float:
        earlier = self._job.earlier
        return (earlier.sending_s if earlier else 0.0) + (progress.elapsed_s if progress else 0.0)

    def _event_range(self) -> tuple[datetime | None, datetime | None]:
        """Of the whole run: what an earlier attempt has made, this one makes again or has behind it."""
        if isinstance(self.records, InputSource):
            return _utc(self.records.first_event), _utc(self.records.last_event)
        earlier = self._job.earlier
        first, last = self.records.event_range
        known = (earlier.first_event, earlier.last_event) if earlier else (None, None)
        return (
            min((each for each in (first, known[0]) if each), default=None),
            max((each for each in (last, known[1]) if each), default=None),
        )

    def _invalid(self) -> int:
        return self.records.head.invalid if isinstance(self.records, InputSource) else 0


def _utc(moment: datetime | None) -> datetime | None:
    return moment.replace(tzinfo=UTC) if moment else None


def _unheard(progress: Progress) -> None:
    _ = progress
