"""`txnpipe runs`."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from txnpipe.cli.frame import Invocation, command
from txnpipe.errors import usage_error

if TYPE_CHECKING:
    from txnpipe.traffic.history import PastRun

app = typer.Typer(invoke_without_command=True)


@app.callback(invoke_without_command=True)
@command()
def runs(
    run: Invocation,
    limit: Annotated[int, typer.Option("--limit", "-n", help="At most this many.")] = 20,
) -> None:
    """List what was sent through the pipeline, the newest first.

    txnpipe runs

    txnpipe runs --limit 100 --json

    txnpipe runs show 20261124T053112-4f9a1c

    A run is sending, unfinished (it was stopped or killed), finished (every record acknowledged) or
    unreadable. The rate is over the whole time since it began, pauses included.
    """
    from txnpipe.traffic.history import UNFINISHED, newest_runs
    from txnpipe.traffic.runs import RunStore

    if not 1 <= limit <= 10_000:
        raise usage_error(f"--limit is {limit}; it must be 1 to 10,000.", "Pass such a number to --limit.")
    with run.out.status("Reading runs …"):
        found = newest_runs(RunStore(run.target, run.names.bucket), limit)
    run.out.result("runs", {"runs": [_summary(each) for each in found]})
    if not found:
        run.out.say("Nothing was sent yet. Next: txnpipe send --count 1000")
        return
    now = datetime.now(UTC)
    run.out.table(
        None,
        ("run", "state", "source", "records", "acknowledged", "age", "records/s"),
        [
            (
                each.run_id,
                each.state,
                _named_source(each),
                each.count,
                each.acknowledged,
                "" if each.started_at is None else _age((now - each.started_at).total_seconds()),
                None if each.rate is None else round(each.rate),
            )
            for each in found
        ],
        right="records acknowledged age records/s",
        whole=("run", "state"),
    )
    unfinished = next((each for each in found if each.state == UNFINISHED), None)
    if unfinished is not None:
        run.out.say(f"Run {unfinished.run_id} is unfinished: {_continued_by(unfinished)}")


@app.command()
@command()
def show(run: Invocation, run_id: Annotated[str, typer.Argument(metavar="RUN", help="Run.")]) -> None:
    """Show one run: how it was made, how far it is, and where its records went.

    txnpipe runs show 20261124T053112-4f9a1c
    """
    import msgspec

    from txnpipe.operate.printable import printable
    from txnpipe.traffic.history import UNFINISHED, past_run
    from txnpipe.traffic.runs import RunStore

    store = RunStore(run.target, run.names.bucket)
    store.manifest(run_id)  # says what is wrong with a run that is none
    past = past_run(store, run_id)
    parts = {"manifest": past.manifest, "progress": past.marker, "result": past.result}
    stored = {name: msgspec.to_builtins(part) for name, part in parts.items()}
    run.out.result("run", _summary(past) | stored)
    rows = [*_flat("", _summary(past)), *(row for name, part in stored.items() for row in _flat(name, part))]
    run.out.table(
        None,
        ("field", "value"),
        [(name, printable(str(value).encode(errors="backslashreplace"))) for name, value in rows],
    )
    if past.state == UNFINISHED:
        run.out.say(f"It is unfinished: {_continued_by(past)}")
    run.out.say(f"Next: txnpipe verify --run {run_id}")


def _continued_by(past: PastRun) -> str:
    from rich.markup import escape

    from txnpipe.cli.redriving import command_of

    if past.source == "rejects":
        selection = past.manifest.selection if past.manifest else None
        if selection is None:
            return "txnpipe rejects redrive sends what is not stored by now"
        return escape(command_of(selection))
    name = past.manifest.input_name if past.manifest else None
    file = "" if name is None else f" --file {_harmless_name(name)}"
    return f"txnpipe send --resume {past.run_id}{file}"


def _harmless_name(name: str) -> str:
    """For a shell and a terminal, and not markup."""
    import shlex

    from rich.markup import escape

    from txnpipe.operate.printable import printable

    return escape(printable(shlex.quote(name).encode(errors="backslashreplace")))


def _flat(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    """Nested fields as rows: "manifest mix late", 0.01. What is empty or None is left out."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _flat(f"{name} {key.replace('_', ' ')}".strip(), inner)
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from _flat(f"{name} {number}", inner)
    elif value is not None and value != "":
        yield name, value


def _named_source(past: PastRun) -> str:
    from txnpipe.operate.printable import printable

    if past.manifest is None:
        return past.problem
    if past.source == "synthetic":
        return f"synthetic, seed {past.manifest.seed}"
    if past.source == "file":
        return f"file {printable((past.manifest.input_name or '').encode(errors='backslashreplace'))}"
    return past.source


def _age(seconds: float) -> str:
    """In the largest unit of which there are two: 119 s, 3 min, 47 h, 12 d."""
    for size, unit in ((86_400, "d"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds // size:.0f} {unit}"
    return f"{max(seconds, 0):.0f} s"


def _summary(past: PastRun) -> dict[str, Any]:
    started_at = past.started_at
    return {
        "run_id": past.run_id,
        "state": past.state,
        "problem": past.problem,
        "source": past.source,
        "count": past.count,
        "acknowledged": past.acknowledged,
        "started_at": None if started_at is None else started_at.isoformat(),
        "seconds": None if past.seconds is None else round(past.seconds, 3),
        "records_per_second": None if past.rate is None else round(past.rate, 1),
    }
