"""The charts of a run: throughput, latency of rows and alerts, and what each shard took."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from txnpipe.proof.report.charts import Bars, Lines, Series, bar_figure, line_figure
from txnpipe.proof.report.markup import Markup, element
from txnpipe.proof.report.scales import duration, for_latency, from_zero
from txnpipe.proof.timeline import Bucket, Spread, Timeline

SHARD_BARS = 24


def pictures(timeline: Timeline) -> Markup:
    """All charts, side by side where there is room. Without alerts there is no chart of their latency."""
    figures = [
        line_figure(throughput(timeline)),
        line_figure(_latency(timeline, "rows", "Latency, event to row", lambda bucket: bucket.rows)),
    ]
    if any(bucket.alerts for bucket in timeline.buckets):
        alerts = _latency(timeline, "alerts", "Latency, event to alert", lambda bucket: bucket.alerts)
        figures.append(line_figure(alerts))
    figures.append(bar_figure(shards(timeline)))
    return element("div", {"class": "charts"}, *figures)


def throughput(timeline: Timeline) -> Lines:
    """Records per second that arrived in the stream, and that were stored."""
    arrived = [bucket.arrived / timeline.width_s for bucket in timeline.buckets]
    stored = [bucket.stored / timeline.width_s for bucket in timeline.buckets]
    span_s, times_s = _time(timeline)
    arriving = timeline.last_arrived - timeline.first_arrived
    storing = timeline.last_stored - timeline.first_arrived
    description = (
        f"{timeline.rows:,} stored rows: they arrived within {duration(arriving.total_seconds())}, "
        f"the last was stored {duration(storing.total_seconds())} after the first arrived. "
        f"At most {max(arrived):,.0f} arrived and {max(stored):,.0f} were stored per second, "
        f"counted over {duration(timeline.width_s)}."
    )
    return Lines(
        key="throughput",
        title="Throughput",
        description=description,
        unit="records/s",
        span_s=span_s,
        times_s=times_s,
        series=(Series("arrived in the stream", arrived), Series("stored in the warehouse", stored)),
        scale=from_zero(arrived + stored),
        form=lambda value: f"{value:,.1f}".removesuffix(".0"),
    )


def shards(timeline: Timeline) -> Bars:
    """Rows of each shard."""
    volumes = timeline.shards
    rows = [volume.rows for volume in volumes]
    description = "One shard took all records of the run."
    if timeline.shard_count > 1:
        description = (
            f"{timeline.shard_count:,} shards took the run's records: "
            f"the fullest {rows[0] / timeline.rows:.1%} of them."
        )
    if timeline.shard_count > SHARD_BARS:
        description += f" Drawn are the {SHARD_BARS} fullest"
        listed = f"the {len(volumes)} fullest" if len(volumes) < timeline.shard_count else "all"
        description += f"; the table has {listed}."
    return Bars(
        key="shards",
        title="Rows per shard",
        description=description,
        of="shard",
        unit="rows",
        amounts=[(volume.shard_id, volume.rows) for volume in volumes],
        shown=SHARD_BARS,
    )


def _latency(timeline: Timeline, key: str, title: str, of: Callable[[Bucket], Spread | None]) -> Lines:
    spreads = [of(bucket) for bucket in timeline.buckets]
    worst = max(spread.max_ms for spread in spreads if spread)
    # The largest values decide whether milliseconds or seconds are read more easily.
    unit, size = ("s", 1000.0) if worst >= 10_000 else ("ms", 1.0)
    span_s, times_s = _time(timeline)
    series = tuple(
        Series(name, [None if spread is None else getattr(spread, part) / size for spread in spreads])
        for name, part in (("p50", "p50_ms"), ("p95", "p95_ms"), ("max", "max_ms"))
    )
    values = [value for each in series for value in each.values if value is not None]
    scale = for_latency(values)
    description = (
        f"By the time of arrival, over {duration(timeline.width_s)} each; the worst is "
        f"{worst / size:,.1f} {unit}." + (" The scale is logarithmic." if scale.logarithmic else "")
    )
    return Lines(
        key=f"latency-{key}",
        title=title,
        description=description,
        unit=unit,
        span_s=span_s,
        times_s=times_s,
        series=series,
        scale=scale,
        form=lambda value: f"{value:,.1f}" if size == 1.0 else f"{value:,.2f}",
    )


def _time(timeline: Timeline) -> tuple[float, Sequence[float]]:
    """The span in seconds, and the middle of each bucket."""
    span_s = len(timeline.buckets) * timeline.width_s
    return span_s, [round(bucket.start_s + timeline.width_s / 2, 3) for bucket in timeline.buckets]
