"""What the row of a transaction says, and its digest: `send` adds these up, `verify` compares them.

A row becomes a text, the text its MD5, and rows a number and two sums over their MD5s: of the first 15
hexadecimal digits as a number, and of the next 15. Sums do not depend on order, and unlike exclusive-or a row
that is there twice does not cancel out. Two such sums leave 120 bits to chance.

The text holds the amount in cents and the timestamp in microseconds since 1970; fields are separated and
absent ones marked by control characters, which no stored string holds.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from txnpipe.transactions import Transaction

EPOCH = datetime(1970, 1, 1)
DIGITS = 15
"""Hexadecimal digits of a digest that make one of the numbers which are summed."""

_MICROSECOND = timedelta(microseconds=1)
_ABSENT = "\x1e"


class Content(NamedTuple):
    """What a row must hold, run_id apart, which selects the rows. micros: microseconds since 1970, UTC."""

    transaction_id: str
    cents: int
    transaction_type: str
    micros: int
    account_id: str | None
    merchant: str | None
    country: str | None
    currency: str | None

    @property
    def when(self) -> str:
        """The timestamp as YYYY-MM-DD HH:MM:SS.ffffff."""
        return moment(self.micros).isoformat(sep=" ", timespec="microseconds")


@dataclass(frozen=True)
class Checksum:
    """A bucket of rows: how many, and two sums over their digests."""

    rows: int = 0
    high: int = 0
    low: int = 0

    def __add__(self, other: Checksum) -> Checksum:
        return Checksum(self.rows + other.rows, self.high + other.high, self.low + other.low)


def digest(content: Content) -> str:
    """The MD5 of a row, in hexadecimal: what the warehouse computes of a stored row."""
    transaction_id, cents, kind, micros, account_id, merchant, country, currency = content
    text = (
        f"{transaction_id}\x1f{cents}\x1f{kind}\x1f{micros}"
        f"\x1f{_ABSENT if account_id is None else account_id}\x1f{_ABSENT if merchant is None else merchant}"
        f"\x1f{_ABSENT if country is None else country}\x1f{_ABSENT if currency is None else currency}"
    )
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def parts(row_digest: str) -> tuple[int, int]:
    """The two numbers of a digest that are summed."""
    return int(row_digest[:DIGITS], 16), int(row_digest[DIGITS : 2 * DIGITS], 16)


def content_of_transaction(t: Transaction) -> Content:
    """The row that a transaction becomes."""
    return Content(
        t.transaction_id,
        int(t.amount.scaleb(2)),
        t.transaction_type,
        micros_of(t.timestamp),
        t.account_id,
        t.merchant,
        t.country,
        t.currency,
    )


def micros_of(when: datetime) -> int:
    """A point in time without a zone, in microseconds since 1970."""
    return (when - EPOCH) // _MICROSECOND


def moment(micros: int) -> datetime:
    """The point in time, without a zone, that is so many microseconds after 1970."""
    return EPOCH + timedelta(microseconds=micros)
