"""What the records that flow add to the cost. An estimate; what it assumes is told to the user."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal

from txnpipe.operate.cost.bill import Line
from txnpipe.operate.cost.footprint import ON_DEMAND_SHARDS, Footprint, FunctionPrint, StreamPrint
from txnpipe.operate.cost.prices import HOURS_PER_MONTH, Prices
from txnpipe.operate.cost.standing import DEFAULT_RETENTION_H, EXTENDED_RETENTION_H, counted, line

SECONDS_PER_HOUR = 3600
KB = 1024
"""Kinesis counts a KB as 1,024 bytes (Kinesis Data Streams pricing)."""
GB = KB**3
PAYLOAD_UNIT_BYTES = 25 * KB
"""A PUT payload unit: each record is rounded up to a multiple of it (the same page)."""
LAMBDA_PAYLOAD_BYTES = 6_000_000
"""A batch's JSON may not be larger (Lambda quotas: 6 MB, synchronous invocation)."""

STREAM_READERS = 2
"""Of the stream of transactions: the loader's mapping and the analytics app."""
ALERT_READERS = 2
"""Of the stream of alerts: the loader's mapping and the notifier's."""

ALERT_SHARE = Decimal("0.01")
ALERT_BYTES = 400
INVOCATION_S = Decimal("0.1")
RECORD_S = Decimal("0.0002")
LOG_BYTES = 1000
ENVELOPE_BYTES = 500
ASSUMPTIONS = (
    "one record in a hundred raises an alert of 400 bytes",
    "an invocation takes 0.1 s and 0.2 ms for each record, and logs 1,000 bytes",
    "the warehouse keeps what arrives in a month, at its size in the stream",
)
"""Not measured on AWS: what a company's own traffic does, its bill will say."""


@dataclass(frozen=True)
class Traffic:
    """records a second, and the bytes of one record."""

    records_per_second: Decimal
    record_bytes: int


def traffic(footprint: Footprint, load: Traffic, prices: Prices) -> list[Line]:
    """The lines that flowing records add; none where none flow."""
    if not load.records_per_second:
        return []
    alerts = Traffic(load.records_per_second * ALERT_SHARE, ALERT_BYTES)
    return [
        *_stream(footprint.stream, load, STREAM_READERS, prices),
        *_stream(footprint.alert_stream, alerts, ALERT_READERS, prices),
        *_functions(footprint, load, alerts, prices),
        *_alerts(footprint, alerts, prices),
        _stored(load, prices),
    ]


def _per_hour(load: Traffic) -> Decimal:
    return load.records_per_second * SECONDS_PER_HOUR


def _rounded_up(value: int, step: int) -> int:
    return -(-value // step) * step


def _stream(stream: StreamPrint, load: Traffic, readers: int, prices: Prices) -> Iterator[Line]:
    hourly = _per_hour(load)
    if stream.shards is not None:
        units = hourly * (_rounded_up(load.record_bytes, PAYLOAD_UNIT_BYTES) // PAYLOAD_UNIT_BYTES)
        what = f"{stream.what}, PUT payload units"
        yield line("traffic", "Kinesis", what, "kinesis_put_units", units, prices)
    else:
        # Each record is rounded up to the next KB when it is written (Kinesis Data Streams pricing).
        written = hourly * _rounded_up(load.record_bytes, KB) / GB
        yield line("traffic", "Kinesis", f"{stream.what}, written", "kinesis_on_demand_in", written, prices)
        read = written * readers
        yield line("traffic", "Kinesis", f"{stream.what}, read", "kinesis_on_demand_out", read, prices)
    yield from _kept(stream, hourly * load.record_bytes / GB, prices)


def _kept(stream: StreamPrint, gb_per_hour: Decimal, prices: Prices) -> Iterator[Line]:
    """What is kept longer and costs by the GB."""
    extended = min(stream.retention_hours, EXTENDED_RETENTION_H) - DEFAULT_RETENTION_H
    if stream.shards is None and extended > 0:
        what = f"{stream.what}, kept up to 7 days"
        kept = gb_per_hour * extended
        yield line("traffic", "Kinesis", what, "kinesis_on_demand_retention", kept, prices)
    longer = stream.retention_hours - EXTENDED_RETENTION_H
    if longer > 0:
        what = f"{stream.what}, kept longer than 7 days"
        kept = gb_per_hour * longer
        yield line("traffic", "Kinesis", what, "kinesis_long_retention", kept, prices)


def invocations_per_hour(function: FunctionPrint, load: Traffic, shards: int) -> Decimal:
    """How often Lambda calls a function for one stream.

    A batch goes when it is full, or when its window ends and something is in it. Lambda looks at a shard once
    a second (Lambda, "Using AWS Lambda with Amazon Kinesis"), so that no window is a window of a second.
    """
    on_wire = load.record_bytes * 4 // 3 + ENVELOPE_BYTES
    batch = min(function.batch_size, max(LAMBDA_PAYLOAD_BYTES // on_wire, 1))
    rate = load.records_per_second / shards
    window = Decimal(max(function.window_s, 1))
    return max(rate / batch, min(rate, 1 / window)) * shards * SECONDS_PER_HOUR


def _functions(footprint: Footprint, load: Traffic, alerts: Traffic, prices: Prices) -> Iterator[Line]:
    shards = footprint.stream.shards or _on_demand_shards(load)
    alert_shards = footprint.alert_stream.shards or 1
    loader_calls = invocations_per_hour(footprint.loader, load, shards)
    loader_calls += invocations_per_hour(footprint.loader, alerts, alert_shards)
    notifier_calls = invocations_per_hour(footprint.notifier, alerts, alert_shards)
    loaded = _per_hour(load) + _per_hour(alerts)
    item = f"lambda_{footprint.architecture}"
    for function, calls, records in (
        (footprint.loader, loader_calls, loaded),
        (footprint.notifier, notifier_calls, _per_hour(alerts)),
    ):
        seconds = calls * INVOCATION_S + records * RECORD_S
        used = seconds * function.memory_mb / 1024
        what = f"{function.what}, {function.memory_mb} MB"
        yield line("traffic", "Lambda", what, item, used, prices)
    calls = loader_calls + notifier_calls
    yield line("traffic", "Lambda", "invocations", "lambda_requests", calls, prices)
    metrics = footprint.function_metrics
    what = f"{counted(metrics, 'metric')} of the functions"
    yield line("traffic", "CloudWatch", what, "custom_metric", metrics, prices)
    logged = calls * LOG_BYTES / GB
    yield line("traffic", "CloudWatch", "logs written", "logs_in", logged, prices)
    days = footprint.log_retention_days
    kept = logged * 24 * days
    yield line("traffic", "CloudWatch", f"logs kept {days} days", "logs_stored", kept, prices)


def _on_demand_shards(load: Traffic) -> int:
    """What a new one has, or what the load calls for."""
    by_records = load.records_per_second / 1000
    by_bytes = load.records_per_second * load.record_bytes / (KB * KB)
    return max(ON_DEMAND_SHARDS, int(max(by_records, by_bytes).to_integral_value(ROUND_CEILING)))


def _alerts(footprint: Footprint, alerts: Traffic, prices: Prices) -> Iterator[Line]:
    hourly = _per_hour(alerts)
    yield line("traffic", "SNS", "alerts published", "sns_requests", hourly, prices)
    for protocol in ("email", "https"):
        count = footprint.subscriptions.count(protocol)
        if count:
            what = f"alerts to {count} {protocol}"
            yield line("traffic", "SNS", what, f"sns_{protocol}", hourly * count, prices)


def _stored(load: Traffic, prices: Prices) -> Line:
    stored = _per_hour(load) * load.record_bytes * HOURS_PER_MONTH / GB
    return line(
        "traffic", "Redshift", "managed storage, one month of rows", "redshift_storage", stored, prices
    )
