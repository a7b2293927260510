"""Which runs a proof of several runs is about."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

from txnpipe.errors import ExitCode, TxnpipeError
from txnpipe.traffic.history import EMPTY, PastRun, past_run
from txnpipe.traffic.runs import RunStore


def runs_since(store: RunStore, since: datetime | None) -> list[PastRun]:
    """The runs that began then or later, all of them for None, the oldest first.

    Raises TxnpipeError (NOT_FOUND) where there is none.
    """
    found = list(_newest_first(store, since))
    if not found:
        nothing = "Nothing was sent through this pipeline yet."
        raise TxnpipeError(
            nothing if since is None else f"No run has begun since {since:%Y-%m-%d %H:%M:%S} UTC.",
            "txnpipe runs lists what was sent; txnpipe send --count 1000 sends something.",
            ExitCode.NOT_FOUND,
        )
    return found[::-1]


def _newest_first(store: RunStore, since: datetime | None) -> Iterator[PastRun]:
    for run_id in store.ids():
        # Ids sort by time: what lies behind the first one that is too old need not be read.
        named = _named_time(run_id)
        if since is not None and named is not None and named < since.replace(microsecond=0):
            return
        past = past_run(store, run_id)
        begun = past.started_at or named
        if past.state != EMPTY and (since is None or begun is None or begun >= since):
            yield past


def _named_time(run_id: str) -> datetime | None:
    try:
        return datetime.strptime(run_id[:15], "%Y%m%dT%H%M%S").replace(tzinfo=UTC)
    except ValueError:
        return None
