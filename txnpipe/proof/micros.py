"""A point in time as microseconds since 1970, in Python and in SQL.

SQL has no form of it that Redshift and PostgreSQL share and that is fast on both: Redshift's EXTRACT gives
whole seconds only, and PostgreSQL has no DATEDIFF (Redshift Database Developer Guide, DATEDIFF).
"""

from __future__ import annotations

from datetime import datetime, timedelta

from txnpipe.warehouse.interface import Dialect

EPOCH = datetime(1970, 1, 1)
_MICROSECOND = timedelta(microseconds=1)


def micros_of(when: datetime) -> int:
    """A point in time without a zone, in microseconds since 1970."""
    return (when - EPOCH) // _MICROSECOND


def moment(micros: int) -> datetime:
    """The point in time, without a zone, that is so many microseconds after 1970."""
    return EPOCH + timedelta(microseconds=micros)


def micros_sql(dialect: Dialect, column: str) -> str:
    """SQL: a timestamp in microseconds since 1970, as a BIGINT."""
    if dialect == "redshift":
        return f"DATEDIFF(microsecond, TIMESTAMP '1970-01-01 00:00:00', {column})"
    return f"CAST(EXTRACT(EPOCH FROM {column}) * 1000000 AS BIGINT)"
