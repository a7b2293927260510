"""`txnpipe verify`."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from txnpipe.cli.frame import Invocation, command
from txnpipe.cli.proof_document import proof_document, run_document
from txnpipe.cli.proofs import tell_next, tell_proof, tell_proofs
from txnpipe.cli.report import place_for, write_page
from txnpipe.errors import ExitCode, TxnpipeError, usage_error

if TYPE_CHECKING:
    from txnpipe.proof.follow import Trace
    from txnpipe.proof.settling import Arrived, Awaited
    from txnpipe.proof.sources import Sources
    from txnpipe.proof.verify import Proof
    from txnpipe.traffic.history import PastRun
    from txnpipe.traffic.manifest import Manifest


@command()
def verify(
    run: Invocation,
    run_id: Annotated[str | None, typer.Option("--run", help="Run to prove (default: the newest).")] = None,
    since: Annotated[
        str | None,
        typer.Option(
            metavar="TIME|DURATION",
            help="Prove every run that began then or later: 2026-11-24T05:30 (UTC), or 90m, 12h, 7d ago.",
        ),
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="Prove every run of the pipeline.")] = False,
    transaction_id: Annotated[
        str | None, typer.Option("--id", help="Follow this one transaction through every hop instead.")
    ] = None,
    timeout: Annotated[
        float | None,
        typer.Option(
            help="Seconds to wait for rows and alerts that are still on their way (default: 120, and 1 more "
            "for each 1,000 records)."
        ),
    ] = None,
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

    txnpipe verify --since 24h

    txnpipe verify --report proof.html

    txnpipe verify --id 20261124T053112-4f9a1c-000000042

    Exit code 0: nothing differs. 1: something does, and is named. Of several runs, one that a send is still
    at work on is listed and not judged.
    """
    from txnpipe.cli.since import since as moment
    from txnpipe.packaging.rules import enabled_rules, rules_in_order
    from txnpipe.proof.choosing import runs_since
    from txnpipe.proof.sources import Sources
    from txnpipe.traffic.runs import RunStore
    from txnpipe.warehouse import open_warehouse

    _check(
        {"--id": transaction_id, "--run": run_id, "--since": since, "--all": every or None}, report, timeout
    )
    begun = moment(since, datetime.now(UTC)) if since is not None else None
    place = place_for(run, report) if report is not None else None
    rules = enabled_rules(run.settings)
    store = RunStore(run.target, run.names.bucket)
    several = runs_since(store, begun) if since is not None or every else None
    manifest = None
    if transaction_id is None and several is None:
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
        if manifest is not None:
            return _prove_one(run, sources, manifest, timeout, place)
        if several is not None:
            return _prove_several(run, sources, several, timeout)
        return _follow(run, sources, transaction_id or "")


def _check(chosen: Mapping[str, object], report: Path | None, timeout: float | None) -> None:
    """Raises TxnpipeError (USAGE) for options that do not go together."""
    given = [name for name, value in chosen.items() if value is not None]
    if len(given) > 1:
        raise usage_error(f"{' and '.join(given)} do not go together.", "Pass one of them.")
    if report is not None and given and given[0] != "--run":
        raise usage_error(
            f"--report is about one run, {given[0]} is not.", "Leave out one of the two, or pass --run."
        )
    if timeout is not None and not 0 <= timeout <= 86_400:
        raise usage_error(f"--timeout is {timeout:g}; it must be 0 to 86,400 seconds.", "Pass such a number.")


def _prove_one(
    run: Invocation, sources: Sources, manifest: Manifest, timeout: float | None, place: Path | None
) -> ExitCode:
    from rich.markup import escape

    from txnpipe.proof.verify import verify as prove

    with _showing(run) as on_wait:
        proof = prove(sources, manifest, timeout_s=timeout, on_wait=on_wait)
    if place is not None:
        write_page(run, sources, proof, place)
    run.out.result("verify", {**proof_document(proof), "report": str(place) if place else None})
    tell_proof(run.out, proof)
    if place is not None:
        run.out.say(f"Report: {escape(str(place))}")
    tell_next(run.out, proof)
    return ExitCode.OK if proof.equal else ExitCode.DIFFERENCE


def _prove_several(
    run: Invocation, sources: Sources, runs: Sequence[PastRun], timeout: float | None
) -> ExitCode:
    from txnpipe.proof.verify import verify as prove
    from txnpipe.traffic.history import FINISHED, SENDING, UNFINISHED

    outcomes: list[tuple[PastRun, Proof | None]] = []
    for number, past in enumerate(runs, start=1):
        proof = None
        if past.manifest is not None and past.state in (FINISHED, UNFINISHED):
            with _showing(run, f"Run {number:,} of {len(runs):,}: ") as on_wait:
                proof = prove(sources, past.manifest, timeout_s=timeout, on_wait=on_wait)
        outcomes.append((past, proof))
    run.out.result("proofs", {"runs": [run_document(past, proof) for past, proof in outcomes]})
    tell_proofs(run.out, outcomes)
    equal = all(proof.equal if proof else past.state == SENDING for past, proof in outcomes)
    return ExitCode.OK if equal else ExitCode.DIFFERENCE


@contextlib.contextmanager
def _showing(run: Invocation, which: str = "") -> Iterator[Callable[[Arrived, Awaited, float], None]]:
    with run.out.status(f"{which}Looking at the warehouse …") as status:

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
                f"{which}{arrived.rows:,} of {awaited.rows:,} rows stored{alerts}; "
                f"waiting for {waited_s:.0f} s …"
            )

        yield on_wait


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
