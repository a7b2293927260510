"""Sends the records of a run: a few threads around the dispatcher's bookkeeping.

The calling thread feeds: it takes records from the source, at the asked rate and only while the queues have
room, so that memory stays flat and a full stream slows the source down. Workers make the calls. Another
thread reports progress about once a second.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from txnpipe.errors import ExitCode, TxnpipeError
from txnpipe.traffic.dispatch import Call, Dispatcher, Outgoing
from txnpipe.traffic.latency import Histogram, Latency
from txnpipe.traffic.manifest import Span
from txnpipe.traffic.put_records import Answer
from txnpipe.traffic.rates import Rate, RatePace
from txnpipe.traffic.stream import MAX_WORKERS, CallFailed, Stream

CHUNK = 250
PATIENCE_S = 30.0
"""How long nothing at all may be acknowledged while calls fail, before the run stops."""
REPORT_INTERVAL_S = 1.0


@dataclass(frozen=True)
class ShardProgress:
    """One shard: records acknowledged, per second since the last report, refused by its limit, and waiting.

    Waiting includes those of the call that is outstanding. A shard that a reshard closed is no longer open.
    """

    shard_id: str
    acknowledged: int
    rate: float
    throttled: int
    queued: int
    open: bool = True


@dataclass(frozen=True)
class Progress:
    """How far a run is. Counts are of this attempt, not of a run's earlier ones.

    watermark: every index below it is acknowledged. rate: acknowledged records per second since the last
    report. marks: the last acknowledged sequence number of every shard. by_shard: acknowledged records of the
    open shards. latency: of the calls that were answered.
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
    shards: tuple[ShardProgress, ...] = ()
    latency: Latency | None = None
    given_up: tuple[int, ...] = ()
    final: bool = False


class Sender:
    """Sends one run once. `source` yields chunks of records, an empty chunk where it waits for input.

    workers: calls that may be made at the same time, 1 to MAX_WORKERS. ordered: the records of a partition
    key are stored in their order, whatever fails (see the dispatcher for what it costs). backlog: the most
    records that wait, None for what the dispatcher wants.
    """

    def __init__(
        self,
        stream: Stream,
        spans: Sequence[Span],
        *,
        start: int = 0,
        workers: int | None = None,
        rate: Rate | None = None,
        backlog: int | None = None,
        report: Callable[[Progress], None] | None = None,
        clock: Callable[[], float] = time.monotonic,
        patience_s: float = PATIENCE_S,
        ordered: bool = False,
    ) -> None:
        self._stream = stream
        self._workers = workers or default_workers(len(spans))
        self._report = report or _unheard
        self._clock = clock
        self._patience_s = patience_s
        now = clock()
        self._started = now
        self._dispatcher = Dispatcher(spans, now, start, ordered=ordered)
        self._latency = Histogram()
        self._backlog = backlog
        self._pace = RatePace(rate, now, start)
        self._changed = threading.Condition()
        self._offered = 0
        self._ended = False
        self._stopped = False
        self._failure: BaseException | None = None
        self._refreshing = False
        self._last_report: tuple[float, dict[str, int]] = (now, {})

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
                    full = not d.wants_more() or (self._backlog is not None and d.queued >= self._backlog)
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
                began = self._clock()
                try:
                    answer = self._stream.put(call.records)
                except CallFailed as error:
                    self._failed(call, error)
                else:
                    self._answered(call, answer, began)
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

    def _answered(self, call: Call, answer: Answer, began: float) -> None:
        now = self._clock()
        with self._changed:
            self._latency.add((now - began) * 1000)
            self._dispatcher.settle(call, answer.entries, answer.failed, now)
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
        counters = d.counters
        then, before = self._last_report
        elapsed = now - then
        rates = {
            shard: (count - before.get(shard, 0)) / elapsed if elapsed > 0 else 0.0
            for shard, count in counters.acknowledged_by.items()
        }
        self._last_report = (now, dict(counters.acknowledged_by))
        by_shard = {shard.shard_id: counters.acknowledged_by[shard.shard_id] for shard in d.shards()}
        return Progress(
            offered=self._offered,
            acknowledged=counters.acknowledged,
            attempts=counters.attempts,
            throttled=counters.throttled,
            failed=counters.failed,
            failed_calls=counters.failed_calls,
            watermark=d.watermark,
            rate=sum(rates.values()),
            elapsed_s=now - self._started,
            marks=dict(d.marks),
            by_shard=by_shard,
            shards=_shards(d, rates),
            latency=self._latency.latency(),
            given_up=tuple(counters.given_up),
            final=final,
        )


def _shards(d: Dispatcher, rates: Mapping[str, float]) -> tuple[ShardProgress, ...]:
    """The open shards in the order of their hash keys, then the closed ones that took records."""
    counters = d.counters
    waiting = {shard.shard_id: len(shard.queue) + shard.out for shard in d.shards()}
    closed = sorted(counters.acknowledged_by.keys() - waiting.keys())
    return tuple(
        ShardProgress(
            shard_id=shard_id,
            acknowledged=counters.acknowledged_by[shard_id],
            rate=rates.get(shard_id, 0.0),
            throttled=counters.throttled_by[shard_id],
            queued=waiting.get(shard_id, 0),
            open=shard_id in waiting,
        )
        for shard_id in (*waiting, *closed)
    )


def _unheard(progress: Progress) -> None:
    """For whoever does not want to hear."""
    _ = progress


def default_workers(shards: int) -> int:
    """Two keep one busy service going; more shards need more calls in the air."""
    return min(2 + shards // 8, MAX_WORKERS // 2)
