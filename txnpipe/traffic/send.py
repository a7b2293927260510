"""One `send`, from the choice of the run to its result."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import BinaryIO

from txnpipe.errors import TxnpipeError, usage_error
from txnpipe.traffic.claims import LostClaim, at_work_on, finished_meanwhile, take
from txnpipe.traffic.job import Job
from txnpipe.traffic.keeper import Keeper, OwnStream
from txnpipe.traffic.manifest import Manifest, OnError, utc_now
from txnpipe.traffic.rates import Rate
from txnpipe.traffic.runs import Rejected, RunResult, RunStore, StoredMarker, at_work
from txnpipe.traffic.sender import Progress, Sender
from txnpipe.traffic.spool import InputSource
from txnpipe.traffic.stream import Stream

CONSIDERED_RUNS = 20
"""An unfinished run is looked for among this many newest ones."""
TIMED_BACKLOG = 1000
"""Waiting records per shard of a run that only its duration ends: what waits then is still sent, a second's
worth at the shard's limit."""


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


@dataclass(frozen=True)
class Unfinished:
    """A run without a result, and its marker as it was seen; None before the first."""

    manifest: Manifest
    stored: StoredMarker | None

    @property
    def at_work(self) -> bool:
        """Whether a process works on it."""
        return self.stored is not None and at_work(self.stored)

    def assert_left(self) -> None:
        """Raises LostClaim (CONFLICT) where a process works on it."""
        if self.stored is not None and at_work(self.stored):
            raise at_work_on(self.stored.marker)


def choose(store: RunStore, wanted: Manifest, *, new: bool = False) -> Job:
    """Continues the unfinished run of the same command, or makes `wanted` a new one.

    A run that another process works on, or claims at the same moment, is left to it.
    """
    if not new:
        for found in unfinished_twins(store, wanted):
            if not found.at_work:
                with suppress(LostClaim):
                    return go_on(store, found, wanted.pacing, wanted.on_error)
    return begin(store, wanted)


def begin(store: RunStore, wanted: Manifest) -> Job:
    """A new run. That of an input is not in the bucket before its first record.

    The claim comes first: a run that others can see is somebody's.
    """
    if wanted.source != "generated":
        return Job(wanted, None, wanted.pacing, wanted.on_error, stored=False)
    claim = take(store, wanted.run_id, None, utc_now())
    store.create(wanted)
    return Job(wanted, None, wanted.pacing, wanted.on_error, claim=claim)


def unfinished_twins(store: RunStore, wanted: Manifest) -> Iterator[Unfinished]:
    """The unfinished runs of the same command, the newest first. Only reads."""
    for run_id in store.ids()[:CONSIDERED_RUNS]:
        with suppress(TxnpipeError):  # a manifest that this version cannot read is nobody's twin
            manifest = store.manifest(run_id)
            if manifest.same_work(wanted) and store.result(run_id) is None:
                yield Unfinished(manifest, store.marker(run_id))


def go_on(store: RunStore, found: Unfinished, rate: Rate | None, on_error: OnError) -> Job:
    """Claims a run that nobody works on.

    Raises LostClaim (CONFLICT) where somebody has claimed or finished it since it was seen.
    """
    claim = take(store, found.manifest.run_id, found.stored, utc_now())
    if store.result(found.manifest.run_id) is not None:
        raise finished_meanwhile(found.manifest.run_id)
    return Job(found.manifest, found.stored.marker if found.stored else None, rate, on_error, claim=claim)


def resume(store: RunStore, run_id: str, accept: Callable[[Manifest], None] | None = None) -> Job:
    """Continues this run. accept: raises where its manifest is not what the caller wants.

    Raises TxnpipeError: NOT_FOUND without such a run, USAGE for a finished one, CONFLICT where another
    process works on it or claims it at the same moment.
    """
    manifest = store.manifest(run_id)
    if store.result(run_id) is not None:
        raise usage_error(
            f"The run {run_id} is finished: there is nothing left to send.",
            f"Prove it with txnpipe verify --run {run_id}, or leave out --resume to send another one.",
        )
    if accept is not None:
        accept(manifest)
    found = Unfinished(manifest, store.marker(run_id))
    found.assert_left()
    return go_on(store, found, manifest.pacing, manifest.on_error)


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

    Raises TxnpipeError and KeyboardInterrupt; in every case the progress is kept, and `choose` finds it. Once
    another process works on the run it is LostClaim (CONFLICT), and that one's progress stays.
    """
    keeper = Keeper(store, job, source, now)
    listeners = (keeper.heard, report or _unheard)

    def heard(progress: Progress) -> None:
        for listener in listeners:
            listener(progress)

    spans = stream.open_shards()
    timed = job.manifest.duration_s is not None and job.manifest.count is None
    sender = Sender(
        OwnStream(stream, keeper),
        spans,
        start=job.start,
        workers=workers,
        ordered=ordered,
        rate=job.rate,
        backlog=TIMED_BACKLOG * len(spans) if timed else None,
        report=heard,
    )
    progress = sender.run(iter(keeper.records))
    keeper.assert_ours()
    stopped = keeper.records.stopped if isinstance(keeper.records, InputSource) else None
    if progress.given_up or stopped:
        return Sent(job.manifest, progress, None, progress.given_up, stopped, keeper.begun)
    result = keeper.finish(progress)
    return Sent(job.manifest, progress, result, stored=keeper.begun)


def _unheard(progress: Progress) -> None:
    _ = progress
