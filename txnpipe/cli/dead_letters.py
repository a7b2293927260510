"""`txnpipe dead-letters`: batches that Lambda gave up on."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Annotated, Any

import typer

from txnpipe.cli.frame import Invocation, command
from txnpipe.errors import ExitCode, TxnpipeError, usage_error

if TYPE_CHECKING:
    from txnpipe.operate.dead_letters import DeadLetter, Entry
    from txnpipe.operate.redrive import Outcome

SHOWN_DIGITS = 12
"""Of a sequence number of 56 digits; --json and show have them all."""

app = typer.Typer(help="Look at batches that Lambda gave up on; send them again, or throw them away.")

Keys = Annotated[
    list[str] | None, typer.Argument(metavar="[KEY]...", help="Objects, by key or by its last part.")
]
All = Annotated[bool, typer.Option("--all", help="Every failed batch.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]


@app.command("list")
@command()
def list_(run: Invocation) -> None:
    """List the failed batches, oldest first within a shard. Exit code 3: there are none.

    txnpipe dead-letters list

    txnpipe dead-letters list --json
    """
    from txnpipe.operate.dead_letters import choose_entries, open_dead_letter

    s3, bucket = _bucket(run)
    found = []
    for entry in choose_entries(s3, bucket, ()):
        letter = open_dead_letter(s3, bucket, entry)
        if letter is not None:
            found.append((_document(letter), _row(letter)))
    run.out.result("dead-letters", {"dead_letters": [document for document, _ in found]})
    columns = (
        "object",
        "written",
        "stream",
        "function",
        "shard",
        "sequence",
        "records",
        "condition",
        "bytes",
    )
    run.out.table(None, columns, [row for _, row in found], right="records bytes", whole=("object",))
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
        run.out.say("The object holds no payload; redrive reads the records from the stream.")


@app.command()
@command()
def redrive(
    run: Invocation,
    key: Keys = None,
    everything: All = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be sent; send nothing.")] = False,
    yes: Yes = False,
) -> ExitCode:
    """Send failed batches again, to the stream they came from, with the same partition keys.

    txnpipe dead-letters redrive --all --dry-run

    txnpipe dead-letters redrive --all

    txnpipe dead-letters redrive 2026-11-24T05.31.12-0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0

    An object is deleted once all its records were acknowledged. Rows and alerts that are stored already stay
    as they are, but every reader of the stream sees the records again: the rules look at transactions anew,
    and what goes to the alert stream is published to subscribers again, who know a repeat by its alert_id.
    So this asks before it sends alerts. Exit code 0: everything was sent; 1: something was not, and is named.
    """
    from txnpipe.operate.dead_letters import choose_entries, open_dead_letter
    from txnpipe.operate.redrive import LEFT
    from txnpipe.operate.redrive import redrive as send_again
    from txnpipe.traffic.stream import KinesisStream

    _one_of(key, everything)
    s3, bucket = _bucket(run)
    entries = choose_entries(s3, bucket, key or ())
    if not dry_run and not yes:
        letters = (open_dead_letter(s3, bucket, entry) for entry in entries)
        alerts = sum(letter.stream == run.names.alert_stream for letter in letters if letter is not None)
        if alerts:
            run.out.confirm(
                f"{alerts:,} of {len(entries):,} batches hold alerts, which are published again. Go on?"
            )
    outcomes = []
    for outcome in send_again(
        entries,
        s3=s3,
        bucket=bucket,
        kinesis=run.target.client("kinesis", retries={"mode": "standard", "total_max_attempts": 1}),
        streams={
            name: KinesisStream(run.target, name) for name in (run.names.stream, run.names.alert_stream)
        },
        dry_run=dry_run,
    ):
        outcomes.append(outcome)
        _tell(run, outcome)
    sent = sum(outcome.records for outcome in outcomes)
    left = [outcome for outcome in outcomes if outcome.state == LEFT]
    run.out.result(
        "dead-letters-redrive",
        {
            "dry_run": dry_run,
            "records": sent,
            "left": len(left),
            "batches": [
                {
                    "key": outcome.entry.key,
                    "state": outcome.state,
                    "stream": outcome.stream,
                    "records": outcome.records,
                    "source": outcome.source,
                    "reason": outcome.reason,
                }
                for outcome in outcomes
            ],
        },
    )
    if not dry_run:
        run.out.say(f"{sent:,} records were sent again. Next: txnpipe verify")
    return ExitCode.DIFFERENCE if left else ExitCode.OK


@app.command()
@command()
def discard(run: Invocation, key: Keys = None, everything: All = False, yes: Yes = False) -> None:
    """Delete failed batches without sending them. Their records are lost once the stream forgets them.

    txnpipe dead-letters discard --all

    txnpipe dead-letters discard 2026-11-24T05.31.12-0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0 --yes
    """
    from txnpipe.operate.dead_letters import choose_entries, delete_dead_letter

    _one_of(key, everything)
    s3, bucket = _bucket(run)
    entries: list[Entry] = choose_entries(s3, bucket, key or ())
    if not yes:
        batches = "1 failed batch" if len(entries) == 1 else f"{len(entries):,} failed batches"
        run.out.confirm(f"Delete {batches} for good?")
    for entry in entries:
        delete_dead_letter(s3, bucket, entry.key)
    run.out.result("dead-letters-discard", {"deleted": [entry.key for entry in entries]})
    run.out.say(f"Deleted {len(entries):,}.")


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
        text += f"  {outcome.records:,} records, by their {outcome.source}, to {outcome.stream}"
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
