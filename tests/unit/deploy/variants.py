"""The shapes that a pipeline can have, and what can be changed. What is proven of one is proven of all."""

from __future__ import annotations

from typing import Any

from tests.unit.deploy.places import ACCOUNT, REGION

VARIANTS: dict[str, dict[str, Any]] = {
    "provisioned cluster, provisioned stream": {},
    "serverless warehouse": {"warehouse": {"kind": "serverless"}},
    "provisioned cluster, on-demand stream": {"stream": {"mode": "on-demand"}},
    "an endpoint for S3": {"network": {"s3_gateway": True}},
}
"""Name → the settings that make it. One line for each kind of warehouse, stream, network that there is."""

QUEUE = f"arn:aws:sqs:{REGION}:{ACCOUNT}:alerts"
SUBSCRIPTIONS = [
    {"protocol": "email", "endpoint": "ops@example.com"},
    {"protocol": "sqs", "endpoint": QUEUE, "raw": True},
]
OPERATORS = f"arn:aws:sns:{REGION}:{ACCOUNT}:operators"

CHANGED: dict[str, tuple[Any, set[str]]] = {
    "stream.mode": ("on-demand", {"mode"}),
    "stream.retention_hours": (48, {"retention_hours"}),
    "stream.encryption": (False, {"kms_key"}),
    "stream.shard_metrics": (["IncomingBytes", "IteratorAgeMilliseconds"], {"shard_metrics"}),
    "network.s3_gateway": (True, {"*"}),
    "warehouse.node_type": ("ra3.large", {"node_type"}),
    "warehouse.nodes": (2, {"nodes"}),
    "warehouse.base_capacity_rpu": (8, {"base_capacity", "rpu_hours"}),
    "warehouse.max_capacity_rpu": (64, {"max_capacity"}),
    "warehouse.usage_limit_rpu_hours": (99, {"rpu_hours"}),
    "warehouse.usage_limit_period": ("weekly", {"period", "rpu_hours"}),
    "warehouse.usage_limit_action": ("log", {"action"}),
    "warehouse.port": (5440, {"port", "ingress", "egress"}),
    "warehouse.loader_user": (
        "another_loader",
        {"username", "secret_version", "former", "environment.WAREHOUSE_USER"},
    ),
    "functions.log_retention_days": (30, {"retention_days"}),
    "loader.batch_size": (77, {"batch_size"}),
    "loader.parallelization_factor": (2, {"parallelization_factor"}),
    "loader.maximum_retry_attempts": (7, {"maximum_retry_attempts"}),
    "loader.maximum_record_age_seconds": (600, {"maximum_record_age_seconds"}),
    "loader.bisect_batch_on_error": (True, {"bisect_batch_on_error"}),
    "loader.dedupe_window_days": (3, {"environment.DEDUPE_WINDOW_DAYS"}),
    "loader.memory_mb": (1024, {"memory_mb"}),
    "loader.timeout_seconds": (90, {"timeout_seconds"}),
    "loader.reserved_concurrency": (10, {"reserved_concurrency"}),
    "notifier.batch_size": (7, {"batch_size"}),
    "notifier.maximum_retry_attempts": (7, {"maximum_retry_attempts"}),
    "notifier.maximum_record_age_seconds": (600, {"maximum_record_age_seconds"}),
    "notifier.memory_mb": (512, {"memory_mb"}),
    "notifier.timeout_seconds": (60, {"timeout_seconds"}),
    "notifier.reserved_concurrency": (5, {"reserved_concurrency"}),
    "analytics.runtime": ("FLINK-2_2", {"runtime"}),
    "analytics.parallelism": (2, {"parallelism"}),
    "analytics.parallelism_per_kpu": (2, {"parallelism_per_kpu"}),
    "analytics.auto_scaling": (True, {"auto_scaling"}),
    "analytics.metrics_level": ("TASK", {"metrics_level"}),
    "analytics.log_level": ("WARN", {"log_level"}),
    "topic.subscriptions": (SUBSCRIPTIONS, {"subscriptions"}),
    "alarms.iterator_age_seconds": (7200, {"alarms"}),
    "alarms.rejects": (99, {"alarms"}),
    "alarms.topic_arn": (OPERATORS, {"alarms"}),
    "alarms.enabled": (False, {"alarms"}),
}
"""Setting → another value, and the fields that the plan shows then: their names, or the first part of them
("*": a resource more). Every setting is here or below."""

NOT_CHANGED: dict[str, str] = {
    "pipeline": "another name is another pipeline",
    "target": "where a pipeline is, is no property of it",
    "region": "the same",
    "stream.shards": "belongs to scale once the stream is there",
    "stream.kms_key": "test_streams",
    "network.vpc_id": "fixed while the pipeline stands; test_network",
    "network.subnet_ids": "test_network",
    "network.secrets_endpoint": "test_network",
    "warehouse.kind": "refused: the rows would be lost",
    "warehouse.database": "refused: the rows would be lost",
    "warehouse.admin_user": "refused: the rows would be lost",
    "warehouse.access": "how this machine talks to the warehouse",
    "warehouse.final_snapshot": "teardown's; the tests' target has its own",
    "warehouse.final_snapshot_retention_days": "teardown's",
    "functions.python": "the target's",
    "functions.architecture": "the target's",
    "loader.batch_window_seconds": "the target's",
    "analytics.checkpoint_interval_seconds": "the target's",
    "analytics.connector_jar": "part of the code",
    "analytics.connector_sha256": "part of the code",
    "analytics.connector_url": "part of the code",
    "analytics.rules": "part of the code",
    "prices": "no part of the account",
    "local": "the local cloud's",
    "aws": "the target's",
}
"""Settings that change nothing in this account, or whose change is proven elsewhere, and which it is."""


OF_ONE_KIND: dict[str, str] = {
    **dict.fromkeys(("warehouse.node_type", "warehouse.nodes"), "provisioned"),
    **dict.fromkeys(
        (
            *("warehouse.base_capacity_rpu", "warehouse.max_capacity_rpu", "warehouse.usage_limit_action"),
            *("warehouse.usage_limit_rpu_hours", "warehouse.usage_limit_period"),
        ),
        "serverless",
    ),
}
"""Settings of one kind of warehouse: which."""


REPLACING = {"warehouse.usage_limit_period"}
"""Settings whose change replaces a resource."""


def change(setting: str) -> dict[str, Any]:
    """The sections that give a setting its other value."""
    section, _, name = setting.partition(".")
    return {section: {name: CHANGED[setting][0]}}
