"""What a run is: everything that any machine needs to compute, or to read, each of its events.

A manifest is written to the pipeline's bucket before the first record and never changes. Together with the
index of an event it determines the event, so a run of a million needs no stored list to be checked.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Literal

import msgspec

from txnpipe.errors import ExitCode, TxnpipeError
from txnpipe.traffic.mix import DEFAULT_ANOMALIES, Mix, check_mix

VERSION = 2
"""Raised when a field of the manifest changes its meaning. An older txnpipe refuses a newer manifest.

2: `mix`; large amounts are drawn among new and valid records outside stories, so that their rate is met."""

RUN_ID_LENGTH = 22
"""20261124T053112-4f9a1c: to the second, then six random hexadecimal digits."""

MAX_COUNT = 1_000_000_000
"""An index has nine digits in a transaction_id."""

DEFAULT_PACE = 50
"""Events per second of event time: a thousand events tell of twenty seconds. How fast they are sent is
another matter (`--rate`), so that the events of a run do not depend on it."""

DEFAULT_ACCOUNTS = 20_000
"""Ordinary accounts. At 50 events a second an account is seen about every seven minutes."""


class Span(msgspec.Struct, frozen=True):
    """One open shard and its range of hash keys, both ends included. Decimal text: 128 bits."""

    shard_id: str
    starting_hash_key: str
    ending_hash_key: str


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """One run.

    source: "generated" (events are computed from seed, index, start and pace) or "input" (events were read
    from a file or standard input and lie in the run's spool).
    count: number of records; None for input, whose length is known only at its end.
    seed, accounts, anomalies, mix, pace: what the generator needs; pace is in events per second of event
    time.
    start: event time of index 0, UTC.
    input_name, input_format: what was read, as the user named it, and how.
    rate: records per second that the user asked for, None for as fast as the stream takes them.
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
    rate: float | None = None
    stream: str = ""
    shards: tuple[Span, ...] = ()
    version: int = VERSION

    def same_work(self, other: Manifest) -> bool:
        """Whether two manifests come from the same command: a killed `send` continues the run of its twin.

        The rate is no part of it: it changes how fast records go, not which.
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
        )


def new_run_id(now: datetime, random_hex: Callable[[int], str] = secrets.token_hex) -> str:
    """A run id that sorts by time: 20261124T053112-4f9a1c. `random_hex(n)` gives 2n hexadecimal digits."""
    return f"{now:%Y%m%dT%H%M%S}-{random_hex(3)}"


def generated_run(
    *,
    run_id: str,
    pipeline: str,
    count: int,
    seed: int,
    now: datetime,
    anomalies: Mapping[str, float] = DEFAULT_ANOMALIES,
    mix: Mix = Mix(),  # noqa: B008 - frozen
    rate: float | None = None,
    stream: str = "",
    shards: tuple[Span, ...] = (),
) -> Manifest:
    """The manifest of a synthetic run. Its events end about now, so that none lies in the future.

    Raises TxnpipeError (USAGE) for rates of which no run can be made.
    """
    check_mix(anomalies, mix)
    length = (
        timedelta(days=mix.days) if mix.days else timedelta(microseconds=count * 1_000_000 // DEFAULT_PACE)
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
        stream=stream,
        shards=shards,
    )


def input_run(
    *,
    run_id: str,
    pipeline: str,
    input_name: str,
    now: datetime,
    rate: float | None = None,
    stream: str = "",
    shards: tuple[Span, ...] = (),
) -> Manifest:
    """The manifest of a run that reads `input_name` ("-" for standard input), as CSV where it is named so."""
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
        rate=rate,
        stream=stream,
        shards=shards,
    )


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
