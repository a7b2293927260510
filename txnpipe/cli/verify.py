"""`txnpipe verify`."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from txnpipe.cli.frame import Invocation, command
from txnpipe.cli.report import place_for, write_page
from txnpipe.errors import ExitCode, TxnpipeError, usage_error

if TYPE_CHECKING:
    from txnpipe.proof.follow import Trace
    from txnpipe.proof.latency import Latency
    from txnpipe.proof.rows import Finding
    from txnpipe.proof.settling import Arrived, Awaited
    from txnpipe.proof.verify import Proof, Sources

SHOWN_IDS = 10
JSON_IDS = 1000


@command()
def verify(
    run: Invocation,
    run_id: Annotated[str | None, typer.Option("--run", help="Run to prove (default: the newest).")] = None,
    transaction_id: Annotated[
        str | None, typer.Option("--id", help="Follow this one transaction through every hop instead.")
    ] = None,
    timeout: Annotated[
        float, typer.Option(help="Seconds to wait for rows and alerts that are still on their way.")
    ] = 120,
    report: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.html", help="Write the proof as one page, with charts, to this file, too."
        ),
    ] = None,
) -> ExitCode:
    """Prove that what was sent is stored: every row once and unchanged, every alert that the rules ask for.

    txnpipe verify

    txnpipe verify --run 20261124T053112-4f9a1c --timeout 300

    txnpipe verify --report proof.html

    txnpipe verify --id 20261124T053112-4f9a1c-000000042

    Exit code 0: nothing differs. 1: something does, and is named.
    """
    from txnpipe.packaging.rules import enabled_rules, rules_in_order
    from txnpipe.proof.verify import Sources
    from txnpipe.traffic.runs import RunStore
    from txnpipe.warehouse import open_warehouse

    if run_id is not None and transaction_id is not None:
        raise usage_error(
            "--id follows one transaction, --run proves a whole run.", "Leave out one of the two."
        )
    if report is not None and transaction_id is not None:
        raise usage_error(
            "--report is about a whole run, --id about one record.", "Leave out one of the two."
        )
    if not 0 <= timeout <= 86_400:
        raise usage_error(f"--timeout is {timeout:g}; it must be 0 to 86,400 seconds.", "Pass such a number.")
    place = place_for(run, report) if report is not None else None
    rules = enabled_rules(run.settings)
    store = RunStore(run.target, run.names.bucket)
    manifest = None
    if transaction_id is None:
        manifest = store.manifest(run_id) if run_id is not None else store.newest()
    with open_warehouse(run.target, run.settings, run.names) as warehouse:
        sources = Sources(
            target=run.target,
            names=run.names,
            store=store,
            warehouse=warehouse,
            rules=rules,
            in_order=run.settings.loader.parallelization_factor == 1,
            rules_in_order=rules_in_order(run.settings),
        )
        if transaction_id is not None:
            return _follow(run, sources, transaction_id)
        if manifest is None:
            raise ValueError("a run to prove")
        from txnpipe.proof.verify import verify as prove

        with _showing(run) as on_wait:
            proof = prove(sources, manifest, timeout_s=timeout, on_wait=on_wait)
        if place is not None:
            write_page(run, sources, proof, place)
    return _report(run, proof, place)


@contextlib.contextmanager
def _showing(run: Invocation) -> Iterator[Callable[[Arrived, Awaited, float], None]]:
    with run.out.status("Looking at the warehouse …") as status:

        def on_wait(arrived: Arrived, awaited: Awaited, waited_s: float) -> None:
            if status is None:
                return
            short = [
                f"{name} {arrived.alerts.get(name, 0):,} of {count:,}"
                for name, count in awaited.alerts.items()
                if arrived.alerts.get(name, 0) < count
            ]
            alerts = f"; alerts: {', '.join(short)}" if short else ""
            status.update(
                f"{arrived.rows:,} of {awaited.rows:,} rows stored{alerts}; waiting for {waited_s:.0f} s …"
            )

        yield on_wait


def _report(run: Invocation, proof: Proof, place: Path | None) -> ExitCode:
    from rich.markup import escape

    run.out.result("verify", {**_document(proof), "report": str(place) if place else None})
    rows, out = proof.rows, run.out
    verdict = "[bold green]equal[/bold green]" if proof.equal else "[bold red]different[/bold red]"
    out.line(f"Run [bold]{proof.manifest.run_id}[/bold]: {verdict}")
    table: list[tuple[object, ...]] = [
        (
            "transactions",
            rows.expected,
            rows.stored,
            *_counts(rows.missing, rows.extra, rows.duplicate),
            rows.changed.count,
        )
    ]
    table += [
        (
            f"alerts {rule.rule}",
            rule.expected,
            rule.stored,
            *_counts(rule.missing, rule.extra, rule.duplicate),
            None,
        )
        for rule in proof.rules
    ]
    out.table(
        None,
        ("what", "expected", "stored", "missing", "extra", "duplicate", "changed"),
        table,
        right="expected stored missing extra duplicate changed",
    )
    latencies = [("event → row", proof.row_latency), ("event → alert", proof.alert_latency)]
    out.table(
        None,
        ("latency, ms", "p50", "p95", "p99", "max", "rows"),
        [
            (name, each.p50_ms, each.p95_ms, each.p99_ms, each.max_ms, each.rows)
            for name, each in latencies
            if each is not None
        ],
        right="p50 p95 p99 max rows",
    )
    for note in _notes(proof):
        out.line(note)
    for label, ids in _named(proof):
        shown = escape(", ".join(ids[:SHOWN_IDS]))
        more = f" and {len(ids) - SHOWN_IDS:,} more (--json lists them)" if len(ids) > SHOWN_IDS else ""
        out.line(f"[red]{label}[/red]: {shown}{more}")
    for difference in proof.differences:
        out.say(f"[red]difference[/red]: {difference}")
    if place is not None:
        out.say(f"Report: {escape(str(place))}")
    if proof.dead_letters.own:
        out.say("Next, once the cause is mended: txnpipe dead-letters redrive --all")
    elif suspect := _suspect(proof):
        out.say(f"Next: txnpipe verify --id {escape(suspect)}")
    return ExitCode.OK if proof.equal else ExitCode.DIFFERENCE


def _counts(*findings: Finding) -> tuple[int, ...]:
    return tuple(finding.count for finding in findings)


def _notes(proof: Proof) -> Iterator[str]:
    for rule in proof.rules:
        d = rule.detection
        if d is not None and (d.planted or d.alerts):
            recall = f"{d.found} of {d.planted} planted anomalies found"
            chance = d.alerts - d.on_planted
            yield f"{rule.rule}: {recall}" + (f", {chance} more by chance" if chance else "")
    if proof.rows.repeats:
        yield f"{proof.rows.repeats:,} records repeat an id of the same input; each id is stored once"
    if proof.rows.elsewhere:
        count = proof.rows.elsewhere.count
        yield (
            f"{count:,} transactions were stored by an earlier run already, with equal content: "
            "they are repeats, and the rows and alerts stay those of that run"
        )
    if proof.invalid:
        yield f"{proof.invalid:,} lines of the input were no valid transactions and were not sent"
    rejects = proof.rejects
    if rejects.own or rejects.others:
        reasons = ", ".join(f"{reason} {count:,}" for reason, count in rejects.by_reason.items())
        own, others = f"{len(rejects.own):,} of this run", f"{rejects.others:,} others"
        yield f"rejects since the run began: {own}, {others} ({reasons})"
    if rejects.planted:
        right = rejects.planted - rejects.planted_missing
        yield f"{right:,} of {rejects.planted:,} planted bad records were rejected for their reasons"
    letters = proof.dead_letters
    if letters.batches:
        yield (
            f"failed batches since the run began: {letters.batches:,} with {letters.records:,} records, "
            f"{letters.own:,} of them with records of this run ({', '.join(letters.conditions)})"
        )


def _named(proof: Proof) -> list[tuple[str, list[str]]]:
    """Every kind of difference that has ids."""
    rows = proof.rows
    named = [
        ("missing rows", rows.missing.ids),
        ("extra rows", rows.extra.ids),
        ("changed rows", [_with_fields(proof, each) for each in rows.changed.ids]),
        ("duplicate rows", rows.duplicate.ids),
    ]
    for rule in proof.rules:
        named += [
            ("missing alerts", rule.missing.ids),
            ("extra alerts", rule.extra.ids),
            ("duplicate alerts", rule.duplicate.ids),
        ]
    named.append(("failed batches", [key.rpartition("/")[2] for key in proof.dead_letters.own_keys]))
    return [(label, ids) for label, ids in named if ids]


def _suspect(proof: Proof) -> str | None:
    """A transaction worth following: the first one that differs."""
    rows = proof.rows
    for finding in (rows.missing, rows.changed, rows.duplicate, rows.extra):
        if finding.ids:
            return finding.ids[0]
    alerts = [each for rule in proof.rules for each in (*rule.missing.ids, *rule.extra.ids)]
    return alerts[0].partition(":")[2] if alerts else None


def _with_fields(proof: Proof, transaction_id: str) -> str:
    fields = proof.rows.fields.get(transaction_id)
    return f"{transaction_id} ({', '.join(fields)})" if fields else transaction_id


def _document(proof: Proof) -> dict[str, Any]:
    rows = proof.rows
    return {
        "run_id": proof.manifest.run_id,
        "equal": proof.equal,
        "differences": list(proof.differences),
        "finished": proof.finished,
        "sent": proof.sent,
        "invalid": proof.invalid,
        "settled": proof.settled.reason,
        "waited_seconds": round(proof.settled.waited_s, 3),
        "seconds": round(proof.seconds, 3),
        "rows": {
            "expected": rows.expected,
            "stored": rows.stored,
            "missing": _finding(rows.missing),
            "extra": _finding(rows.extra),
            "duplicate": _finding(rows.duplicate),
            "changed": _finding(rows.changed),
            "changed_fields": {key: list(fields) for key, fields in rows.fields.items()},
            "repeats": rows.repeats,
            "stored_by_earlier_runs": _finding(rows.elsewhere),
        },
        "alerts": {
            rule.rule: {
                "expected": rule.expected,
                "stored": rule.stored,
                "missing": _finding(rule.missing),
                "extra": _finding(rule.extra),
                "duplicate": _finding(rule.duplicate),
                "planted": rule.detection.planted if rule.detection else None,
                "found": rule.detection.found if rule.detection else None,
                "recall": rule.detection.recall if rule.detection else None,
                "precision": rule.detection.precision if rule.detection else None,
            }
            for rule in proof.rules
        },
        "rejects": {
            "own": len(proof.rejects.own),
            "others": proof.rejects.others,
            "planted": proof.rejects.planted,
            "planted_missing": proof.rejects.planted_missing,
            "by_reason": proof.rejects.by_reason,
            "records": [
                {
                    "shard_id": reject.shard_id,
                    "sequence_number": reject.sequence_number,
                    "reason": reject.reason,
                    "detail": reject.detail,
                }
                for reject in proof.rejects.own[:100]
            ],
        },
        "dead_letters": {
            "batches": proof.dead_letters.batches,
            "records": proof.dead_letters.records,
            "own": proof.dead_letters.own,
            "conditions": list(proof.dead_letters.conditions),
            "keys": list(proof.dead_letters.keys),
            "own_keys": list(proof.dead_letters.own_keys),
        },
        "latency_ms": {
            "event_to_row": _latency(proof.row_latency),
            "event_to_alert": _latency(proof.alert_latency),
        },
    }


def _finding(finding: Finding) -> dict[str, Any]:
    return {"count": finding.count, "ids": finding.ids[:JSON_IDS]}


def _latency(latency: Latency | None) -> dict[str, float] | None:
    if latency is None:
        return None
    return {
        "rows": latency.rows,
        "p50": latency.p50_ms,
        "p95": latency.p95_ms,
        "p99": latency.p99_ms,
        "max": latency.max_ms,
    }


def _follow(run: Invocation, sources: Sources, transaction_id: str) -> ExitCode:
    from rich.markup import escape

    from txnpipe.proof.follow import follow

    with run.out.status(f"Following {escape(transaction_id)} …"):
        trace = follow(sources, transaction_id)
    if not trace.known:
        raise TxnpipeError(
            f"No hop knows the transaction {transaction_id}.",
            "Check the id; txnpipe verify names the ids of the newest run that differ.",
            ExitCode.NOT_FOUND,
        )
    return _report_trace(run, trace)


def _report_trace(run: Invocation, trace: Trace) -> ExitCode:
    run.out.result(
        "trace",
        {
            "transaction_id": trace.transaction_id,
            "stopped_at": trace.stopped_at,
            "hops": [{"hop": hop.name, "ok": hop.ok, "text": hop.text} for hop in trace.hops],
        },
    )
    marks = {True: "✓", False: "✗", None: "·"}
    run.out.table(
        trace.transaction_id, ("", "hop", "what"), [(marks[hop.ok], hop.name, hop.text) for hop in trace.hops]
    )
    if trace.stopped_at is None:
        return ExitCode.OK
    run.out.line(f"It stopped at: [red]{trace.stopped_at}[/red]")
    return ExitCode.DIFFERENCE
