"""`txnpipe dead-letters`: batches that Lambda gave up on."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Annotated, Any

import typer

from txnpipe.cli.frame import Invocation, command
from txnpipe.errors import ExitCode, TxnpipeError, usage_error

if TYPE_CHECKING:
    from txnpipe.operate.dead_letters import DeadLetter
    from txnpipe.operate.redrive import Outcome

SHOWN_DIGITS = 12
"""Of a sequence number of 56 digits; --json and show have them all."""

NONE = "There are no failed batches."

app = typer.Typer(help="Look at batches that Lambda gave up on; send them again, or throw them away.")

Keys = Annotated[
    list[str] | None, typer.Argument(metavar="[KEY]...", help="Objects, by key or by its last part.")
]
All = Annotated[bool, typer.Option("--all", help="Every failed batch.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]


@app.command("list")
@command()
def list_(
    run: Invocation,
    limit: Annotated[int, typer.Option("--limit", "-n", help="At most this many; each is read.")] = 100,
) -> None:
    """List the failed batches, the newest first.

    txnpipe dead-letters list

    txnpipe dead-letters list --limit 1000 --json
    """
    from txnpipe.operate.dead_letters import choose_entries, open_dead_letter

    if not 1 <= limit <= 10_000:
        raise usage_error(f"--limit is {limit}; it must be 1 to 10,000.", "Pass such a number to --limit.")
    s3, bucket = _bucket(run)
    entries = choose_entries(s3, bucket, ())
    entries.sort(key=lambda entry: entry.written_at, reverse=True)
    found = []
    with run.out.status("Reading failed batches …"):
        for entry in entries[:limit]:
            letter = open_dead_letter(s3, bucket, entry)
            if letter is not None:
                found.append((_document(letter), _row(letter)))
    run.out.result(
        "dead-letters", {"total": len(entries), "dead_letters": [document for document, _ in found]}
    )
    if not entries:
        run.out.say(NONE)
        return
    columns = [
        "object",
        "written",
        "stream",
        "function",
        "shard",
        "sequence",
        "records",
        "condition",
        "bytes",
    ]
    run.out.table(None, columns, [row for _, row in found], right="records bytes", whole=("object",))
    if len(entries) > limit:
        run.out.say(f"The newest {limit:,} of {len(entries):,}; --limit shows more.")
    run.out.say("Next, once the cause is mended: txnpipe dead-letters redrive --all")


@app.command()
@command()
def show(
    run: Invocation, key: Annotated[str, typer.Argument(help="Object, by key or by its last part.")]
) -> None:
    """Show one failed batch with the payload of its records; what would control a terminal is escaped.

    txnpipe dead-letters show 2026-11-24T05.31.12-0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0
    """
    from txnpipe.operate.dead_letters import choose_entries, open_dead_letter
    from txnpipe.operate.printable import printable

    s3, bucket = _bucket(run)
    entry = choose_entries(s3, bucket, [key])[0]
    letter = open_dead_letter(s3, bucket, entry)
    if letter is None:
        raise TxnpipeError(
            f"{entry.key} was removed just now.",
            "txnpipe dead-letters list shows the rest.",
            ExitCode.NOT_FOUND,
        )
    records = [
        {
            "partition_key": each.partition_key,
            "sequence_number": each.sequence_number,
            "payload_base64": base64.b64encode(each.data).decode(),
        }
        for each in letter.records
    ]
    run.out.result("dead-letter", _document(letter) | {"payloads": records})
    fields = [(name.replace("_", " "), value) for name, value in _document(letter).items()]
    run.out.table(None, ("field", "value"), [(name, _harmless(value)) for name, value in fields])
    for each in letter.records:
        run.out.raw(printable(each.data))
    if not letter.records:
        run.out.say("The object holds no records; redrive cannot hand it over.")


@app.command()
@command()
def redrive(
    run: Invocation,
    key: Keys = None,
    everything: All = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be sent; send nothing.")] = False,
) -> ExitCode:
    """Hand failed batches to the function that failed, once the cause is mended.

    txnpipe dead-letters redrive --all --dry-run

    txnpipe dead-letters redrive --all

    txnpipe dead-letters redrive 2026-11-24T05.31.12-0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0

    The function gets the same event as before. The stream does not: the rules have had these transactions, so
    none is counted twice or out of order, and rows keep their place in the shard and their time of arrival.
    What is stored stays as it is. The notifier publishes all alerts of its batch; who got one before knows it
    by its alert_id.

    An object is deleted once the function has taken its batch; after a stop the same command goes on. Exit
    code 0: every batch was taken; 1: one was not, and is named.
    """
    from txnpipe.operate.dead_letters import choose_entries
    from txnpipe.operate.redrive import LEFT
    from txnpipe.operate.redrive import redrive as send_again

    _one_of(key, everything)
    s3, bucket = _bucket(run)
    outcomes = []
    for outcome in send_again(
        choose_entries(s3, bucket, key or ()),
        target=run.target,
        bucket=bucket,
        functions=(run.names.loader, run.names.notifier),
        timeout_s=max(run.settings.loader.timeout_seconds, run.settings.notifier.timeout_seconds),
        dry_run=dry_run,
    ):
        outcomes.append(outcome)
        _tell(run, outcome)
    left = sum(outcome.state == LEFT for outcome in outcomes)
    records = sum(outcome.records for outcome in outcomes)
    run.out.result(
        "dead-letters-redrive",
        {
            "dry_run": dry_run,
            "records": records,
            "left": left,
            "batches": [
                {
                    "key": outcome.entry.key,
                    "state": outcome.state,
                    "function": outcome.function,
                    "records": outcome.records,
                    "reason": outcome.reason,
                }
                for outcome in outcomes
            ],
        },
    )
    if not outcomes:
        run.out.say(NONE)
    elif not dry_run:
        run.out.say(f"Records taken: {records:,}. Batches left: {left:,}. Next: txnpipe verify")
    return ExitCode.DIFFERENCE if left else ExitCode.OK


@app.command()
@command()
def discard(run: Invocation, key: Keys = None, everything: All = False, yes: Yes = False) -> None:
    """Delete failed batches without sending them: nothing brings their records back.

    txnpipe verify names what is missing then.

    txnpipe dead-letters discard --all

    txnpipe dead-letters discard 2026-11-24T05.31.12-0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0 --yes
    """
    from txnpipe.operate.dead_letters import choose_entries, delete_dead_letter

    _one_of(key, everything)
    s3, bucket = _bucket(run)
    entries = choose_entries(s3, bucket, key or ())
    if not yes and entries:
        batches = "1 failed batch" if len(entries) == 1 else f"{len(entries):,} failed batches"
        run.out.confirm(f"Delete {batches} for good?")
    for entry in entries:
        delete_dead_letter(s3, bucket, entry.key)
    run.out.result("dead-letters-discard", {"deleted": [entry.key for entry in entries]})
    run.out.say(f"Deleted {len(entries):,}." if entries else NONE)


def _one_of(keys: list[str] | None, everything: bool) -> None:
    if bool(keys) == everything:
        raise usage_error(
            "Which failed batches is not said." if not keys else "--all has every failed batch already.",
            "Pass either keys, as txnpipe dead-letters list shows them, or --all.",
        )


def _bucket(run: Invocation) -> tuple[Any, str]:
    """An S3 client and the pipeline's bucket. Raises TxnpipeError (NOT_FOUND) without a pipeline."""
    from txnpipe.traffic.runs import RunStore

    RunStore(run.target, run.names.bucket).get("runs/")
    return run.target.client("s3"), run.names.bucket


def _tell(run: Invocation, outcome: Outcome) -> None:
    text = f"{outcome.state}  {_harmless(outcome.entry.name)}"
    if outcome.records:
        text += f"  {outcome.records:,} records to {outcome.function}"
    if outcome.reason:
        run.out.warn(f"{text}: {_harmless(outcome.reason)}")
    else:
        run.out.raw(text)


def _row(letter: DeadLetter) -> tuple[object, ...]:
    first, last = (
        f"…{number[-SHOWN_DIGITS:]}" if len(number) > SHOWN_DIGITS else number
        for number in (letter.first_sequence_number, letter.last_sequence_number)
    )
    return (
        _harmless(letter.name),
        f"{letter.written_at:%Y-%m-%d %H:%M:%S}",
        _harmless(letter.stream),
        _harmless(letter.function),
        _harmless(letter.shard_id),
        _harmless(f"{first} to {last}" if first or last else ""),
        letter.batch_size,
        _harmless(letter.condition or "not readable"),
        letter.size,
    )


def _harmless(value: object) -> object:
    """Text of strangers, for a terminal."""
    from txnpipe.operate.printable import printable

    return printable(value.encode(errors="backslashreplace")) if isinstance(value, str) else value


def _document(letter: DeadLetter) -> dict[str, Any]:
    return {
        "key": letter.key,
        "written_at": letter.written_at.isoformat(),
        "stream": letter.stream,
        "function": letter.function,
        "shard_id": letter.shard_id,
        "first_sequence_number": letter.first_sequence_number,
        "last_sequence_number": letter.last_sequence_number,
        "records": letter.batch_size,
        "payloads_held": len(letter.records),
        "condition": letter.condition,
        "error": letter.error,
        "bytes": letter.size,
    }
