"""`txnpipe runs`."""

from __future__ import annotations

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
    """
    from txnpipe.traffic.history import newest_runs
    from txnpipe.traffic.runs import RunStore

    if not 1 <= limit <= 10_000:
        raise usage_error(f"--limit is {limit}; it must be 1 to 10,000.", "Pass such a number to --limit.")
    found = newest_runs(RunStore(run.target, run.names.bucket), limit)
    run.out.result("runs", {"runs": [_document(each) for each in found]})
    if not found:
        run.out.say("Nothing was sent yet. Next: txnpipe send --count 1000")
        return
    run.out.table(
        None,
        ("run", "started", "events", "acknowledged", "state", "origin", "options"),
        [
            (
                each.run_id,
                "" if each.started_at is None else f"{each.started_at:%Y-%m-%d %H:%M:%S}",
                each.events,
                each.acknowledged,
                each.state,
                each.origin,
                _options(each),
            )
            for each in found
        ],
        right="events acknowledged",
        whole=("run",),
    )


@app.command()
@command()
def show(run: Invocation, run_id: Annotated[str, typer.Argument(metavar="RUN", help="Run.")]) -> None:
    """Show one run: how it was made, how far it is, and where its records went.

    txnpipe runs show 20261124T053112-4f9a1c
    """
    from txnpipe.operate.printable import printable
    from txnpipe.traffic.history import past_run
    from txnpipe.traffic.runs import RunStore

    store = RunStore(run.target, run.names.bucket)
    store.manifest(run_id)
    document = _document(past_run(store, run_id))
    run.out.result("run", document)
    flat = [
        (f"{name.replace('_', ' ')}{f' {inner}' if inner else ''}", text)
        for name, value in document.items()
        for inner, text in (value.items() if isinstance(value, dict) else [("", value)])
    ]
    run.out.table(
        None,
        ("field", "value"),
        [(name, printable(value.encode()) if isinstance(value, str) else value) for name, value in flat],
    )
    run.out.say(f"Next: txnpipe verify --run {run_id}")


def _options(past: PastRun) -> str:
    from txnpipe.operate.printable import printable

    text = ", ".join(f"{name} {value}" for name, value in past.options.items() if value is not None)
    return printable(text.encode(errors="backslashreplace"))


def _document(past: PastRun) -> dict[str, Any]:
    return {
        "run_id": past.run_id,
        "started_at": None if past.started_at is None else past.started_at.isoformat(),
        "finished_at": None if past.finished_at is None else past.finished_at.isoformat(),
        "state": past.state,
        "origin": past.origin,
        "events": past.events,
        "acknowledged": past.acknowledged,
        "invalid": past.invalid,
        "options": past.options,
        "stream": past.stream,
        "last_sequence_numbers": past.marks,
    }
