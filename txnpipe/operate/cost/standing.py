"""What a pipeline costs while nothing flows through it."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

from txnpipe.operate.cost.bill import Kind, Line, money
from txnpipe.operate.cost.footprint import ClusterPrint, Footprint, ServerlessPrint, StreamPrint
from txnpipe.operate.cost.prices import HOURS_PER_MONTH, Prices

STORAGE_PER_KPU_GB = 50
"""Running application storage of each KPU that runs the job, not of the one for orchestration (Managed
Service for Apache Flink pricing)."""
ORCHESTRATION_KPUS = 1
"""Per application (the same page)."""
DEFAULT_RETENTION_H = 24
EXTENDED_RETENTION_H = 168
"""Up to here longer retention costs by the shard, beyond it by the GB (Kinesis Data Streams pricing)."""

_RPU = "redshift_serverless_rpu"


def standing(footprint: Footprint, prices: Prices) -> list[Line]:
    """The lines that are there without a single record."""
    return [
        *stream_lines(footprint.stream, prices),
        *stream_lines(footprint.alert_stream, prices),
        *_warehouse(footprint, prices),
        *_analytics(footprint, prices),
        *_small(footprint, prices),
    ]


def line(
    kind: Kind, part: str, what: str, item: str, quantity: Decimal | int, prices: Prices, note: str = ""
) -> Line:
    """A line of one item."""
    return Line(kind, part, what, item, Decimal(quantity), prices.of(item), note)


def counted(count: int, noun: str) -> str:
    """1 shard, 2 shards."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def stream_lines(stream: StreamPrint, prices: Prices) -> Iterator[Line]:
    """The lines of one stream."""
    if stream.shards is None:
        yield line("standing", "Kinesis", f"{stream.what}, on demand", "kinesis_on_demand_stream", 1, prices)
        return
    shards = counted(stream.shards, "shard")
    yield line("standing", "Kinesis", f"{stream.what}, {shards}", "kinesis_shard_hour", stream.shards, prices)
    if stream.retention_hours > DEFAULT_RETENTION_H:
        kept = min(stream.retention_hours, EXTENDED_RETENTION_H)
        what = f"{stream.what}, kept {kept} hours"
        yield line("standing", "Kinesis", what, "kinesis_extended_retention", stream.shards, prices)


def _warehouse(footprint: Footprint, prices: Prices) -> Iterator[Line]:
    warehouse = footprint.warehouse
    if isinstance(warehouse, ClusterPrint):
        what = f"{warehouse.nodes:,} × {warehouse.node_type}"
        item = f"redshift_{warehouse.node_type}"
        yield line("standing", "Redshift", what, item, warehouse.nodes, prices)
    else:
        yield _serverless(warehouse, prices)


def _serverless(warehouse: ServerlessPrint, prices: Prices) -> Line:
    """Awake all the time at its base capacity, unless a usage limit turns it off before."""
    rpus, limit = Decimal(warehouse.base_rpu), warehouse.monthly_limit_rpu_hours
    note = "awake all the time, as a steady stream keeps it; idle it costs nothing"
    if limit is None:
        note += "; no usage limit bounds what scaling adds"
    else:
        price = prices.of(_RPU)
        bound = f", {money(limit * price.each, 0)}" if price else ""
        note += f"; the usage limit turns it off at {limit.normalize():,f} RPU-hours a month{bound}"
        rpus = min(rpus, limit / HOURS_PER_MONTH)
    return line("standing", "Redshift", f"Serverless, {warehouse.base_rpu} RPU", _RPU, rpus, prices, note)


def _analytics(footprint: Footprint, prices: Prices) -> Iterator[Line]:
    kpus = footprint.kpus + ORCHESTRATION_KPUS
    what = f"{counted(footprint.kpus, 'KPU')} and one for orchestration"
    note = "auto scaling adds KPUs under load, and their cost" if footprint.auto_scaling else ""
    yield line("standing", "Managed Flink", what, "flink_kpu", kpus, prices, note)
    storage = footprint.kpus * STORAGE_PER_KPU_GB
    yield line(
        "standing", "Managed Flink", f"running storage, {storage} GB", "flink_storage", storage, prices
    )


def _small(footprint: Footprint, prices: Prices) -> Iterator[Line]:
    zones = footprint.endpoint_zones
    if zones:
        what = f"interface endpoint, {counted(zones, 'zone')}"
        yield line("standing", "VPC", what, "endpoint_zone", zones, prices)
    if footprint.secrets:
        what = counted(footprint.secrets, "secret")
        yield line("standing", "Secrets Manager", what, "secret", footprint.secrets, prices)
    if footprint.alarms:
        what = counted(footprint.alarms, "alarm")
        yield line("standing", "CloudWatch", what, "alarm", footprint.alarms, prices)
    if footprint.shard_metrics:
        what = counted(footprint.shard_metrics, "shard metric")
        yield line("standing", "CloudWatch", what, "custom_metric", footprint.shard_metrics, prices)
