"""A point in time as microseconds since 1970, in SQL.

There is no form of it that Redshift and PostgreSQL share and that is fast on both: Redshift's EXTRACT gives
whole seconds only, and PostgreSQL has no DATEDIFF (Redshift Database Developer Guide, DATEDIFF).
"""

from __future__ import annotations

from txnpipe.warehouse.interface import Dialect


def micros_sql(dialect: Dialect, column: str) -> str:
    """SQL: a timestamp in microseconds since 1970, as a BIGINT."""
    if dialect == "redshift":
        return f"DATEDIFF(microsecond, TIMESTAMP '1970-01-01 00:00:00', {column})"
    return f"CAST(EXTRACT(EPOCH FROM {column}) * 1000000 AS BIGINT)"
