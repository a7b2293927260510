"""What of a pipeline costs money, read from its settings as the target aws would resolve them."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from txnpipe.config import Settings
from txnpipe.config.settings import WarehouseSettings
from txnpipe.deploy.graph import ALERT_SHARDS
from txnpipe.functions.metrics import custom_metrics
from txnpipe.names import Names
from txnpipe.operate.cost.prices import HOURS_PER_MONTH
from txnpipe.resources.alarm_definitions import alarms
from txnpipe.resources.stream import written_out
from txnpipe.resources.usage_limit import DAYS, limit_hours

ON_DEMAND_SHARDS = 4
"""What a new on-demand stream has (Kinesis, "Choose the right mode for your stream")."""
SECRETS = 2
"""The loader's, and the administrator's that Redshift keeps (ManageMasterPassword)."""
AWS_ARCHITECTURE = "arm64"
AWS_BATCH_WINDOW_S = 1


@dataclass(frozen=True)
class StreamPrint:
    """A Kinesis stream. shards is None in on-demand mode."""

    what: str
    shards: int | None
    retention_hours: int


@dataclass(frozen=True)
class ClusterPrint:
    """A provisioned Redshift cluster."""

    node_type: str
    nodes: int


@dataclass(frozen=True)
class ServerlessPrint:
    """Redshift Serverless. monthly_limit_rpu_hours: a usage limit that stops it, in RPU-hours a month."""

    base_rpu: int
    monthly_limit_rpu_hours: Decimal | None = None


@dataclass(frozen=True)
class FunctionPrint:
    """A Lambda function behind event source mappings. window_s: how long a batch is gathered."""

    what: str
    memory_mb: int
    batch_size: int
    window_s: int


@dataclass(frozen=True)
class Footprint:
    """All of it. endpoint_zones: zones of interface endpoints, added up. subscriptions: SNS protocols.

    shard_metrics and function_metrics are CloudWatch's custom metrics: those of the streams' shards, and
    those that the functions' log lines make, which are billed for the hours in which a batch came.
    """

    stream: StreamPrint
    alert_stream: StreamPrint
    warehouse: ClusterPrint | ServerlessPrint
    loader: FunctionPrint
    notifier: FunctionPrint
    architecture: str
    kpus: int
    auto_scaling: bool
    endpoint_zones: int
    secrets: int
    alarms: int
    shard_metrics: int
    function_metrics: int
    log_retention_days: int
    subscriptions: tuple[str, ...]


def footprint(settings: Settings, *, shards: int | None = None) -> Footprint:
    """The footprint of a pipeline. shards: how many its stream really has, where that is known."""
    stream, analytics, loader = settings.stream, settings.analytics, settings.loader
    functions, wanted = settings.functions, shards or settings.stream.shards
    provisioned = wanted if stream.mode == "provisioned" else None
    # An on-demand stream's shards are what Kinesis makes of the load; each has its metrics all the same.
    measured = (provisioned or shards or ON_DEMAND_SHARDS) + ALERT_SHARDS
    return Footprint(
        stream=StreamPrint("stream of transactions", provisioned, stream.retention_hours),
        alert_stream=StreamPrint("stream of alerts", ALERT_SHARDS, stream.retention_hours),
        warehouse=_warehouse(settings.warehouse),
        loader=FunctionPrint("loader", loader.memory_mb, loader.batch_size, _loader_window(settings)),
        notifier=FunctionPrint("notifier", settings.notifier.memory_mb, settings.notifier.batch_size, 0),
        architecture=AWS_ARCHITECTURE if functions.architecture == "auto" else functions.architecture,
        kpus=-(-analytics.parallelism // analytics.parallelism_per_kpu),
        auto_scaling=analytics.auto_scaling,
        endpoint_zones=1 if settings.network.secrets_endpoint == "create" else 0,
        secrets=SECRETS,
        alarms=_alarms(settings),
        shard_metrics=measured * len(written_out(stream.shard_metrics)),
        function_metrics=custom_metrics(),
        log_retention_days=functions.log_retention_days,
        subscriptions=tuple(item.protocol for item in settings.topic.subscriptions),
    )


def _warehouse(settings: WarehouseSettings) -> ClusterPrint | ServerlessPrint:
    if settings.kind == "provisioned":
        return ClusterPrint(settings.node_type, settings.nodes)
    if settings.usage_limit_action != "deactivate":  # the others only tell of it
        return ServerlessPrint(settings.base_capacity_rpu)
    periods = HOURS_PER_MONTH / 24 / DAYS[settings.usage_limit_period]
    if settings.usage_limit_period == "monthly":
        periods = Decimal(1)
    return ServerlessPrint(settings.base_capacity_rpu, limit_hours(settings) * periods)


def _alarms(settings: Settings) -> int:
    names = Names(settings.pipeline, "", settings.region)
    return len(alarms(names, settings.alarms, names.alarms)) if settings.alarms.enabled else 0


def _loader_window(settings: Settings) -> int:
    chosen = settings.loader.batch_window_seconds
    if chosen is not None:
        return chosen
    return AWS_BATCH_WINDOW_S if settings.loader.batch_size > 10 else 0
