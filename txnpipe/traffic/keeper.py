"""Keeps in the bucket how far a `send` is."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import BinaryIO

from botocore.exceptions import BotoCoreError

from txnpipe.errors import TxnpipeError
from txnpipe.traffic.claims import Claim, LostClaim, finished_meanwhile
from txnpipe.traffic.dispatch import Outgoing
from txnpipe.traffic.job import Job
from txnpipe.traffic.manifest import Span
from txnpipe.traffic.put_records import Answer
from txnpipe.traffic.runs import ALIVE_FOR_S, Marker, RunResult, RunStore, this_process
from txnpipe.traffic.sender import Progress
from txnpipe.traffic.sources import GeneratedSource
from txnpipe.traffic.spool import InputSource
from txnpipe.traffic.stream import Stream


class Keeper:
    """Has the records of a job, writes the progress marker and, at the end, the result.

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
        self._kept: Progress | None = None
        """What the marker in the bucket tells."""
        self._lost: LostClaim | None = None
        self._claim = job.claim or Claim(store, None)
        self._renewed_at = now()
        self.begun = job.stored
        self.records = self._records(source)

    def heard(self, progress: Progress) -> None:
        """Keeps the progress. A marker that cannot be written now is written a second later.

        Raises LostClaim, but for the final progress: `assert_ours` tells of it then.
        """
        with self._writing:
            self._heard = progress
            if progress.final and self._reserved:
                self._reserved = max(self._job.start + progress.offered, self._least)
            if not self.begun or self._lost is not None:
                return
            try:
                self._try_to_write(progress)
            except LostClaim:
                if not progress.final:
                    raise

    def assert_ours(self) -> None:
        """Raises LostClaim once it is known that another process works on the run. Asks nobody."""
        if self._lost is not None:
            raise self._lost

    def assert_awake(self) -> None:
        """Raises LostClaim where this process slept so long that others took it for dead, and one of them
        works on the run by now. Only then it costs a request: the marker's."""
        if not self.begun or not self._overdue():
            return
        with self._writing:
            self.assert_ours()
            if self._overdue():
                self._try_to_write(self._heard)
                self._renewed_at = self._now()

    def _overdue(self) -> bool:
        return (self._now() - self._renewed_at).total_seconds() >= ALIVE_FOR_S

    def _try_to_write(self, progress: Progress | None) -> None:
        """Writes the marker, if it can be written now. Raises LostClaim."""
        try:
            self._write(progress)
        except LostClaim as lost:
            self._lost = lost
            raise
        except (TxnpipeError, BotoCoreError):
            return

    def finish(self, progress: Progress) -> RunResult:
        """Writes the result, once everything is acknowledged; only while the run is ours.

        Raises TxnpipeError, LostClaim among them.
        """
        result = self._result(progress)
        if self.begun:
            with self._writing:
                self.assert_ours()
                if self._kept is not progress:
                    self._write(progress)
            if isinstance(self.records, InputSource):
                self._store.write_buckets(result.run_id, self.records.sums)
            if not self._store.write_result(result):
                raise finished_meanwhile(result.run_id)
        return result

    def _write(self, progress: Progress | None) -> None:
        """Writes the marker. Raises TxnpipeError, LostClaim among them."""
        earlier = self._job.earlier
        host, pid, pid_started = self._process
        first_event, last_event = self._event_range()
        self._claim.write(
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
        self._kept = progress
        self._renewed_at = self._now()

    def _result(self, progress: Progress) -> RunResult:
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
            self._write(None)
            self._store.create(self._job.manifest)
            self.begun = True

    def _reserve(self, index: int) -> None:
        """Keeps that no record of an open run from `index` on was made. It is written before they are."""
        with self._writing:
            self._reserved = index
            self._write(self._heard)

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


class OwnStream:
    """The stream, as whoever has the claim may write to it: a process that slept asks first."""

    def __init__(self, stream: Stream, keeper: Keeper) -> None:
        self._stream = stream
        self._keeper = keeper

    def open_shards(self) -> tuple[Span, ...]:
        """The shards that take records."""
        return self._stream.open_shards()

    def put(self, records: Sequence[Outgoing]) -> Answer:
        """One PutRecords call. Raises CallFailed, and LostClaim once another process works on the run."""
        self._keeper.assert_awake()
        return self._stream.put(records)
