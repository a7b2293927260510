"""Every setting: type, bounds, default and meaning.

The structs below are the one description. The loader checks values against them, `txnpipe config init`
writes config.example.yaml from them, `txnpipe config show` lists them. A number that comes from AWS
carries its source in the description.
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct, field

AWS_KINESIS_KEY = "alias/aws/kinesis"
"""The key that Kinesis keeps in every account."""
KMS_KEY = (
    r"^(arn:aws[a-z-]*:kms:[a-z0-9-]+:\d{12}:)?(alias/[a-zA-Z0-9/_-]{1,250}"
    r"|(?<=:)key/(mrk-)?[0-9a-f-]{32,36}|(?<!:)(mrk-)?[0-9a-f-]{32,36})\Z"
)
"""What StartStreamEncryption takes as KeyId: a key's or an alias's ARN, a key's id, an alias."""
ShardMetric = Literal[
    "IncomingBytes",
    "IncomingRecords",
    "OutgoingBytes",
    "OutgoingRecords",
    "WriteProvisionedThroughputExceeded",
    "ReadProvisionedThroughputExceeded",
    "IteratorAgeMilliseconds",
    "ALL",
]
"""MetricsName of the Kinesis API."""


class StreamSettings(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The Kinesis streams of transactions and of alerts."""

    mode: Annotated[
        Literal["provisioned", "on-demand"],
        Meta(
            description="Capacity of the stream of transactions: shards that you choose, or what Kinesis "
            "finds it needs; may change twice in 24 hours (Kinesis). That of alerts is always provisioned"
        ),
    ] = "provisioned"
    shards: Annotated[
        int,
        Meta(
            ge=1,
            le=10_000,
            description="Shards at creation, in provisioned mode; `txnpipe scale` changes them later",
        ),
    ] = 1
    retention_hours: Annotated[
        int, Meta(ge=24, le=8760, description="How long records stay readable, 24-8760 hours (Kinesis)")
    ] = 24
    encryption: Annotated[bool, Meta(description="Encrypt records at rest, in both streams")] = True
    kms_key: Annotated[
        str,
        Meta(
            pattern=KMS_KEY,
            description="With which key: an id, an ARN or alias/NAME. The default is AWS's own, free but for "
            "its requests, and needs no permissions; the policy of yours must let the account use it",
        ),
    ] = AWS_KINESIS_KEY
    shard_metrics: Annotated[
        tuple[ShardMetric, ...],
        Meta(
            description="Metrics that Kinesis publishes for every shard of both streams, or ALL. CloudWatch "
            "bills each metric of each shard as a custom metric"
        ),
    ] = ()


class WarehouseSettings(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Redshift, as a provisioned cluster or serverless (a namespace and a workgroup)."""

    kind: Annotated[
        Literal["provisioned", "serverless"],
        Meta(
            description="provisioned (a cluster, paid by the hour) or serverless (a workgroup, paid by"
            " RPU-hours used)"
        ),
    ] = "provisioned"
    node_type: Annotated[
        str, Meta(description="(provisioned) Node type of the cluster; dc2 nodes can no longer be created")
    ] = "rg.large"
    nodes: Annotated[int, Meta(ge=1, le=128, description="(provisioned) Number of nodes")] = 1
    base_capacity_rpu: Annotated[
        int,
        Meta(
            ge=4,
            le=1024,
            description="(serverless) Base capacity, 4 or a multiple of 8 up to 512, in some regions a"
            " multiple of 32 up to 1024 (Redshift Serverless)",
        ),
    ] = 4
    max_capacity_rpu: Annotated[
        Annotated[int, Meta(ge=4)] | None,
        Meta(description="(serverless) Capacity that scaling never exceeds; null: Redshift's own bound"),
    ] = None
    usage_limit_rpu_hours: Annotated[
        Annotated[int, Meta(ge=1)] | None,
        Meta(
            description="(serverless) RPU-hours of a period after which usage_limit_action is taken; null:"
            " what the base capacity uses when it never sleeps, and a quarter more (120 a day for 4 RPU)"
        ),
    ] = None
    usage_limit_period: Annotated[
        Literal["daily", "weekly", "monthly"],
        Meta(description="(serverless) Period of the usage limit; a week begins on Sunday"),
    ] = "daily"
    usage_limit_action: Annotated[
        Literal["log", "emit-metric", "deactivate"],
        Meta(
            description="(serverless) deactivate turns queries off until the period ends; records wait in the"
            " stream, and those older than loader.maximum_record_age_seconds go to the on-failure bucket"
        ),
    ] = "deactivate"
    database: Annotated[
        str, Meta(pattern=r"^[a-z_][a-z0-9_]{0,62}\Z", description="Name of the database")
    ] = "txnpipe"
    admin_user: Annotated[
        str,
        Meta(
            pattern=r"^[a-z_][a-z0-9_]{0,62}\Z",
            description="Administrator; Redshift keeps its password in a secret",
        ),
    ] = "txnpipe_admin"
    loader_user: Annotated[
        str,
        Meta(
            pattern=r"^[a-z_][a-z0-9_]{0,62}\Z",
            description="Database user of the loader: may read and insert, nothing else",
        ),
    ] = "txnpipe_loader"
    port: Annotated[
        int,
        Meta(
            ge=1150,
            le=65535,
            description="Port; Redshift allows 5431-5455 and 8191-8215",
        ),
    ] = 5439
    access: Annotated[
        Literal["auto", "direct", "data-api"],
        Meta(description="direct (psycopg2), data-api (HTTPS), or auto: direct on local, data-api on aws"),
    ] = "auto"
    final_snapshot: Annotated[
        bool | None,
        Meta(description="Whether teardown leaves a snapshot; null: no on local, yes on aws"),
    ] = None
    final_snapshot_retention_days: Annotated[
        int, Meta(ge=-1, le=3653, description="How long that snapshot is kept, -1 is for ever (Redshift)")
    ] = 30


class NetworkSettings(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Where the warehouse and the loader live: a VPC and its subnets."""

    vpc_id: Annotated[
        Annotated[str, Meta(pattern=r"^vpc-([0-9a-f]{8}|[0-9a-f]{17})\Z")] | None,
        Meta(description="Id (vpc-…) of the VPC, fixed while the pipeline stands; null: the default VPC"),
    ] = None
    subnet_ids: Annotated[
        Annotated[
            tuple[Annotated[str, Meta(pattern=r"^subnet-([0-9a-f]{8}|[0-9a-f]{17})\Z")], ...],
            Meta(min_length=1),
        ]
        | None,
        Meta(
            description="Ids (subnet-…) of the subnets to use; null: the default ones, or in a VPC named "
            "above the private ones, of which each zone may then have one only"
        ),
    ] = None
    secrets_endpoint: Annotated[
        Literal["create", "existing"],
        Meta(
            description="Make an interface endpoint for Secrets Manager where the VPC has none (create), or "
            "demand one or a route out of the subnets, by NAT or transit gateway (existing)"
        ),
    ] = "create"
    s3_gateway: Annotated[
        bool,
        Meta(
            description="Make a gateway endpoint for S3 (free). The pipeline itself needs none; a warehouse "
            "with enhanced VPC routing does"
        ),
    ] = False


class LoaderSettings(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The Lambda function that loads the warehouse, and its event source mappings."""

    batch_size: Annotated[
        int, Meta(ge=1, le=10_000, description="Records per invocation, 1-10,000 (Lambda)")
    ] = 1000
    batch_window_seconds: Annotated[
        Annotated[int, Meta(ge=0, le=300)] | None,
        Meta(description="How long to gather a batch, 0-300 s; null: 0 on local, 1 on aws"),
    ] = None
    parallelization_factor: Annotated[
        int, Meta(ge=1, le=10, description="Concurrent batches per shard, 1-10 (Lambda)")
    ] = 1
    maximum_retry_attempts: Annotated[
        int, Meta(ge=-1, le=10_000, description="Retries of a failing batch, -1 is without limit (Lambda)")
    ] = -1
    maximum_record_age_seconds: Annotated[
        int,
        Meta(
            ge=-1,
            le=604_800,
            description="Older records go to the on-failure bucket; keep it below the stream's retention",
        ),
    ] = 43_200
    bisect_batch_on_error: Annotated[
        bool, Meta(description="Halve a failing batch to find the bad record")
    ] = False
    dedupe_window_days: Annotated[
        int,
        Meta(
            ge=1,
            le=365,
            description="A repeat of a transaction_id within this many days of arrival is not stored again",
        ),
    ] = 7
    memory_mb: Annotated[
        int, Meta(ge=128, le=10_240, description="Memory of the function, 128-10,240 MB (Lambda)")
    ] = 512
    timeout_seconds: Annotated[
        int, Meta(ge=3, le=900, description="Time-out of the function, at most 900 s (Lambda)")
    ] = 60
    reserved_concurrency: Annotated[
        Annotated[int, Meta(ge=1, le=10_000)] | None,
        Meta(
            description="Executions kept for the function alone, out of the account's pool; null: it shares "
            "the pool. The loader uses (shards + 1 of the alerts) x parallelization_factor at most"
        ),
    ] = None


class NotifierSettings(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The Lambda function that publishes alerts."""

    batch_size: Annotated[int, Meta(ge=1, le=10_000, description="Alerts per invocation")] = 100
    maximum_retry_attempts: Annotated[
        int,
        Meta(
            ge=-1,
            le=10_000,
            description="Retries of a failing batch before it goes to the on-failure bucket, -1: no limit",
        ),
    ] = 50
    maximum_record_age_seconds: Annotated[
        int,
        Meta(
            ge=-1,
            le=604_800,
            description="Older alerts go to the on-failure bucket; keep it below the stream's retention",
        ),
    ] = 3600
    memory_mb: Annotated[
        int, Meta(ge=128, le=10_240, description="Memory of the function, 128-10,240 MB (Lambda)")
    ] = 256
    timeout_seconds: Annotated[
        int, Meta(ge=3, le=900, description="Time-out of the function, at most 900 s (Lambda)")
    ] = 30
    reserved_concurrency: Annotated[
        Annotated[int, Meta(ge=1, le=10_000)] | None,
        Meta(
            description="Executions kept for the function alone, out of the account's pool; null: it shares "
            "the pool. The notifier uses 1 at most"
        ),
    ] = None


class FunctionSettings(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What both functions share."""

    python: Annotated[
        Literal["auto", "3.11", "3.12", "3.13", "3.14"],
        Meta(description="Python of the functions; auto: this machine's on local, 3.13 on aws"),
    ] = "auto"
    architecture: Annotated[
        Literal["auto", "x86_64", "arm64"],
        Meta(description="Processor of the functions; auto: this machine's on local, arm64 on aws"),
    ] = "auto"
    log_retention_days: Annotated[
        int, Meta(ge=1, le=3653, description="How long CloudWatch keeps their logs")
    ] = 14


class RuleSettings(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One detection rule and its parameters (numbers); sql/rules/NAME.sql documents them."""

    enabled: Annotated[bool, Meta(description="Whether the rule runs")] = True
    parameters: Annotated[dict[str, int | float], Meta(description="Overrides of the rule's defaults")] = (
        field(default_factory=dict)
    )


class AnalyticsSettings(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The Managed Flink application."""

    runtime: Annotated[
        Literal["FLINK-1_20", "FLINK-2_2", "FLINK-2_3", "SQL-1_0"],
        Meta(description="Flink version; SQL-1_0 is refused: AWS ended it on 2026-01-27"),
    ] = "FLINK-2_3"
    parallelism: Annotated[
        int,
        Meta(
            ge=1,
            le=256,
            description="Parallelism of the job, 1-256 (Managed Flink); rules that look back are exact at 1: "
            "above it, neighbours of one account can change places",
        ),
    ] = 1
    parallelism_per_kpu: Annotated[
        int,
        Meta(ge=1, le=8, description="Parallel tasks that share one KPU (aws only), 1-8 (Managed Flink)"),
    ] = 1
    auto_scaling: Annotated[
        bool,
        Meta(
            description="Let AWS raise the parallelism under load (aws only); rules that look back are then "
            "not exact"
        ),
    ] = False
    checkpoint_interval_seconds: Annotated[
        int, Meta(ge=1, le=3600, description="Time between checkpoints")
    ] = 60
    metrics_level: Annotated[
        Literal["APPLICATION", "TASK", "OPERATOR", "PARALLELISM"],
        Meta(description="What CloudWatch gets metrics of (aws only); finer levels cost more"),
    ] = "APPLICATION"
    log_level: Annotated[
        Literal["INFO", "WARN", "ERROR", "DEBUG"], Meta(description="What the app's log holds")
    ] = "INFO"
    connector_jar: Annotated[
        str | None,
        Meta(
            description="Path of a flink-sql-connector-aws-kinesis-streams jar (aws only); "
            "unset: it is downloaded, which needs connector_sha256"
        ),
    ] = None
    connector_sha256: Annotated[
        Annotated[str, Meta(pattern=r"^[0-9a-f]{64}\Z")] | None,
        Meta(description="SHA-256 of the connector jar; one that has another is refused"),
    ] = None
    connector_url: Annotated[
        Annotated[str, Meta(pattern=r"^https://[^\s]+\Z")] | None,
        Meta(description="https URL of a mirror of Maven Central, or of the connector's jar itself"),
    ] = None
    rules: Annotated[
        dict[str, RuleSettings], Meta(description="Rules by name; all of sql/rules run unless disabled here")
    ] = field(default_factory=dict)


class SubscriptionSettings(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One subscription of the alert topic."""

    protocol: Annotated[Literal["email", "sqs", "https", "lambda"], Meta(description="SNS protocol")]
    endpoint: Annotated[str, Meta(min_length=1, description="E-mail address, queue ARN, URL or function ARN")]
    raw: Annotated[bool, Meta(description="Deliver the bare message (sqs and https)")] = False


class TopicSettings(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The SNS topic of alerts."""

    subscriptions: Annotated[tuple[SubscriptionSettings, ...], Meta(description="Who gets the alerts")] = ()


class AlarmSettings(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """CloudWatch alarms on the functions; the local cloud keeps them, but evaluates nothing."""

    enabled: Annotated[bool, Meta(description="Whether there are any; false removes them")] = True
    iterator_age_seconds: Annotated[
        int,
        Meta(
            ge=1, le=604_800, description="Raised when a function is so far behind its stream for 3 minutes"
        ),
    ] = 300
    rejects: Annotated[
        int, Meta(ge=1, description="Raised when so many records are rejected within 5 minutes")
    ] = 1
    topic_arn: Annotated[
        Annotated[str, Meta(pattern=r"^arn:aws[a-z-]*:sns:[a-z0-9-]+:\d{12}:[A-Za-z0-9_-]+\Z")] | None,
        Meta(description="SNS topic that is told of raised alarms; null: they show in CloudWatch only"),
    ] = None


class LocalSettings(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The local cloud."""

    enforce_limits: Annotated[bool, Meta(description="Apply the service limits of Kinesis as on AWS")] = True
    api_port: Annotated[
        int, Meta(ge=1024, le=65535, description="Preferred port of the AWS APIs; a taken one is replaced")
    ] = 4580
    flink_heap_mb: Annotated[int, Meta(ge=256, le=8192, description="Heap of the local Flink")] = 512


class AwsSettings(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The aws target."""

    profile: Annotated[str | None, Meta(description="Profile of the AWS configuration")] = None
    endpoint_url: Annotated[
        str | None, Meta(description="Another endpoint; the only way to point `aws` at this machine")
    ] = None


class Settings(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """All settings of one pipeline."""

    pipeline: Annotated[str, Meta(description="Name of the pipeline")] = "default"
    target: Annotated[Literal["local", "aws"], Meta(description="Where it runs")] = "local"
    region: Annotated[str, Meta(pattern=r"^[a-z]{2,4}(-[a-z]+)+-\d\Z", description="AWS region")] = (
        "us-east-1"
    )
    prices: Annotated[
        dict[str, Annotated[float, Meta(ge=0)]],
        Meta(description="Your own prices in dollars, by the items that txnpipe cost --json lists"),
    ] = field(default_factory=dict)
    stream: StreamSettings = StreamSettings()
    warehouse: WarehouseSettings = WarehouseSettings()
    network: NetworkSettings = NetworkSettings()
    functions: FunctionSettings = FunctionSettings()
    loader: LoaderSettings = LoaderSettings()
    notifier: NotifierSettings = NotifierSettings()
    analytics: AnalyticsSettings = AnalyticsSettings()
    topic: TopicSettings = TopicSettings()
    alarms: AlarmSettings = AlarmSettings()
    local: LocalSettings = LocalSettings()
    aws: AwsSettings = AwsSettings()
