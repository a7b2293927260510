"""Counts what a synthetic run must have become: checksums, planted anomalies and bad records, in one pass.

A million records take seconds of computing, which verify has to spare while a run settles, and a machine has
more than one core: long runs are counted by worker processes. They are spawned, not forked (a connection to
the warehouse is open by then), ignore Ctrl-C, which their parent answers, and end with their parent, however
it ends.
"""

from __future__ import annotations

import hashlib
import multiprocessing
import multiprocessing.connection
import multiprocessing.process
import os
import signal
import threading
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field

from txnpipe.errors import ExitCode, TxnpipeError
from txnpipe.traffic.content import Checksum
from txnpipe.traffic.generator import Generator
from txnpipe.traffic.manifest import Manifest

BUCKET_ROWS = 1000
"""A bucket of a synthetic run is this many consecutive indexes."""
PORTION_BUCKETS = 100
"""What a worker counts at a time: about half a second of work, so that it can be told to stop."""
WORTH_WORKERS = 60_000
"""Records below which starting processes costs more than it saves."""
MAX_WORKERS = 8


@dataclass(frozen=True)
class Tally:
    """What a run, or a part of it, must have become.

    sums: by bucket, in order, the empty ones too. planted: complete anomalies by rule. bad: SHA-256 of the
    payload of every bad record → the reason to reject it for.
    """

    sums: list[Checksum] = field(default_factory=list)
    planted: Mapping[str, int] = field(default_factory=dict)
    bad: Mapping[bytes, str] = field(default_factory=dict)


def tally_portion(manifest: Manifest, start: int, stop: int) -> Tally:
    """Counts the indexes from `start`, the first one of a bucket, up to, not including, `stop`."""
    generator = Generator(manifest)
    planted: Counter[str] = Counter()
    bad: dict[bytes, str] = {}
    sums = []
    md5 = hashlib.md5
    for first in range(start, stop, BUCKET_ROWS):
        rows = high = low = 0
        outcomes = generator.outcomes(first, min(first + BUCKET_ROWS, stop))
        for index, (row, reason, rule) in enumerate(outcomes, first):
            if row is not None:
                # What content.digest and content.parts do, without a Content and three calls for each row.
                id_, cents, kind, micros, account, merchant, country, currency = row
                text = (
                    f"{id_}\x1f{cents}\x1f{kind}\x1f{micros}"
                    f"\x1f{account}\x1f{merchant}\x1f{country}\x1f{currency}"
                )
                digits = md5(text.encode(), usedforsecurity=False).hexdigest()
                rows += 1
                high += int(digits[:15], 16)
                low += int(digits[15:30], 16)
            elif reason is not None:
                bad[hashlib.sha256(generator.record(index)[1]).digest()] = reason
            if rule is not None:
                planted[rule] += 1
        sums.append(Checksum(rows, high, low))
    return Tally(sums, planted, bad)


class Tallying:
    """The tally of the first `count` records of a run, begun when made; whoever makes it closes it.

    workers: processes, by default one for each core that this process may use; 0 counts when asked.
    """

    def __init__(self, manifest: Manifest, count: int, workers: int | None = None) -> None:
        if workers is None:
            workers = 0 if count < WORTH_WORKERS else min(_cores(), MAX_WORKERS)
        size = PORTION_BUCKETS * BUCKET_ROWS
        self._manifest = manifest
        self._portions = [(start, min(start + size, count)) for start in range(0, count, size)]
        self._pool: ProcessPoolExecutor | None = None
        self._futures: list[Future[Tally]] = []
        self._tally: Tally | None = None
        if workers and self._portions:
            self._pool = ProcessPoolExecutor(
                min(workers, len(self._portions)),
                multiprocessing.get_context("spawn"),
                initializer=_become_worker,
            )
            self._futures = [
                self._pool.submit(tally_portion, manifest, *portion) for portion in self._portions
            ]

    def result(self) -> Tally:
        """The whole tally; waits for it. Raises TxnpipeError (ENVIRONMENT) where a worker died."""
        if self._tally is None:
            if self._pool is None:
                self._tally = _joined(tally_portion(self._manifest, *each) for each in self._portions)
            else:
                self._tally = _joined(self._counted())
            self.close()
        return self._tally

    def close(self) -> None:
        """Ends the work, done or not."""
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)
            self._pool = None
            self._futures = []

    def _counted(self) -> Iterator[Tally]:
        try:
            for future in self._futures:
                yield future.result()
        except BrokenProcessPool as error:
            raise TxnpipeError(
                "A process that counts what the run must have become ended before it was done.",
                "Run the same command again; see whether the machine has memory to spare.",
                ExitCode.ENVIRONMENT,
            ) from error


def _joined(portions: Iterable[Tally]) -> Tally:
    sums: list[Checksum] = []
    planted: Counter[str] = Counter()
    bad: dict[bytes, str] = {}
    for portion in portions:
        sums += portion.sums
        planted.update(portion.planted)
        bad |= portion.bad
    return Tally(sums, dict(planted), bad)


def _cores() -> int:
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def _become_worker() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    # A worker whose parent was killed would wait for work for ever.
    parent = multiprocessing.process.parent_process()
    if parent is not None:
        multiprocessing.connection.wait([parent.sentinel])
        os._exit(1)
