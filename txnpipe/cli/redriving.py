"""Sends mended records as a run, for `txnpipe rejects redrive`."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence

from txnpipe.cli.frame import Invocation
from txnpipe.cli.sending import showing
from txnpipe.errors import ExitCode
from txnpipe.traffic.history import REJECTS_INPUT
from txnpipe.traffic.manifest import input_run, new_run_id, utc_now
from txnpipe.traffic.runs import RunStore
from txnpipe.traffic.send import choose, send
from txnpipe.traffic.stream import KinesisStream


def send_payloads(run: Invocation, payloads: Sequence[bytes], left: Mapping[str, int]) -> ExitCode:
    """Sends events, one run for all. OK only where every record was acknowledged. Raises TxnpipeError.

    left: what is not sent, by cause; it is told with the result. After a stop another call makes another run:
    of what is stored by then nothing is sent again.
    """
    now = utc_now()
    stream = KinesisStream(run.target, run.names.stream)
    store = RunStore(run.target, run.names.bucket)
    manifest = input_run(
        run_id=new_run_id(now),
        pipeline=run.settings.pipeline,
        input_name=REJECTS_INPUT,
        now=now,
        stream=run.names.stream,
        shards=stream.open_shards(),
    )
    job = choose(store, manifest, new=True)
    run.out.say(f"Run [bold]{manifest.run_id}[/bold]: rejects into {manifest.stream}")
    source = io.BytesIO(b"".join(payload + b"\n" for payload in payloads))
    try:
        with showing(run, job) as report:
            sent = send(store, stream, job, source=source, report=report)
    except KeyboardInterrupt:
        run.out.say("\nStopped. The same command sends what is not stored by then.")
        return ExitCode.INTERRUPTED
    acknowledged = sent.progress.acknowledged
    run.out.result(
        "rejects-redrive",
        {
            "dry_run": False,
            "run_id": manifest.run_id,
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
