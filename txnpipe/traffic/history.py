"""What was sent through a pipeline, as the bucket tells it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime

import msgspec

from txnpipe.errors import TxnpipeError
from txnpipe.names import BucketKeys
from txnpipe.traffic.manifest import Manifest, decode_manifest
from txnpipe.traffic.runs import Marker, RunResult, RunStore, at_work

READERS = 8
"""Runs read at once; each takes up to three objects."""
REJECTS_INPUT = "rejected_transactions"
"""The input_name of a run that `txnpipe rejects redrive` made. That of a file is an absolute path."""
FINISHED, SENDING, UNFINISHED, UNREADABLE = "finished", "sending", "unfinished", "unreadable"
EMPTY = "empty"


@dataclass(frozen=True)
class PastRun:
    """One run.

    state: FINISHED, SENDING (a `send` is at work on it), UNFINISHED, or UNREADABLE: problem says why. EMPTY:
    there is its claim and nothing else; whoever made that was killed before the run began, or begins it now.
    marker: the progress of one that is not finished, None before its first second. result: of a finished one.
    """

    run_id: str
    state: str
    manifest: Manifest | None = None
    marker: Marker | None = None
    result: RunResult | None = None
    problem: str = ""

    @property
    def source(self) -> str:
        """ "synthetic", "file", "standard input" or "rejects"; "" where it is not known."""
        if self.manifest is None:
            return ""
        if self.manifest.source == "generated":
            return "synthetic"
        return {"-": "standard input", REJECTS_INPUT: "rejects"}.get(self.manifest.input_name or "", "file")

    @property
    def count(self) -> int | None:
        """Records that it consists of; None while that is not known."""
        if self.result is not None:
            return self.result.count
        return self.manifest.count if self.manifest else None

    @property
    def acknowledged(self) -> int:
        """Records that the stream has taken, as far as is known."""
        if self.result is not None:
            return self.result.count
        return self.marker.acknowledged if self.marker else 0

    @property
    def started_at(self) -> datetime | None:
        """When its first `send` began."""
        return self.manifest.created_at if self.manifest else None

    @property
    def seconds(self) -> float | None:
        """From its beginning to its end, or to its last progress; with the pauses in between."""
        if self.result is not None:
            return (self.result.finished_at - self.result.started_at).total_seconds()
        if self.marker is not None:
            return (self.marker.written_at - self.marker.started_at).total_seconds()
        return None

    @property
    def rate(self) -> float | None:
        """Records acknowledged a second, over all of `seconds`."""
        return self.acknowledged / self.seconds if self.seconds else None


def newest_runs(store: RunStore, limit: int) -> list[PastRun]:
    """At most `limit` runs, the newest first, without EMPTY ones.

    Raises TxnpipeError where the bucket cannot be read.
    """
    ids = store.ids()[:limit]
    with ThreadPoolExecutor(READERS) as pool:
        found = pool.map(lambda run_id: past_run(store, run_id), ids)
        return [past for past in found if past.state != EMPTY]


def past_run(store: RunStore, run_id: str) -> PastRun:
    """One run; UNREADABLE where its manifest is missing, or what is stored of it is damaged or too new.

    Raises TxnpipeError where the bucket cannot be read.
    """
    key = f"{BucketKeys.RUNS}{run_id}/manifest.json"
    data = store.get(key)
    if data is None and _never_begun(store, run_id):
        return PastRun(run_id, EMPTY)
    if data is None:
        return PastRun(run_id, UNREADABLE, problem="It has no manifest.")
    try:
        manifest = decode_manifest(data, f"s3://{store.bucket}/{key}")
    except TxnpipeError as error:
        return PastRun(run_id, UNREADABLE, problem=error.cause)
    try:
        result = store.result(run_id)
        if result is not None:
            return PastRun(run_id, FINISHED, manifest, result=result)
        stored = store.marker(run_id)
    except msgspec.DecodeError as error:
        return PastRun(run_id, UNREADABLE, manifest, problem=f"Its progress cannot be read: {error}.")
    if stored is None:
        return PastRun(run_id, UNFINISHED, manifest)
    return PastRun(run_id, SENDING if at_work(stored) else UNFINISHED, manifest, stored.marker)


def _never_begun(store: RunStore, run_id: str) -> bool:
    stored = store.marker(run_id)
    return (
        stored is not None
        and stored.marker.acknowledged == 0
        and not store.part_keys(run_id)
        and store.result(run_id) is None
    )
