"""Exactly one process works on a run: the one whose claim the run's progress marker bears.

A claim is taken by writing the marker under a condition: there is none yet, or it still is the one that was
seen, of a process that is no longer at work. Of two that see the same stopped run, S3 takes the write of one
and refuses the other's. Every later marker is written over the last one that this process wrote, so a process
that was taken for dead (it was paused, or its machine slept) and wakes up does not overwrite its successor's
progress: it finds that its claim is lost, and stops.

A claim is never given back. Whoever was killed is known to be gone as ever: by its process id on this
machine, elsewhere by the age of its marker (see `runs.at_work`).
"""

from __future__ import annotations

import secrets
from datetime import datetime

import msgspec

from txnpipe.errors import ExitCode, TxnpipeError
from txnpipe.traffic.runs import NOTHING_THERE, TRIES, Marker, RunStore, StoredMarker, this_process


class LostClaim(TxnpipeError):  # noqa: N818 - it ends the work, but nothing is wrong with it
    """Another process works on the run, or has finished it."""


def at_work_on(marker: Marker) -> LostClaim:
    """Says who works on a run."""
    return LostClaim(
        f"The process {marker.pid} on {marker.host} works on the run {marker.run_id}.",
        "Wait until it ends, or end it; then the same command continues what is left.",
        ExitCode.CONFLICT,
    )


def finished_meanwhile(run_id: str) -> LostClaim:
    """Says that somebody else has finished a run."""
    return LostClaim(
        f"Another process has finished the run {run_id} meanwhile.",
        f"Nothing is left to send; prove it with txnpipe verify --run {run_id}.",
        ExitCode.CONFLICT,
    )


def spooled_by_another(run_id: str) -> LostClaim:
    """Says that somebody else reads the input of a run."""
    return LostClaim(
        f"Another process has continued the run {run_id}, and reads its input.",
        "Wait until it ends, or end it; then the same command continues what is left.",
        ExitCode.CONFLICT,
    )


class Claim:
    """The claim of this process on one run.

    etag: of the marker that the claim is to replace; None where there is none. The first `write` takes the
    claim. Callers write one after the other.
    """

    def __init__(self, store: RunStore, etag: str | None) -> None:
        self._store = store
        self._etag = etag
        self._token = secrets.token_hex(8)

    def write(self, marker: Marker) -> None:
        """Writes the marker. Raises LostClaim (CONFLICT) where another process has claimed the run."""
        marker = msgspec.structs.replace(marker, claim=self._token)
        for _ in range(TRIES):
            condition = NOTHING_THERE if self._etag is None else {"IfMatch": self._etag}
            etag = self._store.write_marker(marker, condition)
            if etag is not None:
                self._etag = etag
                return
            found = self._store.marker(marker.run_id)
            # Our own may be there: a request whose answer is lost is repeated by the client.
            if found is not None and found.etag != self._etag and found.marker.claim != self._token:
                raise at_work_on(found.marker)
            self._etag = found.etag if found is not None else None
        raise self._store.refused(f"the progress of the run {marker.run_id}")


def take(store: RunStore, run_id: str, stored: StoredMarker | None, now: datetime) -> Claim:
    """Claims a run. `stored`: its marker as it was seen, None where there was none.

    Raises LostClaim (CONFLICT) where another process was faster.
    """
    host, pid, pid_started = this_process()
    if stored is None:
        marker = Marker(
            run_id=run_id,
            next_index=0,
            acknowledged=0,
            attempts=0,
            throttled=0,
            failed=0,
            invalid=0,
            started_at=now,
            written_at=now,
            marks={},
            host=host,
            pid=pid,
            pid_started=pid_started,
        )
    else:
        marker = msgspec.structs.replace(
            stored.marker, written_at=now, host=host, pid=pid, pid_started=pid_started
        )
    claim = Claim(store, stored.etag if stored else None)
    claim.write(marker)
    return claim
