"""`txnpipe rejects`."""

from __future__ import annotations

import base64
import re
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from txnpipe.cli.frame import Invocation, command
from txnpipe.cli.record_lines import write_lines
from txnpipe.errors import ExitCode, TxnpipeError, usage_error

if TYPE_CHECKING:
    from txnpipe.operate.rejects import Reject
    from txnpipe.warehouse.interface import Warehouse

PREVIEW = 60
SHORTEST_ENDING = 6
"""Of a sequence number: fewer digits fit too many."""

_AGO = re.compile(r"([0-9]{1,9})([smhd])")

app = typer.Typer(invoke_without_command=True)

Reason = Annotated[str | None, typer.Option(help="With this reason only.")]
Since = Annotated[
    str | None, typer.Option(help="Arrived since: 2h, 3d, or 2026-11-24T05:31 (UTC if no zone is given).")
]


@app.callback(invoke_without_command=True)
@command()
def rejects(
    run: Invocation,
    limit: Annotated[int, typer.Option("--limit", "-n", help="At most this many.")] = 20,
    reason: Reason = None,
    since: Since = None,
) -> None:
    """Show records that were no transactions, with the reason; mend them and send them again.

    txnpipe rejects

    txnpipe rejects --reason invalid_json --since 2h --limit 100

    txnpipe rejects show 49590338271490256608559692538361571095921575989136588898

    txnpipe rejects export --reason invalid_amount --output rejects.jsonl

    txnpipe rejects redrive --dry-run
    """
    from txnpipe.operate.rejects import count_rejects, newest_rejects
    from txnpipe.warehouse import open_warehouse

    if not 1 <= limit <= 10_000:
        raise usage_error(f"--limit is {limit}; it must be 1 to 10,000.", "Pass such a number to --limit.")
    moment = _moment(since)
    with open_warehouse(run.target, run.settings, run.names) as warehouse:
        found = newest_rejects(warehouse, limit=limit, reason=reason, since=moment)
        totals = count_rejects(warehouse, moment)
    run.out.result("rejects", {"by_reason": totals, "rejects": [_document(reject) for reject in found]})
    if not found:
        run.out.say("No rejects.")
        return
    run.out.table(
        None,
        ("arrived", "reason", "detail", "sequence number", "bytes", "payload"),
        [
            (
                reject.arrived_at.isoformat(sep=" ", timespec="milliseconds"),
                reject.reason,
                reject.detail,
                reject.sequence_number,
                reject.payload_bytes,
                reject.preview[:PREVIEW],
            )
            for reject in found
        ],
        right="bytes",
        whole=("reason", "sequence number"),
    )
    run.out.line(", ".join(f"{name}: {count:,}" for name, count in totals.items()))


@app.command()
@command()
def show(
    run: Invocation,
    record: Annotated[str, typer.Argument(help="Its sequence number, or the last digits of it.")],
) -> None:
    """Show one record: the reason, what the contract says to it today, and its payload, safe for a terminal.

    txnpipe rejects show 49590338271490256608559692538361571095921575989136588898

    txnpipe rejects show 136588898
    """
    from txnpipe.operate.rejects import MEANINGS
    from txnpipe.warehouse import open_warehouse

    with open_warehouse(run.target, run.settings, run.names) as warehouse:
        reject = _find(warehouse, record)
        today = _today(run, warehouse, reject)
    run.out.result("reject", _document(reject) | {"today": today})
    run.out.table(
        None,
        ("field", "value"),
        [
            ("reason", reject.reason),
            ("meaning", MEANINGS.get(reject.reason, "")),
            ("detail", reject.detail),
            ("today", today),
            ("record", f"{reject.stream} {reject.shard_id} {reject.sequence_number}"),
            ("arrived", f"{reject.arrived_at.isoformat(sep=' ')} UTC"),
            ("bytes", reject.payload_bytes),
            ("SHA-256", reject.payload_sha256),
        ],
    )
    run.out.raw(reject.text)


@app.command()
@command()
def export(
    run: Invocation,
    reason: Reason = None,
    since: Since = None,
    output: Annotated[Path | None, typer.Option(help="Write to this file instead of stdout.")] = None,
) -> None:
    """Write the payloads as lines, to mend them and send them as a file.

    txnpipe rejects export --reason invalid_amount --output rejects.jsonl

    txnpipe send --file rejects.jsonl

    Line ends inside a payload become spaces. A record of which only the beginning was kept is left out.
    """
    from rich.markup import escape

    from txnpipe.operate.rejects import rejects_of
    from txnpipe.warehouse import open_warehouse

    if run.json and output is None:
        raise usage_error("The lines and --json would be mixed.", "Pass --output FILE with --json.")
    moment = _moment(since)
    lines, cut = [], 0
    with open_warehouse(run.target, run.settings, run.names) as warehouse:
        for reject in rejects_of(warehouse, run.names.stream, reason=reason, since=moment):
            if reject.whole:
                lines.append(reject.payload.replace(b"\r", b" ").replace(b"\n", b" "))
            else:
                cut += 1
    write_lines(run, lines, output)
    run.out.result(
        "rejects-export",
        {"records": len(lines), "cut_off": cut, "output": None if output is None else str(output)},
    )
    if cut:
        run.out.warn(f"Left out, for only their first 32 KB were kept: {cut:,}.")
    if output is not None:
        run.out.say(f"Written: {len(lines):,}. Mend them, then: txnpipe send --file {escape(str(output))}")


@app.command()
@command()
def redrive(
    run: Invocation,
    record: Annotated[
        list[str] | None,
        typer.Argument(metavar="[RECORD]...", help="These only, as `rejects show` takes them."),
    ] = None,
    reason: Reason = None,
    since: Since = None,
    change: Annotated[
        list[str] | None, typer.Option("--set", help="FIELD=VALUE in each record. Repeatable.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the records, one a line; send nothing.")
    ] = False,
    new: Annotated[
        bool, typer.Option("--new", help="Start another run even if the same one is unfinished.")
    ] = False,
) -> ExitCode:
    """Send the records that are transactions by today's contract, as they are or with fields set.

    txnpipe rejects redrive --dry-run

    txnpipe rejects redrive --reason missing_field --set transaction_type=purchase

    txnpipe rejects redrive 136588898 --set amount=12.50

    They go as a run of their own, in the order of their arrival; txnpipe verify proves it. What is still
    invalid stays, and so does what has a transaction_id that is stored. The rejects stay in their table: they
    tell what was sent first, and txnpipe verify of that run counts them still. For changes record by record:
    txnpipe rejects export, then txnpipe send --file.

    After a stop the same command continues its run: it sends what is left of it, then what else is valid by
    now and not stored. It is the same with the same records, --reason, --since and --set, in any order; the
    2h of --since 2h end when the run began. It does not matter which rejects these are by now: what was sent
    may be stored. While the run is at work, the same command is refused.
    """
    from txnpipe.cli.redriving import find_redrive, send_payloads
    from txnpipe.operate.mending import mend
    from txnpipe.operate.rejects import rejects_of
    from txnpipe.traffic.selection import Selection
    from txnpipe.warehouse import open_warehouse

    changes = _changes(change)
    moment = _moment(since)
    if record and (reason or since):
        raise usage_error(
            "Records are named one by one and by --reason or --since.", "Pass one of the two ways."
        )
    with open_warehouse(run.target, run.settings, run.names) as warehouse:
        named = {each.sequence_number: each for each in (_find(warehouse, text) for text in record or ())}
        selection = Selection(
            records=tuple(sorted(named)),
            reason=reason,
            since=since if moment is None or _is_relative(since) else moment.isoformat(),
            changes=changes,
            arrived_since=moment,
        )
        found = find_redrive(run, selection, new=new)
        chosen: Any = [each for each in named.values() if each.stream == run.names.stream]
        if not record:
            moment = found.selection.arrived_since
            chosen = rejects_of(warehouse, run.names.stream, reason=reason, since=moment)
        mended = mend(warehouse, chosen, changes, found.spooled.keys())
    if mended.left:
        left = ", ".join(f"{cause}: {count:,}" for cause, count in mended.left.items())
        run.out.say(f"Left as they are: {left}")
    payloads = [*found.unsent, *mended.payloads]
    if dry_run:
        for payload in payloads:
            run.out.raw(payload.decode())
    if dry_run or not (payloads or found.stopped):
        run_id = found.stopped.manifest.run_id if found.stopped else None
        document = {"dry_run": dry_run, "run_id": run_id, "records": len(payloads), "left": mended.left}
        run.out.result("rejects-redrive", document | {"continued": found.stopped is not None})
        run.out.say(f"Would be sent: {len(payloads):,}." if dry_run else "Nothing to send.")
        return ExitCode.OK
    return send_payloads(run, found, mended.payloads, mended.left, new=new)


def _changes(texts: list[str] | None) -> dict[str, str]:
    from txnpipe.operate.mending import FIELDS

    changes = {}
    for text in texts or ():
        name, equals, value = text.partition("=")
        if not equals or name not in FIELDS:
            raise usage_error(f"--set is {text!r}; it is FIELD=VALUE.", f"Fields are: {', '.join(FIELDS)}.")
        changes[name] = value
    return changes


def _is_relative(text: str | None) -> bool:
    return text is not None and _AGO.fullmatch(text) is not None


def _moment(text: str | None) -> datetime | None:
    """UTC without a zone. Raises TxnpipeError (USAGE)."""
    from datetime import UTC, timedelta

    if text is None:
        return None
    now = datetime.now(UTC)
    unit = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
    try:
        if ago := _AGO.fullmatch(text):
            return (now - timedelta(**{unit[ago[2]]: int(ago[1])})).replace(tzinfo=None)
        moment = datetime.fromisoformat(text)
    except (ValueError, OverflowError):
        raise usage_error(
            f"--since is {text!r}; it is no time.", "Pass such as 2h, 3d or 2026-11-24T05:31."
        ) from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC).replace(tzinfo=None)


def _find(warehouse: Warehouse, ending: str) -> Reject:
    """The one record whose sequence number ends so. Raises TxnpipeError."""
    from txnpipe.operate.rejects import find_rejects

    if not (ending.isascii() and ending.isdigit() and len(ending) >= SHORTEST_ENDING):
        raise usage_error(
            f"{ending!r} is no sequence number, nor {SHORTEST_ENDING} digits of its end.",
            "txnpipe rejects lists them.",
        )
    found = find_rejects(warehouse, ending)
    if not found:
        raise TxnpipeError(
            f"No reject has a sequence number that ends in {ending}.",
            "txnpipe rejects lists them.",
            ExitCode.NOT_FOUND,
        )
    if len(found) > 1:
        raise usage_error(
            f"Several rejects have a sequence number that ends in {ending}.", "Pass more of its digits."
        )
    return found[0]


def _today(run: Invocation, warehouse: Warehouse, reject: Reject) -> str:
    """What the contract says to a record now, as a clause."""
    from txnpipe.operate.mending import mended_transaction, stored_ids
    from txnpipe.transactions import InvalidTransaction

    if reject.stream != run.names.stream:
        return f"not judged: it came from {reject.stream}"
    if not reject.whole:
        return "not judged: only its first 32 KB were kept"
    try:
        transaction = mended_transaction(reject.payload, {})
    except InvalidTransaction as problem:
        return f"{problem.reason}: {problem.detail}"
    if stored_ids(warehouse, [transaction.transaction_id]):
        return "valid, but a transaction with its transaction_id is stored"
    return "valid: txnpipe rejects redrive sends it"


def _document(reject: Reject) -> dict[str, Any]:
    return {
        "stream": reject.stream,
        "shard_id": reject.shard_id,
        "sequence_number": reject.sequence_number,
        "reason": reject.reason,
        "detail": reject.detail,
        "payload_bytes": reject.payload_bytes,
        "payload_sha256": reject.payload_sha256,
        "payload_base64": base64.b64encode(reject.payload).decode(),
        "arrived_at": reject.arrived_at.isoformat() + "Z",
        "stored_at": reject.stored_at.isoformat() + "Z",
    }
