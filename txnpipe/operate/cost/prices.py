"""The price table that is shipped, and the prices of their own that a company sets over it."""

from __future__ import annotations

import difflib
import functools
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

import yaml

from txnpipe.errors import usage_error

TABLE = Path(__file__).with_name("prices.yaml")
HOURS_PER_MONTH = Decimal(730)
"""What AWS's own calculator takes for a month: 365 × 24 / 12."""
OWN = "configuration"
"""The source of a price that the configuration sets."""


@dataclass(frozen=True)
class Price:
    """What one item costs: `amount` dollars for `units` units.

    per: an hour of each unit, a month of each, or each unit once. least_hours: the shortest time that is
    billed. whole_hours: a part of an hour is billed as one. verified: see prices.yaml.
    """

    item: str
    amount: Decimal
    per: Literal["hour", "month", "use"]
    unit: str
    units: int
    source: str
    verified: bool
    least_hours: Decimal = Decimal(0)
    whole_hours: bool = False

    @property
    def each(self) -> Decimal:
        """Dollars for one unit."""
        return self.amount / self.units


@dataclass(frozen=True)
class Prices:
    """A price table. as_of: the day it was written; region: the one it holds for; own: items set by us."""

    as_of: str
    region: str
    items: Mapping[str, Price]
    own: frozenset[str] = frozenset()

    def of(self, item: str) -> Price | None:
        """An item's price; None where nobody named one."""
        return self.items.get(item)


def load_prices(overrides: Mapping[str, float | int] | None = None) -> Prices:
    """The shipped table with the configuration's prices over it.

    overrides: item → dollars for as many units as the shipped price is for. A Redshift node type that the
    table does not know may be priced too, as redshift_NODETYPE. Raises TxnpipeError (USAGE).
    """
    shipped = _shipped()
    items = dict(shipped.items)
    for item, amount in (overrides or {}).items():
        items[item] = _overridden(item, _amount(item, amount), items)
    return Prices(shipped.as_of, shipped.region, items, frozenset(overrides or {}))


@functools.cache
def _shipped() -> Prices:
    document = yaml.safe_load(TABLE.read_text(encoding="utf-8"))
    items = {name: _price(name, entry) for name, entry in document["items"].items()}
    return Prices(str(document["as_of"]), document["region"], items)


def _price(name: str, entry: Mapping[str, Any]) -> Price:
    return Price(
        name,
        Decimal(entry["price"]),
        entry["per"],
        entry["unit"],
        entry.get("units", 1),
        entry["source"],
        entry["verified"],
        Decimal(entry.get("least_minutes", 0)) / 60,
        entry.get("whole_hours", False),
    )


def _amount(item: str, amount: float | int) -> Decimal:
    price = Decimal(str(amount))
    if not price.is_finite():
        raise usage_error(f"prices.{item} is {amount}, which is no price.", "Set it to an amount in dollars.")
    return price


def _overridden(item: str, amount: Decimal, items: Mapping[str, Price]) -> Price:
    known = items.get(item)
    if known is not None:
        return Price(
            item,
            amount,
            known.per,
            known.unit,
            known.units,
            OWN,
            True,
            known.least_hours,
            known.whole_hours,
        )
    if item.startswith("redshift_") and "." in item:
        return Price(item, amount, "hour", "node", 1, OWN, True)
    nearest = difflib.get_close_matches(item, items, n=1)
    raise usage_error(
        f"prices.{item} is the price of nothing that a pipeline uses.",
        f"Did you mean {nearest[0]}?" if nearest else "txnpipe cost --json lists the items.",
    )
