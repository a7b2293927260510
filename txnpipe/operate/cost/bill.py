"""Lines of a bill, and their sums."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal
from typing import Any, Literal

from txnpipe.operate.cost.prices import HOURS_PER_MONTH, Price

Kind = Literal["standing", "traffic"]


@dataclass(frozen=True)
class Line:
    """One line: so many units of one item.

    part: the service; what: which of it, for a person. quantity: units that stand there (price per hour or
    month), or units used up in an hour (price per use). price is None where nobody named one.
    note: what a person should know of this line.
    """

    kind: Kind
    part: str
    what: str
    item: str
    quantity: Decimal
    price: Price | None
    note: str = ""

    def cost(self, hours: Decimal) -> Decimal | None:
        """Dollars for so many hours on end; None without a price."""
        if self.price is None:
            return None
        if self.price.per == "month":
            return self.quantity * self.price.each * hours / HOURS_PER_MONTH
        if self.price.per == "hour":
            return self.quantity * self.price.each * self._billed(hours, self.price)
        return self.quantity * self.price.each * hours

    @staticmethod
    def _billed(hours: Decimal, price: Price) -> Decimal:
        billed = hours.to_integral_value(ROUND_CEILING) if price.whole_hours else hours
        return max(billed, price.least_hours) if hours else hours

    @property
    def uncertain(self) -> bool:
        """Whether the price is not verified."""
        return self.price is not None and not self.price.verified

    def as_json(self, hours: Decimal) -> dict[str, Any]:
        """For `--json`. Amounts are numbers in dollars."""
        price = self.price
        return {
            "kind": self.kind,
            "part": self.part,
            "what": self.what,
            "item": self.item,
            "quantity": number(self.quantity),
            "unit": price.unit if price else None,
            "price": number(price.each) if price else None,
            "per": price.per if price else None,
            "source": price.source if price else None,
            "verified": price.verified if price else False,
            "hour": number(self.cost(Decimal(1))),
            "month": number(self.cost(HOURS_PER_MONTH)),
            "total": number(self.cost(hours)),
            "note": self.note,
        }


def total(lines: Iterable[Line], hours: Decimal) -> Decimal:
    """Dollars for so many hours, of the lines that have a price."""
    costs = (line.cost(hours) for line in lines)
    return sum((cost for cost in costs if cost is not None), Decimal(0))


def number(value: Decimal | None) -> float | None:
    """A JSON number, to twelve digits after the point: the price of one PUT payload unit has nine."""
    return None if value is None else float(round(value, 12))


def money(value: Decimal, digits: int) -> str:
    """ "$1,234.57"; what is not nothing never reads as nothing."""
    least = Decimal(1).scaleb(-digits)
    if 0 < value < least:
        return f"<${least}"
    return f"${value:,.{digits}f}"
