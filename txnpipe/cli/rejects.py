"""`txnpipe rejects`."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Annotated, Any

import typer

from txnpipe.cli.frame import Invocation, command
from txnpipe.errors import ExitCode, TxnpipeError, usage_error

if TYPE_CHECKING:
    from txnpipe.operate.rejects import Reject

PREVIEW = 60


@command()
def rejects(
    run: Invocation,
    limit: Annotated[int, typer.Option("--limit", "-n", help="At most this many.")] = 20,
    reason: Annotated[str | None, typer.Option(help="With this reason only.")] = None,
    show: Annotated[
        str | None, typer.Option("--show", help="Show the record with this sequence number and its payload.")
    ] = None,
) -> None:
    """Show records that were no transactions, with the reason.

    txnpipe rejects

    txnpipe rejects --reason invalid_json --limit 100

    txnpipe rejects --show 49590338271490256608559692538361571095921575989136588898
    """
    from txnpipe.operate.rejects import count_rejects, newest_rejects
    from txnpipe.warehouse import open_warehouse

    if not 1 <= limit <= 10_000:
        raise usage_error(f"--limit is {limit}; it must be 1 to 10,000.", "Pass such a number to --limit.")
    with open_warehouse(run.target, run.settings, run.names) as warehouse:
        if show is not None:
            _show(run, warehouse, show)
            return
        found = newest_rejects(warehouse, limit=limit, reason=reason)
        totals = count_rejects(warehouse)
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


def _show(run: Invocation, warehouse: Any, sequence_number: str) -> None:
    from txnpipe.operate.rejects import find_reject

    reject = find_reject(warehouse, sequence_number)
    if reject is None:
        raise TxnpipeError(
            f"No reject has the sequence number {sequence_number}.",
            "txnpipe rejects lists them.",
            ExitCode.NOT_FOUND,
        )
    run.out.result("reject", _document(reject))
    run.out.table(
        None,
        ("field", "value"),
        [
            ("reason", reject.reason),
            ("detail", reject.detail),
            ("record", f"{reject.stream} {reject.shard_id} {reject.sequence_number}"),
            ("arrived", f"{reject.arrived_at.isoformat(sep=' ')} UTC"),
            ("bytes", reject.payload_bytes),
            ("SHA-256", reject.payload_sha256),
        ],
    )
    run.out.raw(reject.text)


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
