"""The options of `txnpipe send`: what may be asked for together, and the run that it makes."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from txnpipe.errors import usage_error

if TYPE_CHECKING:
    from txnpipe.cli.frame import Invocation
    from txnpipe.traffic.keys import PartitionKey
    from txnpipe.traffic.manifest import Manifest, OnError, Span
    from txnpipe.traffic.mix import Mix
    from txnpipe.traffic.rates import Form

DEFAULT_COUNT = 1000
DEFAULT_SEED = 1
MAX_RATE = 10_000_000
"""What the largest stream takes, 10,000 shards."""
SHARES = ("skew", "duplicates", "late", "invalid", "days")
MADE_UP = ("anomaly_rate", "anomaly", *SHARES)
"""Options that say what synthetic transactions are made up of."""
_REDRIVE = "txnpipe rejects redrive"
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(s|m|h)?")
_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0}


@dataclass(frozen=True)
class Options:
    """What was passed; None where nothing was. duration: as the user wrote it."""

    count: int | None = None
    duration: str | None = None
    rate: float | None = None
    rate_profile: Form | None = None
    seed: int | None = None
    file: str | None = None
    on_error: OnError | None = None
    partition_key: PartitionKey | None = None
    anomaly_rate: float | None = None
    anomaly: tuple[str, ...] = ()
    skew: float | None = None
    duplicates: float | None = None
    late: float | None = None
    invalid: float | None = None
    days: float | None = None
    dry_run: bool = False
    output: Path | None = None
    resume: str | None = None
    new: bool = False

    def passed(self, *names: str) -> list[str]:
        """Those of these options that were passed, as flags."""
        values = {name: getattr(self, name) for name in names}
        return [
            _flag(n) for n, each in values.items() if each is not None and each is not False and each != ()
        ]

    @property
    def duration_s(self) -> float | None:
        """--duration in seconds. Raises TxnpipeError (USAGE)."""
        return None if self.duration is None else duration_s(self.duration)


def check(asked: Options) -> None:
    """Raises TxnpipeError (USAGE) for options that make no sense, by themselves or together."""
    from txnpipe.traffic.manifest import MAX_COUNT

    if asked.file is not None:
        made_up = asked.passed("count", "seed", *MADE_UP, "dry_run")
        if made_up:
            raise usage_error(
                f"--file sends what is in the file; {' and '.join(made_up)} "
                f"{'is' if len(made_up) == 1 else 'are'} for synthetic transactions.",
                f"Leave out either --file or {' and '.join(made_up)}.",
            )
    elif asked.on_error is not None and asked.resume is None:
        raise usage_error("--on-error is about the lines of a file.", "Add --file, or leave out --on-error.")
    if asked.count is not None and asked.duration is not None:
        raise usage_error(
            "--count says how many records there are, and so does --duration.",
            "Leave out one of the two; --duration with --rate sends what the rate makes of it.",
        )
    if asked.count is not None and not 1 <= asked.count <= MAX_COUNT:
        raise usage_error(
            f"--count is {asked.count}; a run has 1 to {MAX_COUNT:,} transactions.",
            "Pass such a number to --count.",
        )
    if asked.rate is not None and not 0 < asked.rate <= MAX_RATE:
        raise usage_error(
            f"--rate is {asked.rate:g}; it must be above 0 and at most {MAX_RATE:,}.",
            "Pass records per second to --rate.",
        )
    if asked.seed is not None and not 0 <= asked.seed < 1 << 64:
        raise usage_error(
            f"--seed is {asked.seed}; it must be 0 to 2^64 - 1.", "Pass such a number to --seed."
        )
    if asked.output is not None and not asked.dry_run:
        raise usage_error("--output is for --dry-run.", "Add --dry-run, or leave out --output.")
    if asked.resume is not None and (others := asked.passed("new", "dry_run")):
        raise usage_error(
            f"--resume continues a run; {' and '.join(others)} would not.",
            f"Leave out either --resume or {others[0]}.",
        )
    if asked.duration is not None:
        duration_s(asked.duration)
    made_up_of(asked)


def duration_s(text: str) -> float:
    """30s, 5m, 1h or plain seconds, in seconds. Raises TxnpipeError (USAGE)."""
    from txnpipe.traffic.manifest import MAX_DURATION_S

    match = _DURATION.fullmatch(text.strip())
    seconds = float(match[1]) * _UNITS[match[2] or "s"] if match else 0.0
    if not 0 < seconds <= MAX_DURATION_S:
        raise usage_error(
            f"--duration is {text!r}; it must be above 0 and at most {MAX_DURATION_S / 86_400:g} days.",
            "Pass such as 30s, 5m, 1h, or a number of seconds.",
        )
    return seconds


def made_up_of(asked: Options) -> tuple[dict[str, float], Mix]:
    """The rates of anomalies and the mix. Raises TxnpipeError (USAGE)."""
    from txnpipe.traffic.mix import Mix, anomaly_rates, check_mix, check_rate

    single: dict[str, float] = {}
    for each in asked.anomaly:
        rule, _, text = each.partition("=")
        try:
            single[rule] = float(text)
        except ValueError:
            raise usage_error(
                f"--anomaly is {each!r}; it is RULE=RATE.", "Pass such as --anomaly velocity=0.01."
            ) from None
    if asked.anomaly_rate is not None:
        check_rate("--anomaly-rate", asked.anomaly_rate)
    if asked.days == 0:
        raise usage_error("--days is 0; it must be above 0.", "Pass a number of days, or leave it out.")
    mix = Mix(**{name: value for name in SHARES if (value := getattr(asked, name)) is not None})
    rates = anomaly_rates(asked.anomaly_rate, single)
    check_mix(rates, mix)
    return rates, mix


def wanted(run: Invocation, asked: Options, stream: str, shards: tuple[Span, ...]) -> Manifest:
    """The manifest of the run that this command would start. Raises TxnpipeError (USAGE)."""
    from txnpipe.traffic.keys import ACCOUNT
    from txnpipe.traffic.manifest import generated_run, input_run, new_run_id, utc_now

    now = utc_now()
    common: dict[str, Any] = {
        "run_id": new_run_id(now),
        "pipeline": run.settings.pipeline,
        "now": now,
        "rate": asked.rate,
        "profile": asked.rate_profile or "steady",
        "duration_s": asked.duration_s,
        "partition_key": asked.partition_key or ACCOUNT,
        "stream": stream,
        "shards": shards,
    }
    if asked.file is not None:
        return input_run(input_name=input_name(run, asked.file), on_error=asked.on_error or "skip", **common)
    anomalies, mix = made_up_of(asked)
    count = asked.count if asked.count is not None or asked.duration is not None else DEFAULT_COUNT
    return generated_run(
        count=count,
        seed=DEFAULT_SEED if asked.seed is None else asked.seed,
        anomalies=anomalies,
        mix=mix,
        **common,
    )


def input_name(run: Invocation, file: str) -> str:
    """How a manifest names an input: by its whole path, so that it is the same from any directory."""
    return file if file == "-" else str(Path(run.environment.directory / file).resolve())


def check_resume(asked: Options, manifest: Manifest) -> None:
    """Raises TxnpipeError (USAGE) where --resume comes with options that are not those of its run.

    Which bad lines stop it may be chosen again (--on-error); where the input lies now, too (--file).
    """
    from txnpipe.cli.redriving import command_of
    from txnpipe.traffic.history import REJECTS_INPUT

    if manifest.source == "input" and manifest.input_name == REJECTS_INPUT:
        raise usage_error(
            f"The run {manifest.run_id} sends rejects, which are in the warehouse and in no file.",
            f"Continue it with: {command_of(manifest.selection) if manifest.selection else _REDRIVE}",
        )
    if manifest.source == "input" and asked.file is None:
        named = "-" if manifest.input_name == "-" else manifest.input_name
        raise usage_error(
            f"The run {manifest.run_id} reads its input again: {_named(named)}.",
            f"Pass it: --file {named}",
        )
    if manifest.source == "generated" and (of_input := asked.passed("file", "on_error")):
        raise usage_error(
            f"The run {manifest.run_id} makes up its transactions; {of_input[0]} is for those of a file.",
            f"Leave out {of_input[0]}.",
        )
    for name, is_ in _options_of(asked, manifest).items():
        if asked.passed(name) and getattr(asked, name) != is_:
            raise usage_error(
                f"{_flag(name)} is not what the run {manifest.run_id} was started with"
                f"{'' if is_ is None else f' ({_shown(is_)})'}; a run is continued as it was started.",
                f"Leave out {_flag(name)}, or leave out --resume to send another run.",
            )


def _options_of(asked: Options, manifest: Manifest) -> dict[str, Any]:
    """What may be passed with --resume: the options of the run, in the form that `asked` has them."""
    same_duration = asked.duration_s is not None and asked.duration_s == manifest.duration_s
    same_anomalies = made_up_of(asked)[0] == manifest.anomalies
    return {
        "count": manifest.count if manifest.duration_s is None else None,
        "duration": asked.duration if same_duration else _seconds(manifest.duration_s),
        "rate": manifest.rate,
        "rate_profile": manifest.profile,
        "seed": manifest.seed if manifest.source == "generated" else None,
        "partition_key": manifest.partition_key,
        "anomaly_rate": asked.anomaly_rate if same_anomalies else None,
        "anomaly": asked.anomaly if same_anomalies else None,
        **{name: getattr(manifest.mix, name) for name in SHARES},
    }


def _seconds(value: float | None) -> str | None:
    return None if value is None else f"{value:g}s"


def _shown(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) and math.isfinite(value) else str(value)


def _named(name: str | None) -> str:
    return "standard input" if name == "-" else str(name)


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"
