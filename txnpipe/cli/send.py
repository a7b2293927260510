"""`txnpipe send`."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, BinaryIO

import typer

from txnpipe.cli.frame import Invocation, command
from txnpipe.errors import ExitCode, usage_error

if TYPE_CHECKING:
    from txnpipe.traffic.manifest import Manifest, Span
    from txnpipe.traffic.send import Job

DEFAULT_COUNT = 1000
DEFAULT_SEED = 1
MAX_RATE = 10_000_000
"""What the largest stream takes, 10,000 shards."""


@command()
def send(
    run: Invocation,
    count: Annotated[
        int | None, typer.Option(help=f"Synthetic transactions to send (default: {DEFAULT_COUNT:,}).")
    ] = None,
    rate: Annotated[
        float | None, typer.Option(help="Records per second (default: as fast as the stream takes them).")
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(help=f"Seed of the synthetic transactions (default: {DEFAULT_SEED})."),
    ] = None,
    file: Annotated[
        str | None,
        typer.Option(help="Send this file instead: JSON lines, or CSV with a header. - is standard input."),
    ] = None,
    anomaly_rate: Annotated[
        float | None,
        typer.Option(help="Planted anomalies per record, all rules together (default: 0.009)."),
    ] = None,
    anomaly: Annotated[
        list[str] | None,
        typer.Option(help="RULE=RATE: planted anomalies per record of one rule. Repeatable."),
    ] = None,
    skew: Annotated[float | None, typer.Option(help="Share of the records that one account has.")] = None,
    duplicates: Annotated[
        float | None, typer.Option(help="Share of the records that repeat an earlier one.")
    ] = None,
    late: Annotated[
        float | None,
        typer.Option(help="Share of the records dated a minute to an hour before their neighbours."),
    ] = None,
    invalid: Annotated[
        float | None, typer.Option(help="Share of the records that the loader must reject.")
    ] = None,
    days: Annotated[
        float | None,
        typer.Option(help="Spread the records over so many days, in a day's rhythm (default: 50 a second)."),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the records, one a line; send nothing.")
    ] = False,
    output: Annotated[Path | None, typer.Option(help="With --dry-run: write to this file instead.")] = None,
    new: Annotated[
        bool, typer.Option("--new", help="Start another run even if the same one is unfinished.")
    ] = False,
) -> ExitCode | None:
    """Send transactions: synthetic ones, or your own.

    txnpipe send --count 1000

    txnpipe send --count 20000 --rate 500 --seed 7

    txnpipe send --file transactions.jsonl

    generate-transactions | txnpipe send --file -

    txnpipe send --anomaly velocity=0.01 --skew 0.2 --duplicates 0.01 --late 0.01 --invalid 0.01

    txnpipe send --dry-run --count 100 --output events.jsonl

    Shares are of --count, from 0 to 1, and met on average; velocity and amount_spike anomalies take 8 and 13
    records each. txnpipe verify knows what a run sent on purpose.

    One send is one run; txnpipe verify proves it. The same command after a stop continues its run. Lines of a
    file that are no valid transactions are not sent but listed. Exit code 0: every record was acknowledged
    and every line was sent.
    """
    from txnpipe.cli.sending import showing, summary
    from txnpipe.traffic.runs import RunStore
    from txnpipe.traffic.send import choose
    from txnpipe.traffic.send import send as send_run
    from txnpipe.traffic.stream import KinesisStream

    _check(count, rate, seed, file)
    asked: dict[str, Any] = {
        "anomaly_rate": anomaly_rate, "anomaly": anomaly, "skew": skew, "duplicates": duplicates,
        "late": late, "invalid": invalid, "days": days,
    }  # fmt: skip
    if file is not None and (dry_run or any(value is not None for value in asked.values())):
        raise usage_error(
            "--file sends what is in the file; the other options make up synthetic transactions.",
            "Leave out --file, or the options that make up records.",
        )
    if output is not None and not dry_run:
        raise usage_error("--output is for --dry-run.", "Add --dry-run, or leave out --output.")
    made_up = _made_up(**asked)
    if dry_run:
        return _print(run, count or DEFAULT_COUNT, DEFAULT_SEED if seed is None else seed, made_up, output)
    stream = KinesisStream(run.target, run.names.stream)
    store = RunStore(run.target, run.names.bucket)
    with _input(run, file) as source:
        job = choose(store, _wanted(run, count, rate, seed, file, made_up, stream.open_shards()), new=new)
        _announce(run, job)
        try:
            with showing(run, job) as report:
                sent = send_run(store, stream, job, rate=rate, source=source, report=report)
        except KeyboardInterrupt:
            run.out.say(
                f"\nStopped. Run {job.manifest.run_id} is unfinished: the same command continues it, "
                "--new starts another."
            )
            return ExitCode.INTERRUPTED
    return summary(run, sent)


def _check(count: int | None, rate: float | None, seed: int | None, file: str | None) -> None:
    from txnpipe.traffic.manifest import MAX_COUNT

    if file is not None and (count is not None or seed is not None):
        raise usage_error(
            "--file sends what is in the file; --count and --seed are for synthetic transactions.",
            "Leave out either --file, or --count and --seed.",
        )
    if count is not None and not 1 <= count <= MAX_COUNT:
        raise usage_error(
            f"--count is {count}; a run has 1 to {MAX_COUNT:,} transactions.",
            "Pass such a number to --count.",
        )
    if rate is not None and not 0 < rate <= MAX_RATE:
        raise usage_error(
            f"--rate is {rate:g}; it must be above 0 and at most {MAX_RATE:,}.",
            "Pass records per second to --rate.",
        )
    if seed is not None and not 0 <= seed < 1 << 64:
        raise usage_error(f"--seed is {seed}; it must be 0 to 2^64 - 1.", "Pass such a number to --seed.")


def _made_up(anomaly_rate: float | None, anomaly: list[str] | None, **shares: float | None) -> dict[str, Any]:
    """What `generated_run` takes, checked."""
    from txnpipe.traffic.mix import Mix, anomaly_rates, check_mix, check_rate

    single: dict[str, float] = {}
    for each in anomaly or ():
        rule, _, text = each.partition("=")
        try:
            single[rule] = float(text)
        except ValueError:
            raise usage_error(
                f"--anomaly is {each!r}; it is RULE=RATE.", "Pass such as --anomaly velocity=0.01."
            ) from None
    if anomaly_rate is not None:
        check_rate("--anomaly-rate", anomaly_rate)
    if shares["days"] == 0:
        raise usage_error("--days is 0; it must be above 0.", "Pass a number of days, or leave it out.")
    mix = Mix(**{name: value for name, value in shares.items() if value is not None})
    rates = anomaly_rates(anomaly_rate, single)
    check_mix(rates, mix)
    return {"anomalies": rates, "mix": mix}


def _print(
    run: Invocation, count: int, seed: int, made_up: dict[str, Any], output: Path | None
) -> ExitCode | None:
    """Writes the records of a run as they would be sent, one a line."""
    from txnpipe.errors import TxnpipeError
    from txnpipe.traffic.generator import Generator
    from txnpipe.traffic.manifest import generated_run, new_run_id, utc_now

    now = utc_now()
    manifest = generated_run(
        run_id=new_run_id(now), pipeline=run.settings.pipeline, count=count, seed=seed, now=now, **made_up
    )
    records = Generator(manifest).records(0, count)
    if output is None:
        for _, payload in records:
            # A record that is no UTF-8 is shown with a backslash sequence: stdout is text.
            run.out.raw(payload.decode(errors="backslashreplace"))
            if run.out.gone:
                return None
    else:
        try:
            with (run.environment.directory / output).open("wb") as file:
                file.writelines(payload + b"\n" for _, payload in records)
        except OSError as error:
            raise TxnpipeError(
                f"The records cannot be written to {output}: {error.strerror}.",
                "Choose another file with --output.",
                ExitCode.ENVIRONMENT,
            ) from error
    run.out.result(
        "send-dry-run",
        {"run_id": manifest.run_id, "count": count, "output": None if output is None else str(output)},
    )
    return None


@contextlib.contextmanager
def _input(run: Invocation, file: str | None) -> Iterator[BinaryIO | None]:
    if file is None:
        yield None
    elif file == "-":
        buffer: BinaryIO = getattr(run.environment.stdin, "buffer")  # noqa: B009 - TextIO does not promise one
        # Unbuffered: a reader that waits in a buffer holds its lock, and Python would abort at its end.
        yield getattr(buffer, "raw", buffer)
    else:
        path = run.environment.directory / file
        try:
            opened = path.open("rb", buffering=0)
        except OSError as error:
            raise usage_error(
                f"{file!r} cannot be read: {error.strerror}.", "Pass a JSON-lines or CSV file to --file."
            ) from error
        with opened:
            yield opened


def _wanted(
    run: Invocation,
    count: int | None,
    rate: float | None,
    seed: int | None,
    file: str | None,
    made_up: dict[str, Any],
    shards: tuple[Span, ...],
) -> Manifest:
    """The manifest of the run that this command would start."""
    from txnpipe.traffic.manifest import generated_run, input_run, new_run_id, utc_now

    now = utc_now()
    common: dict[str, Any] = {
        "run_id": new_run_id(now),
        "pipeline": run.settings.pipeline,
        "now": now,
        "rate": rate,
        "stream": run.names.stream,
        "shards": shards,
    }
    if file is None:
        return generated_run(
            count=count or DEFAULT_COUNT, seed=DEFAULT_SEED if seed is None else seed, **made_up, **common
        )
    name = file if file == "-" else str(Path(run.environment.directory / file).resolve())
    return input_run(input_name=name, **common)


def _announce(run: Invocation, job: Job) -> None:
    from rich.markup import escape

    manifest = job.manifest
    named = "standard input" if manifest.input_name == "-" else escape(manifest.input_name or "")
    what = f"{manifest.count:,} transactions" if manifest.count is not None else named
    pace = f" at {manifest.rate:g}/s" if manifest.rate else ""
    if job.earlier is not None:
        run.out.say(
            f"Continuing run [bold]{manifest.run_id}[/bold] ({what}) at record {job.start:,}; "
            "--new starts another."
        )
    else:
        shards = f"{len(manifest.shards)} shard{'s' if len(manifest.shards) != 1 else ''}"
        run.out.say(f"Run [bold]{manifest.run_id}[/bold]: {what}{pace} into {manifest.stream} ({shards})")
