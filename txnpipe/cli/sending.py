"""How `send` shows what it is doing, and what it did."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

from txnpipe.cli.frame import Invocation
from txnpipe.errors import ExitCode
from txnpipe.traffic.runs import Rejected
from txnpipe.traffic.send import Job, Sent
from txnpipe.traffic.sender import Progress

SHOWN_LINES = 10


@contextlib.contextmanager
def showing(run: Invocation, job: Job) -> Iterator[Callable[[Progress], None]]:
    """A bar with records, rate and throttling while records are sent; only on a terminal."""
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("sending"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]:,.0f}/s"),
        TextColumn("{task.fields[throttled]}"),
        TimeRemainingColumn(),
    )
    with run.out.progress(*columns) as display:
        task = display.add_task("send", total=job.manifest.count, completed=job.start, rate=0.0, throttled="")

        def report(progress: Progress) -> None:
            throttled = f"{progress.throttled:,} throttled" if progress.throttled else ""
            display.update(
                task,
                completed=job.start + progress.acknowledged,
                rate=progress.rate,
                throttled=throttled,
            )

        yield report


def summary(run: Invocation, sent: Sent) -> ExitCode:
    """Says how a `send` ended. OK only where every record was acknowledged and every line sent."""
    from txnpipe.scaling.path import shards_for

    progress, result = sent.progress, sent.result
    elapsed = max(progress.elapsed_s, 1e-6)
    rate = progress.acknowledged / elapsed
    invalid = result.invalid if result else 0
    lines = result.invalid_lines if result else ()
    acknowledged_all = not sent.given_up
    run.out.result(
        "send",
        {
            "run_id": sent.manifest.run_id if sent.stored else None,
            "count": result.count if result else sent.manifest.count,
            "finished": result is not None,
            "acknowledged": progress.acknowledged,
            "all_acknowledged": acknowledged_all,
            "unacknowledged": list(sent.given_up[:100]),
            "attempts": progress.attempts,
            "throttled": progress.throttled,
            "retried": progress.throttled + progress.failed,
            "failed_calls": progress.failed_calls,
            "invalid": invalid,
            "invalid_lines": [_line(line) for line in lines],
            "lines": result.lines if result else None,
            "blank": result.blank if result else None,
            "stopped_at": _line(sent.stopped) if sent.stopped else None,
            "seconds": round(progress.elapsed_s, 3),
            "records_per_second": round(rate, 1),
            "by_shard": progress.by_shard,
        },
    )
    run.out.line(
        f"{progress.acknowledged:,} records acknowledged in {progress.elapsed_s:.1f} s ({rate:,.0f}/s), "
        f"{progress.throttled:,} throttled, {progress.failed:,} failed and retried"
    )
    for line in lines[:SHOWN_LINES]:
        run.out.warn(f"line {line.line} was not sent: {line.reason}: {line.detail}")
    if invalid > min(len(lines), SHOWN_LINES):
        run.out.warn(f"{invalid:,} lines in all were not sent; --json lists the first {len(lines)}.")
    if progress.throttled and sent.manifest.rate:
        shards = shards_for(sent.manifest.rate, 300)
        if shards > len(progress.by_shard):
            run.out.say(
                f"The stream was the limit. For {sent.manifest.rate:g}/s: txnpipe scale --shards {shards}"
            )
    if sent.given_up:
        run.out.warn(
            f"{len(sent.given_up):,} records were not acknowledged; the same command tries them again."
        )
        return ExitCode.DIFFERENCE
    if sent.stopped is not None:
        return _say_stopped(run, sent, sent.stopped)
    if not sent.stored:
        run.out.say("The input holds no transaction: nothing was sent, and no run was stored.")
    else:
        run.out.say("Next: txnpipe verify")
    return ExitCode.DIFFERENCE if invalid else ExitCode.OK


def _say_stopped(run: Invocation, sent: Sent, line: Rejected) -> ExitCode:
    run.out.warn(f"line {line.line} ended the run: {line.reason}: {line.detail}")
    if sent.stored:
        run.out.say(
            "What comes before it is sent. Mend it and run the same command: it continues at that line, if "
            "the lines before are unchanged. --on-error skip goes on without it."
        )
    else:
        run.out.say("Nothing comes before it, so nothing was sent. Mend it and run the same command.")
    return ExitCode.DIFFERENCE


def _line(line: Rejected) -> dict[str, object]:
    return {"line": line.line, "reason": line.reason, "detail": line.detail}
