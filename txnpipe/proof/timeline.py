"""How a run went over time, and over the shards: what only the report asks for.

The warehouse counts: of a run of any size a hundred or so rows come back. Latency here is what `latency` says
it is, per bucket of arrival.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from txnpipe.proof.micros import micros_sql
from txnpipe.traffic.content import micros_of, moment
from txnpipe.warehouse.interface import Dialect, Warehouse

MAX_BUCKETS = 120
MAX_SHARDS = 200
"""Of the shards, those with the most rows."""
_SECOND = 1_000_000
_WIDTHS_S = (0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 21_600, 43_200)
_DAY_S = 86_400


@dataclass(frozen=True)
class Spread:
    """Latency of the records of one bucket, in milliseconds."""

    p50_ms: float
    p95_ms: float
    max_ms: float


@dataclass(frozen=True)
class Bucket:
    """One stretch of time, `start_s` seconds after the timeline's start.

    arrived, stored: rows by arrived_at and by stored_at. rows, alerts: latency of the rows, and of the alerts
    whose transaction, arrived in this bucket; None where none did.
    """

    start_s: float
    arrived: int
    stored: int
    rows: Spread | None
    alerts: Spread | None


@dataclass(frozen=True)
class ShardVolume:
    """Rows of the run that came through one shard."""

    shard_id: str
    rows: int


@dataclass(frozen=True)
class Timeline:
    """A run in buckets of `width_s` seconds, without a gap from its first arrival to its last commit.

    Times are UTC without a zone. shards: the MAX_SHARDS fullest, of shard_count.
    """

    start: datetime
    first_arrived: datetime
    last_arrived: datetime
    last_stored: datetime
    rows: int
    width_s: float
    buckets: tuple[Bucket, ...]
    shards: tuple[ShardVolume, ...]
    shard_count: int


def timeline(warehouse: Warehouse, run_id: str) -> Timeline | None:
    """Asks the warehouse; None where nothing of the run is stored."""
    result = warehouse.query(
        "SELECT COUNT(*), MIN(arrived_at), MAX(arrived_at), MIN(stored_at), MAX(stored_at) "
        "FROM transactions WHERE run_id = :run_id",
        {"run_id": run_id},
    )
    rows, first_arrived, last_arrived, first_stored, last_stored = result.rows[0]
    if not rows:
        return None
    start, end = min(first_arrived, first_stored), max(last_arrived, last_stored)
    width_s = bucket_width((end - start).total_seconds())
    start = _floor(start, width_s)
    count = (micros_of(end) - micros_of(start)) // round(width_s * _SECOND) + 1
    asked = {"run_id": run_id, "start": micros_of(start), "width": round(width_s * _SECOND)}
    sql = queries(warehouse.dialect)
    arrived = _spreads(warehouse.query(sql["rows"], asked).rows)
    stored = {int(number): int(each) for number, each in warehouse.query(sql["stored"], asked).rows}
    alerts = _spreads(warehouse.query(sql["alerts"], asked).rows)
    shards = warehouse.query(sql["shards"], {"run_id": run_id}).rows
    return Timeline(
        start=start,
        first_arrived=first_arrived,
        last_arrived=last_arrived,
        last_stored=last_stored,
        rows=int(rows),
        width_s=width_s,
        buckets=tuple(
            Bucket(
                start_s=round(number * width_s, 3),
                arrived=arrived[number][0] if number in arrived else 0,
                stored=stored.get(number, 0),
                rows=arrived[number][1] if number in arrived else None,
                alerts=alerts[number][1] if number in alerts else None,
            )
            for number in range(count)
        ),
        shards=tuple(ShardVolume(str(shard_id), int(each)) for shard_id, each, _ in shards),
        shard_count=int(shards[0][2]),
    )


def bucket_width(span_s: float) -> float:
    """The shortest round width, in seconds, at which a span makes no more than MAX_BUCKETS buckets."""
    for width_s in _WIDTHS_S:
        if span_s / width_s < MAX_BUCKETS - 1:
            return width_s
    days = 1
    while span_s / (days * _DAY_S) >= MAX_BUCKETS - 1:
        days *= 2
    return float(days * _DAY_S)


def _floor(when: datetime, width_s: float) -> datetime:
    width = round(width_s * _SECOND)
    return moment(micros_of(when) // width * width)


def _spreads(rows: Iterable[tuple[object, ...]]) -> dict[int, tuple[int, Spread]]:
    return {
        int(str(number)): (int(str(count)), Spread(*(round(float(str(each)), 1) for each in spread)))
        for number, count, *spread in rows
    }


def queries(dialect: Dialect) -> dict[str, str]:
    """All that is asked beside the range, by name: rows, alerts, stored, shards."""
    return {
        "rows": _spread_query(dialect, "arrived_at", "stored_at", "transactions WHERE run_id = :run_id"),
        "alerts": _spread_query(
            dialect,
            "t.arrived_at",
            "a.stored_at",
            "alerts AS a JOIN transactions AS t ON t.transaction_id = a.transaction_id "
            "WHERE a.run_id = :run_id AND t.run_id = :run_id",
        ),
        "stored": (
            f"SELECT bucket, COUNT(*) FROM (SELECT {_bucket_sql(dialect, 'stored_at')} AS bucket "  # noqa: S608
            "FROM transactions WHERE run_id = :run_id) AS stored GROUP BY bucket"
        ),
        # The window counts the groups: how many shards there are, before the limit.
        "shards": (
            "SELECT shard_id, COUNT(*), COUNT(*) OVER () FROM transactions "  # noqa: S608 - constants
            "WHERE run_id = :run_id GROUP BY shard_id "
            f"ORDER BY COUNT(*) DESC, shard_id LIMIT {MAX_SHARDS}"
        ),
    }


def _bucket_sql(dialect: Dialect, column: str) -> str:
    return f"({micros_sql(dialect, column)} - :start) / :width"


def _spread_query(dialect: Dialect, arrived: str, stored: str, source: str) -> str:
    elapsed = f"{micros_sql(dialect, stored)} - {micros_sql(dialect, arrived)}"
    rows = (
        f"SELECT {_bucket_sql(dialect, arrived)} AS bucket, "  # noqa: S608 - constants
        f"CAST({elapsed} AS DOUBLE PRECISION) / 1000 AS ms FROM {source}"
    )
    points = ", ".join(f"PERCENTILE_CONT({p}) WITHIN GROUP (ORDER BY ms)" for p in ("0.5", "0.95"))
    return f"SELECT bucket, COUNT(*), {points}, MAX(ms) FROM ({rows}) AS measured GROUP BY bucket"  # noqa: S608
