"""Condenses rows to checksums, in Python for what was sent and in SQL for what is stored.

A row becomes a text, the text its MD5, and a bucket of rows the number of rows and two sums over their MD5s.
Sums do not depend on order, and unlike exclusive-or a row that is there twice does not cancel out. SQL has no
portable way to read a hexadecimal number, so the letters a-f are translated to the digits 0-5 and the result
is read as a decimal one: 15 characters always fit BIGINT. Two such sums leave about 90 bits to chance.

The text is the same on Redshift and PostgreSQL: the amount in cents, the timestamp through TO_CHAR to the
microsecond, fields separated and absent ones marked by control characters, which no stored string holds.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple

_SEPARATOR = "\x1f"
_ABSENT = "\x1e"
_DIGITS = str.maketrans("abcdef", "012345")
_PART = 15


class Content(NamedTuple):
    """What a row must hold, run_id apart, which selects the rows. `when`: YYYY-MM-DD HH:MM:SS.ffffff, UTC."""

    transaction_id: str
    cents: int
    transaction_type: str
    when: str
    account_id: str | None
    merchant: str | None
    country: str | None
    currency: str | None


@dataclass(frozen=True)
class Checksum:
    """A bucket of rows: how many, and two sums over their digests."""

    rows: int = 0
    high: int = 0
    low: int = 0


def digest(content: Content) -> str:
    """The MD5 of a row, in hexadecimal: what DIGEST computes in SQL."""
    text = _SEPARATOR.join(
        (
            content.transaction_id,
            str(content.cents),
            content.transaction_type,
            content.when,
            _ABSENT if content.account_id is None else content.account_id,
            _ABSENT if content.merchant is None else content.merchant,
            _ABSENT if content.country is None else content.country,
            _ABSENT if content.currency is None else content.currency,
        )
    )
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def parts(row_digest: str) -> tuple[int, int]:
    """The two numbers of a digest that are summed."""
    digits = row_digest.translate(_DIGITS)
    return int(digits[:_PART]), int(digits[_PART : 2 * _PART])


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
        when.isoformat(sep=" ", timespec="microseconds"),
        account_id,
        merchant,
        country,
        currency,
    )


CONTENT_COLUMNS = (
    'transaction_id, amount, transaction_type, "timestamp", account_id, merchant, country, currency'
)

DIGEST = (
    "MD5(transaction_id || CHR(31) || CAST(CAST(amount * 100 AS BIGINT) AS VARCHAR) || CHR(31)"
    " || transaction_type || CHR(31) || TO_CHAR(\"timestamp\", 'YYYY-MM-DD HH24:MI:SS.US')"
    " || CHR(31) || COALESCE(account_id, CHR(30)) || CHR(31) || COALESCE(merchant, CHR(30))"
    " || CHR(31) || COALESCE(country, CHR(30)) || CHR(31) || COALESCE(currency, CHR(30)))"
)
"""SQL: the digest of a row of `transactions`."""


def _sum(first: int) -> str:
    return f"SUM(CAST(TRANSLATE(SUBSTRING(digest, {first}, {_PART}), 'abcdef', '012345') AS BIGINT))"


def bucket_query(bucket: str) -> str:
    """SQL: bucket, number of rows and both sums of every bucket of a run; takes :run_id.

    bucket: an SQL expression over `transactions`.
    """
    rows = f"SELECT {bucket} AS bucket, {DIGEST} AS digest FROM transactions WHERE run_id = :run_id"  # noqa: S608
    sums = f"{_sum(1)}, {_sum(1 + _PART)}"
    return f"SELECT bucket, COUNT(*), {sums} FROM ({rows}) AS digested GROUP BY bucket"  # noqa: S608
