"""What the Managed Flink application is made of: its state, how it is read, and the requests that make it so.

UpdateApplication takes the tree of CreateApplication with `Update` at the end of each name, and
DescribeApplication answers it with `Description`; every value of this state is in all three, so that whatever
somebody changed by hand shows in a plan.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from txnpipe.resources.difference import loses_data_where

RUN_OPTIONS = "kinesis.analytics.flink.run.options"
"""The property group that tells the service what to run.

`python` and `jarfile` are paths inside the zip
(https://docs.aws.amazon.com/managed-flink/latest/java/how-python-creating.html).
"""
RUNNING = {"RUNNING", "STARTING", "UPDATING", "AUTOSCALING", "ROLLING_BACK", "MAINTENANCE"}
"""Where the job runs, or is on its way to run again by itself."""
_CUSTOM = "CUSTOM"


def is_downgrade(before: str, after: str) -> bool:
    """From Flink 2 to Flink 1: the service upgrades an application's state, and never the other way.

    https://docs.aws.amazon.com/managed-flink/latest/java/flink-2-2-upgrade-guide.html
    """
    return before.startswith("FLINK-2_") and after.startswith("FLINK-1_")


@dataclass(frozen=True)
class AnalyticsAppState:
    """What a plan compares. `properties` maps group → key → value; times are milliseconds.

    snapshots: each stop, update and scaling takes one, and what follows starts from it
    (https://docs.aws.amazon.com/managed-flink/latest/java/how-snapshots.html).
    system_rollback: an update that fails brings the version before it back, with its state
    (https://docs.aws.amazon.com/managed-flink/latest/java/how-system-rollbacks.html).
    """

    runtime: str = field(metadata=loses_data_where(is_downgrade))
    role: str
    code_bucket: str
    code_key: str
    properties: Mapping[str, Mapping[str, str]]
    parallelism: int
    parallelism_per_kpu: int
    auto_scaling: bool
    checkpoints: bool
    checkpoint_interval_ms: int
    checkpoint_pause_ms: int
    metrics_level: str
    log_level: str
    snapshots: bool
    system_rollback: bool
    log_stream: str | None
    running: bool


_PARALLELISM = {
    "parallelism": "Parallelism",
    "parallelism_per_kpu": "ParallelismPerKPU",
    "auto_scaling": "AutoScalingEnabled",
}
_CHECKPOINTS = {
    "checkpoints": "CheckpointingEnabled",
    "checkpoint_interval_ms": "CheckpointInterval",
    "checkpoint_pause_ms": "MinPauseBetweenCheckpoints",
}
_MONITORING = {"metrics_level": "MetricsLevel", "log_level": "LogLevel"}
_FLINK = {
    "CheckpointConfiguration": _CHECKPOINTS,
    "MonitoringConfiguration": _MONITORING,
    "ParallelismConfiguration": _PARALLELISM,
}
"""Section of the Flink configuration → field of the state → its name there."""


def state_of(detail: Mapping[str, Any]) -> AnalyticsAppState:
    """The state that DescribeApplication tells. What an application lacks reads as the service treats it."""
    configuration = detail.get("ApplicationConfigurationDescription", {})
    flink = configuration.get("FlinkApplicationConfigurationDescription", {})
    code = (
        configuration.get("ApplicationCodeConfigurationDescription", {})
        .get("CodeContentDescription", {})
        .get("S3ApplicationCodeLocationDescription", {})
    )
    groups = configuration.get("EnvironmentPropertyDescriptions", {}).get("PropertyGroupDescriptions", [])
    parallelism = flink.get("ParallelismConfigurationDescription", {})
    checkpoints = flink.get("CheckpointConfigurationDescription", {})
    monitoring = flink.get("MonitoringConfigurationDescription", {})
    logs = detail.get("CloudWatchLoggingOptionDescriptions") or []
    return AnalyticsAppState(
        runtime=detail["RuntimeEnvironment"],
        role=detail.get("ServiceExecutionRole", ""),
        code_bucket=code.get("BucketARN", ""),
        code_key=code.get("FileKey", ""),
        properties={group["PropertyGroupId"]: group.get("PropertyMap", {}) for group in groups},
        parallelism=parallelism.get("Parallelism", 1),
        parallelism_per_kpu=parallelism.get("ParallelismPerKPU", 1),
        auto_scaling=parallelism.get("AutoScalingEnabled", False),
        checkpoints=checkpoints.get("CheckpointingEnabled", False),
        checkpoint_interval_ms=checkpoints.get("CheckpointInterval", 0),
        checkpoint_pause_ms=checkpoints.get("MinPauseBetweenCheckpoints", 0),
        metrics_level=monitoring.get("MetricsLevel", ""),
        log_level=monitoring.get("LogLevel", ""),
        snapshots=configuration.get("ApplicationSnapshotConfigurationDescription", {}).get(
            "SnapshotsEnabled", False
        ),
        system_rollback=configuration.get("ApplicationSystemRollbackConfigurationDescription", {}).get(
            "RollbackEnabled", False
        ),
        log_stream=logs[0]["LogStreamARN"] if logs else None,
        running=detail["ApplicationStatus"] in RUNNING,
    )


def creation(desired: AnalyticsAppState) -> dict[str, Any]:
    """The ApplicationConfiguration of a new application."""
    location = {"BucketARN": desired.code_bucket, "FileKey": desired.code_key}
    return {
        "ApplicationCodeConfiguration": {
            "CodeContentType": "ZIPFILE",
            "CodeContent": {"S3ContentLocation": location},
        },
        "EnvironmentProperties": {"PropertyGroups": _groups(desired)},
        "FlinkApplicationConfiguration": {
            section: {
                "ConfigurationType": _CUSTOM,
                **{name: getattr(desired, item) for item, name in items.items()},
            }
            for section, items in _FLINK.items()
        },
        "ApplicationSnapshotConfiguration": {"SnapshotsEnabled": desired.snapshots},
        "ApplicationSystemRollbackConfiguration": {"RollbackEnabled": desired.system_rollback},
    }


def changes(desired: AnalyticsAppState, fields: set[str], detail: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of UpdateApplication for the fields that differ, and for no other."""
    configuration: dict[str, Any] = {}
    flink: dict[str, Any] = {}
    arguments: dict[str, Any] = {}
    if fields & {"code_bucket", "code_key"}:
        location = {"BucketARNUpdate": desired.code_bucket, "FileKeyUpdate": desired.code_key}
        configuration["ApplicationCodeConfigurationUpdate"] = {
            "CodeContentUpdate": {"S3ContentLocationUpdate": location}
        }
        # New SQL makes a new job graph: state that fits nowhere any more is dropped instead of refusing
        # to start. Alerts already written are not repeated: their ids are the same.
        arguments["RunConfigurationUpdate"] = {"FlinkRunConfiguration": {"AllowNonRestoredState": True}}
    if "properties" in fields:
        configuration["EnvironmentPropertyUpdates"] = {"PropertyGroups": _groups(desired)}
    for section, items in _FLINK.items():
        if fields & items.keys():
            flink[f"{section}Update"] = {
                "ConfigurationTypeUpdate": _CUSTOM,
                **{f"{name}Update": getattr(desired, item) for item, name in items.items()},
            }
    if flink:
        configuration["FlinkApplicationConfigurationUpdate"] = flink
    if "snapshots" in fields:
        configuration["ApplicationSnapshotConfigurationUpdate"] = {
            "SnapshotsEnabledUpdate": desired.snapshots
        }
    if "system_rollback" in fields:
        configuration["ApplicationSystemRollbackConfigurationUpdate"] = {
            "RollbackEnabledUpdate": desired.system_rollback
        }
    if configuration:
        arguments["ApplicationConfigurationUpdate"] = configuration
    if "role" in fields:
        arguments["ServiceExecutionRoleUpdate"] = desired.role
    if "runtime" in fields:
        arguments["RuntimeEnvironmentUpdate"] = desired.runtime
    if "log_stream" in fields:
        option = detail["CloudWatchLoggingOptionDescriptions"][0]
        arguments["CloudWatchLoggingOptionUpdates"] = [
            {
                "CloudWatchLoggingOptionId": option["CloudWatchLoggingOptionId"],
                "LogStreamARNUpdate": desired.log_stream,
            }
        ]
    return arguments


def _groups(desired: AnalyticsAppState) -> list[dict[str, Any]]:
    return [
        {"PropertyGroupId": group, "PropertyMap": dict(properties)}
        for group, properties in desired.properties.items()
    ]
