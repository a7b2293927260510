"""How long records took: from their arrival in Kinesis to the loader's clock just before its commit.

Event time is no clock for this: events may be old or synthetic. An alert's latency runs from the arrival of
the transaction that raised it.
"""

from __future__ import annotations

from dataclasses import dataclass

from txnpipe.warehouse.interface import Warehouse


@dataclass(frozen=True)
class Latency:
    """Percentiles in milliseconds, of `rows` rows."""

    rows: int
    p50_ms: float
    p95_ms: float
    p99_ms: float
    max_ms: float


def row_latency(warehouse: Warehouse, run_id: str) -> Latency | None:
    """Event to row, None without rows."""
    source = f"SELECT {_milliseconds(warehouse, 'arrived_at', 'stored_at')} AS ms FROM transactions"  # noqa: S608
    return _percentiles(warehouse, f"{source} WHERE run_id = :run_id", run_id)


def alert_latency(warehouse: Warehouse, run_id: str) -> Latency | None:
    """Event to alert, None without alerts."""
    elapsed = _milliseconds(warehouse, "t.arrived_at", "a.stored_at")
    joined = "alerts AS a JOIN transactions AS t ON t.transaction_id = a.transaction_id"
    condition = "a.run_id = :run_id AND t.run_id = :run_id"
    return _percentiles(warehouse, f"SELECT {elapsed} AS ms FROM {joined} WHERE {condition}", run_id)  # noqa: S608


def _percentiles(warehouse: Warehouse, source: str, run_id: str) -> Latency | None:
    points = ", ".join(f"PERCENTILE_CONT({p}) WITHIN GROUP (ORDER BY ms)" for p in ("0.5", "0.95", "0.99"))
    result = warehouse.query(
        f"SELECT COUNT(*), {points}, MAX(ms) FROM ({source}) AS latencies",  # noqa: S608 - constants
        {"run_id": run_id},
    )
    rows, *values = result.rows[0]
    return Latency(int(rows), *(round(float(value), 1) for value in values)) if rows else None


def _milliseconds(warehouse: Warehouse, earlier: str, later: str) -> str:
    # The one thing of the proof that has no portable form: Redshift's EXTRACT gives whole seconds only, and
    # PostgreSQL has no DATEDIFF.
    if warehouse.dialect == "redshift":
        return f"DATEDIFF(microsecond, {earlier}, {later}) / 1000.0"
    return f"CAST(EXTRACT(EPOCH FROM {later} - {earlier}) * 1000 AS DOUBLE PRECISION)"
