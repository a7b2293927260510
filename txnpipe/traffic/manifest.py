"""What a run is: everything that any machine needs to compute, or to read, each of its events.

A manifest is written to the pipeline's bucket before the first record and never changes. Together with the
index of an event it determines the event, so a run of a million needs no stored list to be checked.
"""

from __future__ import annotations

import math
import secrets
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Literal

import msgspec

from txnpipe.errors import ExitCode, TxnpipeError, usage_error
from txnpipe.traffic.keys import ACCOUNT, PartitionKey
from txnpipe.traffic.mix import DEFAULT_ANOMALIES, Mix, check_mix
from txnpipe.traffic.rates import Form, Rate, rate_for
from txnpipe.traffic.selection import Selection

VERSION = 3
"""Raised when a field of the manifest changes its meaning. An older txnpipe refuses a newer manifest.

2: `mix`; large amounts are drawn among new and valid records outside stories, so that their rate is met.
3: `count` may be unknown of a synthetic run, too (`duration_s`); `partition_key`."""

RUN_ID_LENGTH = 22
"""20261124T053112-4f9a1c: to the second, then six random hexadecimal digits."""

MAX_COUNT = 1_000_000_000
"""An index has nine digits in a transaction_id."""

DEFAULT_PACE = 50
"""Events per second of event time: a thousand events tell of twenty seconds. How fast they are sent is
another matter (`--rate`), so that the events of a run do not depend on it."""

MAX_DURATION_S = 30 * 86_400.0
MOST_PER_SECOND = 100_000
"""A run whose count is not known beforehand has at most so many records per second of its duration: its
events are dated so far back that none lies in the future."""

DEFAULT_ACCOUNTS = 20_000
"""Ordinary accounts. At 50 events a second an account is seen about every seven minutes."""


OnError = Literal["skip", "stop"]


class Span(msgspec.Struct, frozen=True):
    """One open shard and its range of hash keys, both ends included. Decimal text: 128 bits."""

    shard_id: str
    starting_hash_key: str
    ending_hash_key: str


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """One run.

    source: "generated" (events are computed from seed, index, start and pace) or "input" (events were read
    from a file or standard input and lie in the run's spool).
    count: number of records; None where it is known only at the end (see `RunResult`): of input, and of a
    synthetic run that has a duration and no rate.
    duration_s: seconds after which reading input, or making records, ends; None for none. limit: the most
    records of a run without a count; None for no limit.
    seed, accounts, anomalies, mix, pace: what the generator needs; pace is in events per second of event
    time.
    start: event time of index 0, UTC.
    input_name, input_format: what was read, as the user named it, and how.
    on_error: what a line of the input does that is no valid transaction.
    rate: records per second that the user asked for, None for as fast as the stream takes them; of a profile
    other than steady the highest (see `rates`).
    partition_key: the field that chooses a record's shard.
    selection: of a run of rejects, which; None for others, and for those of older versions.
    stream, shards: where it goes, and the shard map before the first record.
    """

    run_id: str
    pipeline: str
    source: Literal["generated", "input"]
    count: int | None
    seed: int
    start: datetime
    created_at: datetime
    pace: int = DEFAULT_PACE
    accounts: int = DEFAULT_ACCOUNTS
    anomalies: dict[str, float] = msgspec.field(default_factory=lambda: dict(DEFAULT_ANOMALIES))
    mix: Mix = Mix()
    input_name: str | None = None
    input_format: Literal["json", "csv"] | None = None
    on_error: OnError = "skip"
    rate: float | None = None
    profile: Form = "steady"
    duration_s: float | None = None
    limit: int | None = None
    partition_key: PartitionKey = ACCOUNT
    selection: Selection | None = None
    stream: str = ""
    shards: tuple[Span, ...] = ()
    version: int = VERSION

    @property
    def pacing(self) -> Rate | None:
        """How fast its records are released; None for as fast as the stream takes them."""
        return rate_for(self.rate, self.profile, duration_s=self.duration_s, count=self.count)

    def same_work(self, other: Manifest) -> bool:
        """Whether two manifests come from the same command: a killed `send` continues the run of its twin.

        The rate is no part of it: it changes how fast records go, not which. Neither is what a bad line does:
        all lines before it are sent either way.
        """
        return self._work() == other._work()

    def _work(self) -> tuple[object, ...]:
        return (
            self.pipeline,
            self.source,
            self.count,
            self.seed,
            self.pace,
            self.accounts,
            self.anomalies,
            self.mix,
            self.input_name,
            self.input_format,
            self.duration_s,
            self.limit,
            self.partition_key,
            self.selection and self.selection.command,
        )


def new_run_id(now: datetime, random_hex: Callable[[int], str] = secrets.token_hex) -> str:
    """A run id that sorts by time: 20261124T053112-4f9a1c. `random_hex(n)` gives 2n hexadecimal digits."""
    return f"{now:%Y%m%dT%H%M%S}-{random_hex(3)}"


def generated_run(
    *,
    run_id: str,
    pipeline: str,
    seed: int,
    now: datetime,
    count: int | None = None,
    duration_s: float | None = None,
    anomalies: Mapping[str, float] = DEFAULT_ANOMALIES,
    mix: Mix = Mix(),  # noqa: B008 - frozen
    rate: float | None = None,
    profile: Form = "steady",
    partition_key: PartitionKey = ACCOUNT,
    stream: str = "",
    shards: tuple[Span, ...] = (),
) -> Manifest:
    """The manifest of a synthetic run. Its events end about now at the latest: none lies in the future.

    Either `count` or `duration_s` is there. With a duration and a rate the count is what the rate makes of
    it; without a rate it is open. Raises TxnpipeError (USAGE) for what no run can be made of.
    """
    check_mix(anomalies, mix)
    paced = rate_for(rate, profile, duration_s=duration_s, count=count)
    limit = None
    if duration_s is not None:
        count = _total(paced)
        limit = _most(duration_s) if count is None else None
    if count is None and mix.days:
        raise usage_error(
            "--days spreads a known number of records; --duration alone leaves it open.",
            "Pass --rate as well, or --count instead of --duration.",
        )
    events = count if count is not None else limit or 0
    length = (
        timedelta(days=mix.days) if mix.days else timedelta(microseconds=events * 1_000_000 // DEFAULT_PACE)
    )
    return Manifest(
        run_id=run_id,
        pipeline=pipeline,
        source="generated",
        count=count,
        seed=seed,
        start=now - length,
        created_at=now,
        anomalies=dict(anomalies),
        mix=mix,
        rate=rate,
        profile=profile,
        duration_s=duration_s,
        limit=limit,
        partition_key=partition_key,
        stream=stream,
        shards=shards,
    )


def input_run(
    *,
    run_id: str,
    pipeline: str,
    input_name: str,
    now: datetime,
    on_error: OnError = "skip",
    duration_s: float | None = None,
    rate: float | None = None,
    profile: Form = "steady",
    partition_key: PartitionKey = ACCOUNT,
    selection: Selection | None = None,
    stream: str = "",
    shards: tuple[Span, ...] = (),
) -> Manifest:
    """The manifest of a run that reads `input_name` ("-" for standard input), as CSV where it is named so.

    With a duration and a rate it has at most the records that the rate makes of the duration. Raises
    TxnpipeError (USAGE).
    """
    paced = rate_for(rate, profile, duration_s=duration_s)
    return Manifest(
        run_id=run_id,
        pipeline=pipeline,
        source="input",
        count=None,
        seed=0,
        start=now,
        created_at=now,
        input_name=input_name,
        input_format="csv" if input_name.lower().endswith(".csv") else "json",
        on_error=on_error,
        rate=rate,
        profile=profile,
        duration_s=duration_s,
        limit=_total(paced) if duration_s is not None else None,
        partition_key=partition_key,
        selection=selection,
        stream=stream,
        shards=shards,
    )


def _total(paced: Rate | None) -> int | None:
    """What a rate with an end makes; None without a rate. Raises TxnpipeError (USAGE)."""
    if paced is None:
        return None
    total = paced.total()
    if not 1 <= total <= MAX_COUNT:
        raise usage_error(
            f"--rate {paced.peak:g} for --duration makes {total:,} records; a run has 1 to {MAX_COUNT:,}.",
            "Change --rate or --duration.",
        )
    return total


def _most(duration_s: float) -> int:
    return min(math.ceil(duration_s * MOST_PER_SECOND), MAX_COUNT)


def encode_manifest(manifest: Manifest) -> bytes:
    """JSON, indented: people look at it in the bucket."""
    return msgspec.json.format(msgspec.json.encode(manifest), indent=2)


def decode_manifest(data: bytes, where: str) -> Manifest:
    """Reads a manifest. Raises TxnpipeError: USAGE if it is of a newer version, SERVICE if it is damaged."""
    try:
        head = msgspec.json.decode(data, type=_Head)
        if head.version > VERSION:
            raise TxnpipeError(
                f"The manifest {where} has version {head.version}; this txnpipe reads up to {VERSION}.",
                "Use the txnpipe that made the run, or a newer one.",
                ExitCode.USAGE,
            )
        return msgspec.json.decode(data, type=Manifest)
    except msgspec.DecodeError as error:
        raise TxnpipeError(
            f"The manifest {where} cannot be read: {error}.",
            "Delete the run's objects from the bucket, then send again with --new.",
            ExitCode.SERVICE,
        ) from error


class _Head(msgspec.Struct):
    version: int


def utc_now() -> datetime:
    """The wall clock, with its zone."""
    return datetime.now(UTC)
