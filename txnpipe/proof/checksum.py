"""The digests and checksums of traffic/content, in SQL over what is stored.

A hexadecimal number is read in different ways on Redshift (STRTOL, see its Database Developer Guide) and on
PostgreSQL.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

from txnpipe.proof.micros import micros_sql
from txnpipe.traffic.content import DIGITS, Content, micros_of
from txnpipe.warehouse.interface import Dialect


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
    return ", ".join(f"SUM({_number(dialect, first)})" for first in (1, 1 + DIGITS))


def _number(dialect: Dialect, first: int) -> str:
    digits = f"SUBSTRING(digest, {first}, {DIGITS})"
    if dialect == "redshift":
        return f"CAST(STRTOL({digits}, 16) AS DECIMAL(38, 0))"
    return f"CAST(CAST('x' || {digits} AS BIT(60)) AS BIGINT)"
