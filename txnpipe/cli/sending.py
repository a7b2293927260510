"""How `send` shows what it is doing, and what it did."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

from txnpipe.cli.frame import Invocation
from txnpipe.cli.heat import SHOWN_SHARDS, heat
from txnpipe.errors import ExitCode
from txnpipe.traffic.job import Job
from txnpipe.traffic.latency import Latency
from txnpipe.traffic.runs import Rejected
from txnpipe.traffic.send import Sent
from txnpipe.traffic.sender import Progress

SHOWN_LINES = 10


@contextlib.contextmanager
def showing(run: Invocation, job: Job) -> Iterator[Callable[[Progress], None]]:
    """A bar with records, rate and retries, and a line per hot shard, while records are sent.

    Only on a terminal; elsewhere nothing is shown.
    """
    if not run.out.live:
        yield _unshown
        return
    from rich.console import Group
    from rich.live import Live
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    display = Bar(
        TextColumn("sending"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]:,.0f}/s"),
        TextColumn("{task.fields[trouble]}"),
        TimeRemainingColumn(),
        console=run.out.messages,
    )
    task = display.add_task("send", total=job.manifest.count, completed=job.start, rate=0.0, trouble="")
    with Live(display, console=run.out.messages, transient=True, refresh_per_second=4) as live:

        def report(progress: Progress) -> None:
            completed = job.start + progress.acknowledged
            display.update(task, completed=completed, rate=progress.rate, trouble=_trouble(progress))
            live.update(Group(display, heat(progress.shards)))

        yield report


def _unshown(progress: Progress) -> None:
    _ = progress


def _trouble(progress: Progress) -> str:
    """What was refused and sent again, and how long calls take."""
    parts = []
    if progress.throttled:
        parts.append(f"{progress.throttled:,} throttled")
    if progress.failed or progress.failed_calls:
        parts.append(f"{progress.failed:,} failed, {progress.failed_calls:,} calls failed")
    if progress.latency:
        parts.append(f"p99 {progress.latency.p99:,.0f} ms")
    return " · ".join(parts)


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
            "shards": [
                {
                    "shard_id": shard.shard_id,
                    "open": shard.open,
                    "acknowledged": shard.acknowledged,
                    "throttled": shard.throttled,
                    "records_per_second": round(shard.acknowledged / elapsed, 1),
                }
                for shard in progress.shards
            ],
            "latency_ms": _latency_ms(progress.latency),
        },
    )
    run.out.line(
        f"{progress.acknowledged:,} records acknowledged in {progress.elapsed_s:.1f} s ({rate:,.0f}/s), "
        f"{progress.throttled:,} throttled, {progress.failed:,} failed and retried"
    )
    _say_calls(run, progress, elapsed)
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


def _latency_ms(latency: Latency | None) -> dict[str, float] | None:
    if latency is None:
        return None
    found = {name: getattr(latency, name) for name in ("p50", "p95", "p99", "max")}
    return {"calls": latency.calls, **{name: round(value, 3) for name, value in found.items()}}


def _say_calls(run: Invocation, progress: Progress, elapsed: float) -> None:
    """How long calls took, and what each shard took; of many shards those that took the most."""
    latency = progress.latency
    if latency is None:
        return
    run.out.line(
        f"{latency.calls:,} calls answered: p50 {latency.p50:,.1f} ms, p95 {latency.p95:,.1f} ms, "
        f"p99 {latency.p99:,.1f} ms, slowest {latency.max:,.1f} ms"
    )
    most = sorted(progress.shards, key=lambda shard: shard.acknowledged, reverse=True)[:SHOWN_SHARDS]
    left = len(progress.shards) - len(most)
    run.out.table(
        None,
        ("shard", "acknowledged", "per second", "throttled"),
        [
            (
                shard.shard_id if shard.open else f"{shard.shard_id} (closed)",
                shard.acknowledged,
                f"{shard.acknowledged / elapsed:,.0f}",
                shard.throttled,
            )
            for shard in progress.shards
            if shard in most
        ],
        right="acknowledged throttled",
        whole=("shard",),
    )
    if left:
        run.out.line(f"{left:,} more shards took less; --json lists them all.")
