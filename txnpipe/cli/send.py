"""`txnpipe send`."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, BinaryIO, Literal

import typer

from txnpipe.cli.frame import Invocation, command
from txnpipe.cli.record_lines import write_lines
from txnpipe.cli.send_options import DEFAULT_COUNT, DEFAULT_SEED, Options, check, check_resume, wanted
from txnpipe.errors import ExitCode, usage_error
from txnpipe.traffic.keys import ACCOUNT, PartitionKey
from txnpipe.traffic.rates import Form

if TYPE_CHECKING:
    from txnpipe.traffic.job import Job
    from txnpipe.traffic.runs import RunStore
    from txnpipe.traffic.stream import Stream


@command()
def send(
    run: Invocation,
    count: Annotated[
        int | None, typer.Option(help=f"Synthetic transactions to send (default: {DEFAULT_COUNT:,}).")
    ] = None,
    duration: Annotated[
        str | None,
        typer.Option(help="How long to send instead: 30s, 5m, 1h. Of a file: after this, reading ends."),
    ] = None,
    rate: Annotated[
        float | None, typer.Option(help="Records per second (default: as fast as the stream takes them).")
    ] = None,
    rate_profile: Annotated[
        Form | None, typer.Option(help="How the rate changes; --rate is its highest (default: steady).")
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(help=f"Seed of the synthetic transactions (default: {DEFAULT_SEED})."),
    ] = None,
    file: Annotated[
        str | None,
        typer.Option(help="Send this file instead: JSON lines, or CSV with a header. - is standard input."),
    ] = None,
    on_error: Annotated[
        Literal["skip", "stop"] | None,
        typer.Option(help="What a bad line of the file does (default: skip; all are listed)."),
    ] = None,
    partition_key: Annotated[
        PartitionKey | None, typer.Option(help=f"The field that chooses the shard (default: {ACCOUNT}).")
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(help="Calls to the stream at the same time (default: 2, and one more per 8 shards)."),
    ] = None,
    ordered: Annotated[
        bool,
        typer.Option(
            "--ordered", help="Store the records of a partition key in their order, whatever fails."
        ),
    ] = False,
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
    resume: Annotated[
        str | None, typer.Option(metavar="RUN", help="Continue this unfinished run, with its own options.")
    ] = None,
    new: Annotated[
        bool, typer.Option("--new", help="Start another run even if the same one is unfinished.")
    ] = False,
) -> ExitCode | None:
    """Send transactions: synthetic ones, or your own.

    txnpipe send --count 1000

    txnpipe send --count 20000 --rate 500 --seed 7

    txnpipe send --duration 5m --rate 2000 --rate-profile spike

    txnpipe send --file transactions.jsonl

    generate-transactions | txnpipe send --file -

    txnpipe send --anomaly velocity=0.01 --skew 0.2 --duplicates 0.01 --late 0.01 --invalid 0.01

    txnpipe send --dry-run --count 100 --output events.jsonl

    txnpipe send --resume 20261124T053112-4f9a1c

    Shares are of --count, from 0 to 1, and met on average; velocity and amount_spike anomalies take 8 and 13
    records each. txnpipe verify knows what a run sent on purpose.

    Profiles: ramp goes from nothing up to --rate; sine up to it and back; spike stays at a tenth of it, but
    for the middle tenth of the time. They average 1/2, 1/2 and 0.19 of --rate, and need --duration or
    --count.

    --duration with --rate sends what the rate makes of that time, however long the stream takes for it;
    without --rate as much as the stream takes. Of a file it reads no further after that time, or after as
    many records as the rate makes of it.

    A shard has one call out at a time, and what a call could not store goes first again. Only within one
    call, which Kinesis does not promise to keep in order, can records of one key change places. With
    --ordered a call carries a key once: then they cannot. It costs calls where few keys have many records,
    since a key moves at one record per round trip (of a call of 20 ms: 50 a second), and a record that the
    stream refuses for good holds back all later ones of its key.

    One send is one run; txnpipe verify proves it. The same command after a stop continues its run, and so
    does --resume; time between does not count as --duration. One process at a time works on a run: beside it
    the same command starts another, and --resume is refused. A send that slept so long that another one has
    continued its run stops. Lines of a file that are no valid transactions are not sent but listed. With
    --on-error stop the first one ends the run: what comes before it is sent, and once it is mended the run
    continues at that line, if the lines before are unchanged. Exit code 0: every record was acknowledged and
    every line was sent.
    """
    from txnpipe.cli.sending import showing, summary
    from txnpipe.traffic.runs import RunStore
    from txnpipe.traffic.send import send as send_run
    from txnpipe.traffic.stream import KinesisStream

    asked = Options(
        count=count, duration=duration, rate=rate, rate_profile=rate_profile, seed=seed, file=file,
        on_error=on_error, partition_key=partition_key, anomaly_rate=anomaly_rate,
        anomaly=tuple(anomaly or ()), skew=skew, duplicates=duplicates, late=late, invalid=invalid, days=days,
        dry_run=dry_run, output=output, resume=resume, new=new,
    )  # fmt: skip
    check(asked)
    _check_workers(workers)
    if dry_run:
        return _print(run, asked)
    stream = KinesisStream(run.target, run.names.stream)
    store = RunStore(run.target, run.names.bucket)
    with _input(run, file) as source:
        job = _job(run, asked, store, stream)
        _announce(run, job)
        try:
            with showing(run, job) as report:
                sent = send_run(
                    store, stream, job, workers=workers, ordered=ordered, source=source, report=report
                )
        except KeyboardInterrupt:
            run.out.say(_stopped(job, asked))
            return ExitCode.INTERRUPTED
    return summary(run, sent)


def _check_workers(workers: int | None) -> None:
    from txnpipe.traffic.stream import MAX_WORKERS

    if workers is not None and not 1 <= workers <= MAX_WORKERS:
        raise usage_error(
            f"--workers is {workers}; it must be 1 to {MAX_WORKERS}.", "Pass such a number to --workers."
        )


def _job(run: Invocation, asked: Options, store: RunStore, stream: Stream) -> Job:
    """The run to send: the one that is named, the unfinished one of the same command, or a new one."""
    from txnpipe.traffic.send import choose, resume

    if asked.resume is None:
        return choose(store, wanted(run, asked, run.names.stream, stream.open_shards()), new=asked.new)
    job = resume(store, asked.resume, lambda manifest: check_resume(asked, manifest))
    return replace(job, on_error=asked.on_error or job.on_error)


def _stopped(job: Job, asked: Options) -> str:
    """What Ctrl-C leaves. A run whose input gave nothing yet is not there."""
    from rich.markup import escape

    run_id = job.manifest.run_id
    if job.manifest.source == "input" and job.earlier is None:
        again = "if anything was read, the same command continues it, and so does"
    else:
        again = "the same command continues it, and so does"
    file = f" --file {escape(asked.file)}" if asked.file is not None else ""
    return (
        f"\nStopped. Run {run_id} is unfinished: {again} txnpipe send --resume {run_id}{file}; "
        "--new starts another."
    )


def _print(run: Invocation, asked: Options) -> ExitCode | None:
    """Writes the records of a run as they would be sent, one a line."""
    from txnpipe.traffic.generator import Generator

    manifest, output = wanted(run, asked, "", ()), asked.output
    if manifest.count is None:
        raise usage_error(
            "--dry-run needs to know how many records there are; --duration alone leaves it open.",
            "Pass --rate as well, or --count instead of --duration.",
        )
    records = Generator(manifest).records(0, manifest.count)
    write_lines(run, (payload for _, payload in records), output)
    run.out.result(
        "send-dry-run",
        {
            "run_id": manifest.run_id,
            "count": manifest.count,
            "output": None if output is None else str(output),
        },
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


def _announce(run: Invocation, job: Job) -> None:
    from rich.markup import escape

    manifest = job.manifest
    named = "standard input" if manifest.input_name == "-" else escape(manifest.input_name or "transactions")
    what = f"{manifest.count:,} transactions" if manifest.count is not None else named
    if manifest.duration_s is not None:
        what += f" for {manifest.duration_s:g} s"
    profile = f" ({manifest.profile})" if manifest.profile != "steady" else ""
    pace = f" at {manifest.rate:g}/s{profile}" if manifest.rate else ""
    if job.earlier is not None:
        run.out.say(
            f"Continuing run [bold]{manifest.run_id}[/bold] ({what}) at record {job.start:,}; "
            "--new starts another."
        )
    else:
        shards = f"{len(manifest.shards)} shard{'s' if len(manifest.shards) != 1 else ''}"
        run.out.say(f"Run [bold]{manifest.run_id}[/bold]: {what}{pace} into {manifest.stream} ({shards})")
    if manifest.partition_key != ACCOUNT:
        _warn_of_order(run, manifest.partition_key)


def _warn_of_order(run: Invocation, partition_key: PartitionKey) -> None:
    from txnpipe.packaging.rules import enabled_rules

    ordered = [rule.name for rule in enabled_rules(run.settings) if rule.ordered]
    if ordered:
        run.out.warn(
            f"--partition-key {partition_key} spreads an account's records over shards: alerts of "
            f"{' and '.join(ordered)}, which look at them in order, may differ from what verify asks for."
        )
