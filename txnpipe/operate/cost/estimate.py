"""The whole estimate of one pipeline."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from txnpipe.config import Settings
from txnpipe.operate.cost.bill import Kind, Line, money, number, total
from txnpipe.operate.cost.footprint import footprint
from txnpipe.operate.cost.prices import HOURS_PER_MONTH, Prices, load_prices
from txnpipe.operate.cost.standing import standing, stream_lines
from txnpipe.operate.cost.traffic import ASSUMPTIONS, Traffic, traffic

LEFT_OUT = (
    "S3, snapshots of the warehouse, durable backups of the analytics app, KMS, data transfer, free tiers, "
    "discounts and tax are not in it."
)
NO_TRAFFIC = Traffic(Decimal(0), 0)


@dataclass(frozen=True)
class Cost:
    """What a pipeline costs. region: where it is to run; the prices' own region is in `prices`."""

    region: str
    prices: Prices
    load: Traffic
    lines: tuple[Line, ...]

    def total(self, hours: Decimal, kind: Kind | None = None) -> Decimal:
        """Dollars for so many hours: all of it, or what is standing or traffic."""
        return total((line for line in self.lines if kind in (None, line.kind)), hours)

    @property
    def unpriced(self) -> tuple[str, ...]:
        """Items without a price: the cost is at least as high as the sums."""
        return tuple(line.item for line in self.lines if line.price is None)

    @property
    def notes(self) -> tuple[str, ...]:
        """What a person must know of the numbers, a sentence each."""
        return tuple(self._notes())

    def _notes(self) -> list[str]:
        notes = []
        foreign = [line.item for line in self.lines if line.item not in self.prices.own]
        if self.region != self.prices.region and foreign:
            notes.append(
                f"These are the prices of {self.prices.region}, and the pipeline is in {self.region}: "
                "set `prices` in the configuration to that region's."
            )
        if self.unpriced:
            items = ", ".join(dict.fromkeys(self.unpriced))
            notes.append(f"No price is known for {items}: the sums are without it. Set prices.{items}.")
        if any(line.uncertain for line in self.lines):
            notes.append("† comes from a single secondary source: look it up before you rely on it.")
        notes += [f"{line.part}, {line.what}: {line.note}." for line in self.lines if line.note]
        if self.load.records_per_second:
            notes.append(f"Assumed of the traffic: {'; '.join(ASSUMPTIONS)}.")
        return [*notes, LEFT_OUT]

    def as_json(self, hours: Decimal) -> dict[str, Any]:
        """For `--json`."""
        return {
            "region": self.region,
            "currency": "USD",
            "prices_as_of": self.prices.as_of,
            "prices_region": self.prices.region,
            "prices_set": sorted(self.prices.own),
            "records_per_second": number(self.load.records_per_second),
            "record_bytes": self.load.record_bytes,
            "hours": number(hours),
            "lines": [line.as_json(hours) for line in self.lines],
            "standing": self._sums(hours, "standing"),
            "traffic": self._sums(hours, "traffic"),
            "together": self._sums(hours, None),
            "notes": list(self.notes),
        }

    def standing_document(self) -> dict[str, Any]:
        """For the `--json` of a command that makes or changes a pipeline: dollars while nothing flows."""
        sums = self._sums(HOURS_PER_MONTH, "standing")
        return {"hour": sums["hour"], "month": sums["month"], "unpriced": list(self.unpriced)}

    def _sums(self, hours: Decimal, kind: Kind | None) -> dict[str, float | None]:
        spans = {"hour": Decimal(1), "month": HOURS_PER_MONTH, "total": hours}
        return {name: number(self.total(span, kind)) for name, span in spans.items()}


def estimate(settings: Settings, load: Traffic = NO_TRAFFIC, *, shards: int | None = None) -> Cost:
    """What a pipeline with these settings costs on AWS.

    shards: how many the stream of transactions really has, where that is known. Raises TxnpipeError (USAGE)
    for a price in the configuration that is none.
    """
    prices = load_prices(settings.prices)
    shape = footprint(settings, shards=shards)
    lines = (*standing(shape, prices), *traffic(shape, load, prices))
    return Cost(settings.region, prices, load, lines)


def cost_of_shards(settings: Settings, shards: int, hours: Decimal) -> Decimal:
    """Dollars for so many hours of the stream of transactions with so many shards, without traffic."""
    stream = footprint(settings, shards=shards).stream
    return total(stream_lines(stream, load_prices(settings.prices)), hours)


def in_a_sentence(cost: Cost) -> str:
    """What it costs while it stands, for a person who is about to be asked."""
    hour, month = cost.total(Decimal(1), "standing"), cost.total(HOURS_PER_MONTH, "standing")
    about = "at least" if cost.unpriced else "about"
    return (
        f"While it stands it costs {about} {money(hour, 2)} an hour, {money(month, 0)} a month, without "
        f"traffic ({cost.prices.region} prices of {cost.prices.as_of}); txnpipe cost shows it line by line."
    )
