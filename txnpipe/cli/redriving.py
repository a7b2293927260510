"""Sends mended records as a run, for `txnpipe rejects redrive`, and goes on with one that was stopped.

The stopped run's spool holds what it has sent or was about to send, so the same command takes it from there:
the rejects themselves are no longer the same. What was sent is stored by and by, and is not chosen then.
"""

from __future__ import annotations

import io
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from msgspec import structs

from txnpipe.cli.frame import Invocation
from txnpipe.cli.sending import showing
from txnpipe.errors import ExitCode, TxnpipeError
from txnpipe.operate.printable import printable
from txnpipe.traffic.history import REJECTS_INPUT
from txnpipe.traffic.job import Job
from txnpipe.traffic.manifest import Manifest, input_run, new_run_id, utc_now
from txnpipe.traffic.runs import RunStore
from txnpipe.traffic.selection import Selection
from txnpipe.traffic.send import Unfinished, begin, go_on, send, unfinished_twins
from txnpipe.traffic.spool import spooled_events
from txnpipe.traffic.stream import KinesisStream
from txnpipe.transactions import encode, parse


@dataclass(frozen=True)
class Redrive:
    """What one call works on: a new run, or one that an earlier call of the same command left.

    spooled: payloads of the earlier call, without a run_id, in their order, by transaction_id.
    """

    wanted: Manifest
    stopped: Unfinished | None
    spooled: Mapping[str, bytes]

    @property
    def selection(self) -> Selection:
        """What the run is about: of a stopped one, as it began."""
        manifest = self.stopped.manifest if self.stopped else self.wanted
        return manifest.selection or Selection()

    @property
    def unsent(self) -> list[bytes]:
        """What the earlier call left, as far as is known."""
        stored = self.stopped.stored if self.stopped else None
        return list(self.spooled.values())[stored.marker.next_index if stored else 0 :]


def find_redrive(run: Invocation, selection: Selection, *, new: bool) -> Redrive:
    """Looks for a stopped run of the same command; `new`: does not. Only reads.

    Raises TxnpipeError: CONFLICT where a process works on such a run.
    """
    now = utc_now()
    store = RunStore(run.target, run.names.bucket)
    wanted = input_run(
        run_id=new_run_id(now),
        pipeline=run.settings.pipeline,
        input_name=REJECTS_INPUT,
        now=now,
        selection=selection,
        stream=run.names.stream,
    )
    stopped = None if new else _stopped(store, wanted)
    spooled = {}
    if stopped is not None:
        for _, events in spooled_events(store, stopped.manifest.run_id):
            for event in events:
                transaction = replace(parse(event), run_id=None)
                spooled[transaction.transaction_id] = encode(transaction)
    return Redrive(wanted, stopped, spooled)


def _stopped(store: RunStore, wanted: Manifest) -> Unfinished | None:
    """The newest stopped run of the same command. Raises LostClaim where a process works on one."""
    found = list(unfinished_twins(store, wanted))
    for each in found:
        each.assert_left()
    return next(iter(found), None)


def send_payloads(
    run: Invocation, redrive: Redrive, payloads: Sequence[bytes], left: Mapping[str, int], *, new: bool
) -> ExitCode:
    """Sends what the earlier call left, then these events, one run for all. OK only where every record was
    acknowledged. Raises TxnpipeError.

    left: what is not sent, by cause; it is told with the result.
    """
    stream = KinesisStream(run.target, run.names.stream)
    store = RunStore(run.target, run.names.bucket)
    job = _job(store, stream, redrive, new=new)
    run_id = job.manifest.run_id
    if job.stored:
        run.out.say(
            f"Continuing run [bold]{run_id}[/bold] (rejects) at record {job.start:,}; --new starts another."
        )
    else:
        run.out.say(f"Run [bold]{run_id}[/bold]: rejects into {job.manifest.stream}")
    source = io.BytesIO(b"".join(payload + b"\n" for payload in (*redrive.spooled.values(), *payloads)))
    try:
        with showing(run, job) as report:
            sent = send(store, stream, job, source=source, report=report)
    except KeyboardInterrupt:
        run.out.say(f"\nStopped. The same command continues run {run_id}; --new starts another.")
        return ExitCode.INTERRUPTED
    acknowledged = sent.progress.acknowledged
    run.out.result(
        "rejects-redrive",
        {
            "dry_run": False,
            "run_id": run_id,
            "continued": job.stored,
            "records": acknowledged,
            "unacknowledged": len(sent.given_up),
            "left": dict(left),
        },
    )
    run.out.line(f"Acknowledged: {acknowledged:,}")
    if sent.given_up:
        run.out.warn(f"{len(sent.given_up):,} records were not acknowledged; the same command sends them.")
        return ExitCode.DIFFERENCE
    run.out.say("Next: txnpipe verify")
    return ExitCode.OK


def _job(store: RunStore, stream: KinesisStream, redrive: Redrive, *, new: bool) -> Job:
    wanted = redrive.wanted
    if redrive.stopped is not None:
        return go_on(store, redrive.stopped, wanted.pacing, wanted.on_error)
    # Reading the rejects took a while: somebody else may have called the same command since.
    if not new and (begun := _stopped(store, wanted)) is not None:
        raise TxnpipeError(
            f"Another process has begun the run {begun.manifest.run_id} with the same rejects meanwhile.",
            "Run the same command again: it continues that run.",
            ExitCode.CONFLICT,
        )
    return begin(store, structs.replace(wanted, shards=stream.open_shards()))


def command_of(selection: Selection) -> str:
    """The command that a run of rejects comes from, for a shell and a terminal; not markup."""
    words = ["txnpipe", "rejects", "redrive", *selection.records]
    if selection.reason is not None:
        words += ["--reason", selection.reason]
    if selection.since is not None:
        words += ["--since", selection.since]
    for name, value in selection.changes.items():
        words += ["--set", f"{name}={value}"]
    return printable(shlex.join(words).encode(errors="backslashreplace"))
