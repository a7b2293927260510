"""How `txnpipe verify` tells a person what it found."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from txnpipe.cli.output import Output

if TYPE_CHECKING:
    from txnpipe.proof.rows import Finding
    from txnpipe.proof.verify import Proof
    from txnpipe.traffic.history import PastRun

SHOWN_IDS = 10


def tell_proof(out: Output, proof: Proof) -> None:
    """The proof of one run: verdict, tables, notes, and what differs by name."""
    from rich.markup import escape

    rows = proof.rows
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
            *_counts(rule.missing, rule.extra, rule.duplicate, rule.changed),
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


def tell_next(out: Output, proof: Proof) -> None:
    """What to do about what differs."""
    from rich.markup import escape

    if proof.dead_letters.own:
        out.say("Next, once the cause is mended: txnpipe dead-letters redrive --all")
    elif suspect := _suspect(proof):
        out.say(f"Next: txnpipe verify --id {escape(suspect)}")


def tell_proofs(out: Output, outcomes: Sequence[tuple[PastRun, Proof | None]]) -> None:
    """The proofs of several runs: a line for each, and all that there is to say of those that differ."""
    out.table(
        None,
        ("run", "verdict", "rows", "of", "alerts", "of", "differences"),
        [_line(past, proof) for past, proof in outcomes],
        right="rows of alerts",
        whole=("run", "verdict"),
    )
    for _, proof in outcomes:
        if proof is not None and not proof.equal:
            tell_proof(out, proof)
    last = next((proof for _, proof in reversed(outcomes) if proof is not None and not proof.equal), None)
    if last is not None:
        tell_next(out, last)


def _line(past: PastRun, proof: Proof | None) -> tuple[object, ...]:
    from txnpipe.traffic.history import SENDING

    if proof is None:
        at_work = f"a send is at work on it: {past.acknowledged:,} records acknowledged so far"
        why = at_work if past.state == SENDING else past.problem
        return past.run_id, past.state, None, None, None, None, why
    return (
        past.run_id,
        "equal" if proof.equal else "different",
        proof.rows.stored,
        proof.rows.expected,
        sum(rule.stored for rule in proof.rules),
        sum(rule.expected for rule in proof.rules),
        "; ".join(proof.differences),
    )


def _counts(*findings: Finding) -> tuple[int, ...]:
    return tuple(finding.count for finding in findings)


def _notes(proof: Proof) -> Iterator[str]:
    from txnpipe.proof.alerts import percent

    for rule in proof.rules:
        d = rule.detection
        if d is not None and (d.planted or d.alerts):
            found = f"{d.found:,} of {d.planted:,} planted anomalies found"
            chance = d.alerts - d.on_planted
            more = f", {chance:,} more by chance" if chance else ""
            yield (
                f"{rule.rule}: recall {percent(d.recall)}, precision {percent(d.precision)} ({found}{more})"
            )
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
    if rejects.own_count or rejects.others:
        reasons = ", ".join(f"{reason} {count:,}" for reason, count in rejects.by_reason.items())
        own, others = f"{rejects.own_count:,} of this run", f"{rejects.others:,} others"
        yield f"rejects since the run began: {own}, {others} ({reasons})"
    if rejects.planted:
        right = rejects.planted_count - rejects.planted_missing
        short = ", ".join(
            f"{reason} {each.rejected:,} of {each.sent:,}"
            for reason, each in rejects.planted.items()
            if each.rejected < each.sent
        )
        yield (
            f"{right:,} of {rejects.planted_count:,} planted bad records were rejected for their reasons"
            + (f" ({short})" if short else "")
        )
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
        ("changed rows", [_with_fields(rows.fields, each) for each in rows.changed.ids]),
        ("duplicate rows", rows.duplicate.ids),
    ]
    for rule in proof.rules:
        named += [
            ("missing alerts", rule.missing.ids),
            ("extra alerts", rule.extra.ids),
            ("duplicate alerts", rule.duplicate.ids),
            ("changed alerts", [_with_fields(rule.fields, each) for each in rule.changed.ids]),
        ]
    named.append(("failed batches", [key.rpartition("/")[2] for key in proof.dead_letters.own_keys]))
    return [(label, ids) for label, ids in named if ids]


def _suspect(proof: Proof) -> str | None:
    """A transaction worth following: the first one that differs."""
    rows = proof.rows
    for finding in (rows.missing, rows.changed, rows.duplicate, rows.extra):
        if finding.ids:
            return finding.ids[0]
    alerts = [
        each for rule in proof.rules for each in (*rule.missing.ids, *rule.changed.ids, *rule.extra.ids)
    ]
    return alerts[0].partition(":")[2] if alerts else None


def _with_fields(fields: Mapping[str, tuple[str, ...]], each: str) -> str:
    return f"{each} ({', '.join(fields[each])})" if fields.get(each) else each
