"""What was sent through a pipeline, as the bucket tells it."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from txnpipe.errors import TxnpipeError
from txnpipe.traffic.runs import RunStore, at_work

READERS = 8
"""Runs read at once; each takes up to three objects."""


@dataclass(frozen=True)
class PastRun:
    """One run.

    state: "finished", "sending" (a `send` is at work on it), "unfinished", or "unreadable". origin:
    "synthetic", "file" or "standard input". events: that it consists of, None while an input has not ended.
    options: what it was sent with. marks: the last acknowledged sequence number, by shard.
    """

    run_id: str
    state: str
    origin: str = ""
    started_at: datetime | None = None
    finished_at: datetime | None = None
    events: int | None = None
    acknowledged: int = 0
    invalid: int = 0
    options: Mapping[str, Any] = field(default_factory=dict)
    stream: str = ""
    marks: Mapping[str, str] = field(default_factory=dict)


def newest_runs(store: RunStore, limit: int) -> list[PastRun]:
    """At most `limit` runs, the newest first. Raises TxnpipeError where the bucket cannot be read."""
    ids = store.ids()[:limit]
    with ThreadPoolExecutor(READERS) as pool:
        return list(pool.map(lambda run_id: past_run(store, run_id), ids))


def past_run(store: RunStore, run_id: str) -> PastRun:
    """One run. One whose manifest is missing, damaged or of a newer version is "unreadable"."""
    try:
        manifest = store.manifest(run_id)
    except TxnpipeError as error:
        return PastRun(run_id, "unreadable", options={"problem": error.cause})
    result = store.result(run_id)
    stored = None if result else store.marker(run_id)
    options: dict[str, Any]
    if manifest.source == "generated":
        origin, options = "synthetic", {"seed": manifest.seed, "rate": manifest.rate}
    elif manifest.input_name == "-":
        origin, options = "standard input", {"rate": manifest.rate}
    else:
        origin, options = "file", {"file": manifest.input_name, "rate": manifest.rate}
    common: dict[str, Any] = {
        "origin": origin,
        "started_at": manifest.created_at,
        "options": options,
        "stream": manifest.stream,
    }
    if result is not None:
        return PastRun(
            run_id,
            "finished",
            finished_at=result.finished_at,
            events=result.count,
            acknowledged=result.count,
            invalid=result.invalid,
            marks=result.marks,
            **common,
        )
    return PastRun(
        run_id,
        "sending" if stored and at_work(stored) else "unfinished",
        events=manifest.count,
        acknowledged=stored.marker.acknowledged if stored else 0,
        invalid=stored.marker.invalid if stored else 0,
        marks=stored.marker.marks if stored else {},
        **common,
    )
