"""Sends the records of a run: a few threads around the dispatcher's bookkeeping.

The calling thread feeds: it takes records from the source, at the asked rate and only while the queues have
room, so that memory stays flat and a full stream slows the source down. Workers make the calls. Another
thread reports progress about once a second.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from txnpipe.errors import ExitCode, TxnpipeError
from txnpipe.traffic.dispatch import Call, Counters, Dispatcher, Outgoing
from txnpipe.traffic.manifest import Span
from txnpipe.traffic.pacing import RatePace
from txnpipe.traffic.stream import CallFailed, Stream

BACKLOG_RECORDS = 50_000
BACKLOG_BYTES = 48 * 1024 * 1024
"""Waiting records, in all shards: a hot shard may fall behind by this much before it holds up the others."""
CHUNK = 250
PATIENCE_S = 30.0
"""How long nothing at all may be acknowledged while calls fail, before the run stops."""
REPORT_INTERVAL_S = 1.0


@dataclass(frozen=True)
class Progress:
    """How far a run is. Counts are of this attempt, not of a run's earlier ones.

    watermark: every index below it is acknowledged. rate: acknowledged records per second since the last
    report. marks: the last acknowledged sequence number of every shard.
    """

    offered: int
    acknowledged: int
    attempts: int
    throttled: int
    failed: int
    failed_calls: int
    watermark: int
    rate: float
    elapsed_s: float
    marks: dict[str, str] = field(default_factory=dict)
    by_shard: dict[str, int] = field(default_factory=dict)
    given_up: tuple[int, ...] = ()
    final: bool = False


class Sender:
    """Sends one run once. `source` yields chunks of records, an empty chunk where it waits for input."""

    def __init__(
        self,
        stream: Stream,
        spans: Sequence[Span],
        *,
        start: int = 0,
        workers: int | None = None,
        rate: float | None = None,
        report: Callable[[Progress], None] | None = None,
        clock: Callable[[], float] = time.monotonic,
        patience_s: float = PATIENCE_S,
    ) -> None:
        self._stream = stream
        self._workers = workers or default_workers(len(spans))
        self._report = report or _unheard
        self._clock = clock
        self._patience_s = patience_s
        now = clock()
        self._started = now
        self._dispatcher = Dispatcher(spans, now, start)
        self._pace = RatePace(rate, now)
        self._changed = threading.Condition()
        self._offered = 0
        self._ended = False
        self._stopped = False
        self._failure: BaseException | None = None
        self._refreshing = False
        self._last_report = (now, 0)

    def run(self, source: Iterator[Sequence[Outgoing]]) -> Progress:
        """Sends everything and returns the final progress.

        Raises whatever the source raises, KeyboardInterrupt, and TxnpipeError (NOT_FOUND, SERVICE) where the
        stream cannot be written. Before it raises, outstanding calls are booked and progress is reported.
        """
        workers = [
            threading.Thread(target=self._work, name=f"put-{n}", daemon=True) for n in range(self._workers)
        ]
        reporting = threading.Event()
        reporter = threading.Thread(target=self._report_often, args=(reporting,), name="report", daemon=True)
        for thread in (*workers, reporter):
            thread.start()
        try:
            self._feed(source)
            with self._changed:
                self._ended = True
                self._changed.notify_all()
            self._join(workers)
        except BaseException:
            with self._changed:
                self._stopped = True
                self._changed.notify_all()
            self._join(workers)
            raise
        finally:
            reporting.set()
            reporter.join()
            with self._changed:
                progress = self._progress(final=True)
            self._report(progress)
        if self._failure is not None:
            raise self._failure
        return progress

    def _feed(self, source: Iterator[Sequence[Outgoing]]) -> None:
        for chunk in source:
            at = 0
            while at < len(chunk):
                with self._changed:
                    if self._failure is not None:
                        return
                    now = self._clock()
                    d = self._dispatcher
                    full = d.queued >= BACKLOG_RECORDS or d.queued_bytes >= BACKLOG_BYTES
                    allowed = 0 if full else min(self._pace.allowance(now), len(chunk) - at)
                    if allowed:
                        d.offer(chunk[at : at + allowed])
                        self._pace.spend(allowed)
                        self._offered += allowed
                        at += allowed
                        self._changed.notify()
                    else:
                        self._changed.wait(0.05 if full else min(self._pace.wait(), 0.5))
            if self._failure is not None:
                return

    def _work(self) -> None:
        try:
            while (call := self._next()) is not None:
                try:
                    answer = self._stream.put(call.records)
                except CallFailed as error:
                    self._failed(call, error)
                else:
                    with self._changed:
                        self._dispatcher.settle(call, answer.entries, answer.failed, self._clock())
                        self._changed.notify_all()
        except BaseException as error:  # noqa: BLE001 - handed to the thread that called run
            with self._changed:
                self._failure = self._failure or error
                self._changed.notify_all()

    def _next(self) -> Call | None:
        """Waits for something to send; None once there is nothing more to do."""
        with self._changed:
            while True:
                d = self._dispatcher
                if self._stopped or self._failure is not None or (self._ended and d.idle):
                    self._changed.notify_all()
                    return None
                now = self._clock()
                if d.stale and not d.outstanding and not self._refreshing:
                    self._refresh()
                    continue
                call = d.take(now)
                if call is not None:
                    return call
                self._changed.wait(d.wait(now))

    def _refresh(self) -> None:
        """Reads the shard map, without the lock; the other workers wait meanwhile."""
        self._refreshing = True
        self._changed.release()
        try:
            spans = self._stream.open_shards()
        finally:
            self._changed.acquire()
            self._refreshing = False
        self._dispatcher.remap(spans, self._clock())
        self._changed.notify_all()

    def _failed(self, call: Call, error: CallFailed) -> None:
        with self._changed:
            now = self._clock()
            self._dispatcher.fail(call, now)
            if now - self._dispatcher.last_success > self._patience_s:
                raise TxnpipeError(
                    f"Nothing was acknowledged for {self._patience_s:.0f} s; the last failure: {error}.",
                    "Run the same command again: it continues where this one stopped.",
                    ExitCode.SERVICE,
                ) from error
            self._changed.notify_all()

    def _join(self, workers: Sequence[threading.Thread]) -> None:
        for worker in workers:
            while worker.is_alive():
                worker.join(0.5)

    def _report_often(self, stop: threading.Event) -> None:
        while not stop.wait(REPORT_INTERVAL_S):
            with self._changed:
                progress = self._progress()
            try:
                self._report(progress)
            except BaseException as error:  # noqa: BLE001 - handed to the thread that called run
                with self._changed:
                    self._failure = self._failure or error
                    self._changed.notify_all()
                return

    def _progress(self, *, final: bool = False) -> Progress:
        now, d = self._clock(), self._dispatcher
        counters: Counters = d.counters
        then, before = self._last_report
        rate = (counters.acknowledged - before) / (now - then) if now > then else 0.0
        self._last_report = (now, counters.acknowledged)
        return Progress(
            offered=self._offered,
            acknowledged=counters.acknowledged,
            attempts=counters.attempts,
            throttled=counters.throttled,
            failed=counters.failed,
            failed_calls=counters.failed_calls,
            watermark=d.watermark,
            rate=rate,
            elapsed_s=now - self._started,
            marks=dict(d.marks),
            by_shard={shard.shard_id: shard.acknowledged for shard in d.shards()},
            given_up=tuple(counters.given_up),
            final=final,
        )


def _unheard(progress: Progress) -> None:
    """For whoever does not want to hear."""
    _ = progress


def default_workers(shards: int) -> int:
    """Two keep one busy service going; more shards need more calls in the air."""
    return min(2 + shards // 8, 32)
