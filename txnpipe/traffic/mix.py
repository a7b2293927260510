"""How a synthetic run's traffic is made up: hot account, repeats, late and bad records, the day it tells of.

All rates are shares of the run's records, between 0 and 1, met on average. Every record is one of

story      an event of a velocity burst (8 records) or of an amount_spike story (13)
repeat     an earlier record again, byte for byte
bad        breaks the event contract in one of the ways of `breaking`
large      a planted large amount
ordinary   anything else

and some large and ordinary ones are late. So stories, large amounts, repeats, bad and late records together
cannot be more than all records.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from txnpipe.errors import usage_error

LANE = 32
"""Consecutive indexes that hold one story, or none."""
BURST = 8
"""Records of a velocity story."""
HISTORY = 12
"""Records of an amount_spike story before the spike."""

DEFAULT_ANOMALIES: Mapping[str, float] = {"large_amount": 0.005, "velocity": 0.002, "amount_spike": 0.002}
"""Planted anomalies per record, by the rule that should find them."""
MAX_STORIES = 1 / LANE
MAX_UNSTORED = 0.9
"""Of repeats and bad records: a repeat needs something before it that it can repeat."""
MAX_DAYS = 366.0


class Mix(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is asked of a run beside its anomalies; the defaults ask for nothing.

    skew: share of the records that the one hottest account has. duplicates: records that repeat an earlier
    one. late: records dated before what was sent before them. invalid: records that break the event contract.
    days: event time that the run tells of, in a day's rhythm; 0 spreads it evenly by the manifest's pace.
    """

    skew: float = 0.0
    duplicates: float = 0.0
    late: float = 0.0
    invalid: float = 0.0
    days: float = 0.0


def anomaly_rates(
    together: float | None = None, single: Mapping[str, float] | None = None
) -> dict[str, float]:
    """The rate of each rule. together: of all rules, shared among them as the defaults are; single: of some,
    whatever is asked of all."""
    total = sum(DEFAULT_ANOMALIES.values())
    rates = {
        rule: rate if together is None else together * rate / total
        for rule, rate in DEFAULT_ANOMALIES.items()
    }
    return rates | dict(single or {})


def story_share(anomalies: Mapping[str, float]) -> float:
    """The share of the records that belong to stories."""
    return anomalies.get("velocity", 0.0) * BURST + anomalies.get("amount_spike", 0.0) * (HISTORY + 1)


def hot_chance(anomalies: Mapping[str, float], mix: Mix) -> float:
    """The chance with which an ordinary or bad record has to be the hottest account's, so that its share of
    all records, repeats among them, is `mix.skew`. Above 1 where there are too few such records."""
    if not mix.skew:
        return 0.0
    first = 1.0 - mix.duplicates - mix.invalid
    ordinary = first - story_share(anomalies) - anomalies.get("large_amount", 0.0)
    room = ordinary + mix.invalid + mix.duplicates * ordinary / first
    return mix.skew / room if room > 0 else float("inf")


def check_mix(anomalies: Mapping[str, float], mix: Mix) -> None:
    """Raises TxnpipeError (USAGE) for what no run can be made of."""
    for rule, rate in anomalies.items():
        if rule not in DEFAULT_ANOMALIES:
            raise usage_error(
                f"There is no anomaly {rule!r}.", f"Pass one of {', '.join(sorted(DEFAULT_ANOMALIES))}."
            )
        check_rate(f"The rate of {rule}", rate)
    for name in ("skew", "duplicates", "late", "invalid"):
        check_rate(f"--{name}", getattr(mix, name))
    if not 0 <= mix.days <= MAX_DAYS:
        raise usage_error(
            f"--days is {mix.days:g}; it must be above 0 and at most {MAX_DAYS:g}.", "Pass such a number."
        )
    _check_room(anomalies, mix)


def _check_room(anomalies: Mapping[str, float], mix: Mix) -> None:
    stories = anomalies.get("velocity", 0.0) + anomalies.get("amount_spike", 0.0)
    if stories > MAX_STORIES:
        raise usage_error(
            f"velocity and amount_spike are {stories:g} together; there is room for one in {LANE} records, "
            f"{MAX_STORIES:g}.",
            "Lower them, each with --anomaly RULE=RATE, or both with --anomaly-rate.",
        )
    if mix.duplicates + mix.invalid > MAX_UNSTORED:
        raise usage_error(
            f"--duplicates and --invalid are {mix.duplicates + mix.invalid:g} together; at least a tenth of "
            "the records must be new and valid.",
            f"Lower them to {MAX_UNSTORED:g} together.",
        )
    large = anomalies.get("large_amount", 0.0)
    total = story_share(anomalies) + large + mix.duplicates + mix.invalid + mix.late
    if total > 1:
        raise usage_error(
            f"Anomalies, --duplicates, --invalid and --late ask for {total:.0%} of the records (a velocity "
            f"anomaly takes {BURST} of them, an amount_spike {HISTORY + 1}).",
            "Lower them to 100% together.",
        )
    if hot_chance(anomalies, mix) > 1:
        raise usage_error(
            f"--skew is {mix.skew:g}, but anomalies and other records leave less than that for one account.",
            "Lower --skew, or what else is asked for.",
        )


def check_rate(name: str, value: float) -> None:
    """Raises TxnpipeError (USAGE) for what is no share."""
    if not 0 <= value <= 1:
        raise usage_error(
            f"{name} is {value:g}; it is a share of the records, from 0 to 1.",
            "Pass such a number: 0.01 is 1%.",
        )
