"""Condenses rows to checksums, in Python for what was sent and in SQL for what is stored.

A row becomes a text, the text its MD5, and a bucket of rows the number of rows and two sums over their MD5s:
of the first 15 hexadecimal digits as a number, and of the next 15. Sums do not depend on order, and unlike
exclusive-or a row that is there twice does not cancel out. Two such sums leave 120 bits to chance.

The text holds the amount in cents and the timestamp in microseconds since 1970; fields are separated and
absent ones marked by control characters, which no stored string holds. A hexadecimal number is read in
different ways on Redshift (STRTOL, see its Database Developer Guide) and on PostgreSQL.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple

from txnpipe.proof.micros import micros_of, micros_sql, moment
from txnpipe.warehouse.interface import Dialect

_ABSENT = "\x1e"
_PART = 15


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
    """The MD5 of a row, in hexadecimal: what `digest_sql` computes in SQL."""
    transaction_id, cents, kind, micros, account_id, merchant, country, currency = content
    text = (
        f"{transaction_id}\x1f{cents}\x1f{kind}\x1f{micros}"
        f"\x1f{_ABSENT if account_id is None else account_id}\x1f{_ABSENT if merchant is None else merchant}"
        f"\x1f{_ABSENT if country is None else country}\x1f{_ABSENT if currency is None else currency}"
    )
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def parts(row_digest: str) -> tuple[int, int]:
    """The two numbers of a digest that are summed."""
    return int(row_digest[:_PART], 16), int(row_digest[_PART : 2 * _PART], 16)


def row_content(row: tuple[object, ...]) -> Content:
    """A row of the query CONTENT_COLUMNS as Content."""
    transaction_id, amount, transaction_type, when, *rest = row
    account_id, merchant, country, currency = (None if value is None else str(value) for value in rest)
    if not isinstance(when, datetime):
        raise TypeError(f"a timestamp, not {when!r}")
    return Content(
        str(transaction_id),
        int(Decimal(str(amount)).scaleb(2)),
        str(transaction_type),
        micros_of(when),
        account_id,
        merchant,
        country,
        currency,
    )


CONTENT_COLUMNS = (
    'transaction_id, amount, transaction_type, "timestamp", account_id, merchant, country, currency'
)


def digest_sql(dialect: Dialect) -> str:
    """SQL: the digest of a row of `transactions`."""
    micros = micros_sql(dialect, '"timestamp"')
    return (
        "MD5(transaction_id || CHR(31) || CAST(CAST(amount * 100 AS BIGINT) AS VARCHAR) || CHR(31)"
        f" || transaction_type || CHR(31) || CAST({micros} AS VARCHAR)"
        " || CHR(31) || COALESCE(account_id, CHR(30)) || CHR(31) || COALESCE(merchant, CHR(30))"
        " || CHR(31) || COALESCE(country, CHR(30)) || CHR(31) || COALESCE(currency, CHR(30)))"
    )


def total_query(dialect: Dialect) -> str:
    """SQL: number of rows and both sums of a whole run; takes :run_id."""
    rows = f"SELECT {digest_sql(dialect)} AS digest FROM transactions WHERE run_id = :run_id"  # noqa: S608
    return f"SELECT COUNT(*), {_sums(dialect)} FROM ({rows}) AS digested"  # noqa: S608 - constants


def bucket_query(dialect: Dialect, bucket: str) -> str:
    """SQL: bucket, number of rows and both sums of every bucket of a run; takes :run_id.

    bucket: an SQL expression over `transactions`.
    """
    rows = f"SELECT {bucket} AS bucket, {digest_sql(dialect)} AS digest FROM transactions"  # noqa: S608
    return (
        f"SELECT bucket, COUNT(*), {_sums(dialect)} "  # noqa: S608 - constants
        f"FROM ({rows} WHERE run_id = :run_id) AS digested GROUP BY bucket"
    )


def _sums(dialect: Dialect) -> str:
    return ", ".join(f"SUM({_number(dialect, first)})" for first in (1, 1 + _PART))


def _number(dialect: Dialect, first: int) -> str:
    digits = f"SUBSTRING(digest, {first}, {_PART})"
    if dialect == "redshift":
        return f"CAST(STRTOL({digits}, 16) AS DECIMAL(38, 0))"
    return f"CAST(CAST('x' || {digits} AS BIT(60)) AS BIGINT)"
