"""An application's configuration: defaults, updates, how the API describes it, and Flink's options for it.

The configuration is kept in the shape of the API's ApplicationConfiguration. Updates have the same tree with
`Update` at the end of each name; descriptions have it with `Description`.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from txnpipe.local.service import ServiceError

CHECKPOINT_DEFAULTS = {
    "CheckpointingEnabled": True,
    "CheckpointInterval": 60_000,
    "MinPauseBetweenCheckpoints": 5_000,
}
MONITORING_DEFAULTS = {"MetricsLevel": "APPLICATION", "LogLevel": "INFO"}
PARALLELISM_DEFAULTS = {"Parallelism": 1, "ParallelismPerKPU": 1, "AutoScalingEnabled": False}
_FLINK: Mapping[str, Mapping[str, Any]] = {
    "CheckpointConfiguration": CHECKPOINT_DEFAULTS,
    "MonitoringConfiguration": MONITORING_DEFAULTS,
    "ParallelismConfiguration": PARALLELISM_DEFAULTS,
}
"""The service's defaults (API reference of Managed Service for Apache Flink)."""
_RESTARTED_BY = (
    "ApplicationCodeConfiguration",
    "EnvironmentProperties",
    "FlinkApplicationConfiguration",
)


def completed(configuration: Mapping[str, Any]) -> dict[str, Any]:
    """A new application's configuration with the service's defaults filled in."""
    result = copy.deepcopy(dict(configuration))
    flink = result.setdefault("FlinkApplicationConfiguration", {})
    for section, defaults in _FLINK.items():
        flink[section] = _with_defaults(flink.get(section, {"ConfigurationType": "DEFAULT"}), defaults)
    result.setdefault("ApplicationSnapshotConfiguration", {"SnapshotsEnabled": True})
    return result


def _with_defaults(chosen: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    if chosen["ConfigurationType"] == "DEFAULT":
        if set(chosen) - {"ConfigurationType"}:
            raise ServiceError(
                "InvalidArgumentException",
                "Values can only be given with the ConfigurationType CUSTOM: DEFAULT uses the service's.",
            )
        return {"ConfigurationType": "DEFAULT", **defaults}
    return {**defaults, **chosen}


def updated(configuration: Mapping[str, Any], update: Mapping[str, Any]) -> dict[str, Any]:
    """The configuration after an ApplicationConfigurationUpdate."""
    result = copy.deepcopy(dict(configuration))
    if "ApplicationCodeConfigurationUpdate" in update:
        _update_code(result, update["ApplicationCodeConfigurationUpdate"])
    for section, change in update.get("FlinkApplicationConfigurationUpdate", {}).items():
        name = section.removesuffix("Update")
        plain = {key.removesuffix("Update"): value for key, value in change.items()}
        before = result["FlinkApplicationConfiguration"][name]
        if plain.get("ConfigurationType", before["ConfigurationType"]) == "CUSTOM":
            result["FlinkApplicationConfiguration"][name] = {**before, **plain}
        else:
            result["FlinkApplicationConfiguration"][name] = _with_defaults(
                {"ConfigurationType": "DEFAULT", **plain}, _FLINK[name]
            )
    if "EnvironmentPropertyUpdates" in update:
        groups = update["EnvironmentPropertyUpdates"]["PropertyGroups"]
        result["EnvironmentProperties"] = {"PropertyGroups": copy.deepcopy(groups)}
    for section in ("ApplicationSnapshotConfiguration", "ApplicationSystemRollbackConfiguration"):
        change = update.get(f"{section}Update", {})
        if change:
            result.setdefault(section, {}).update(
                {key.removesuffix("Update"): value for key, value in change.items()}
            )
    return result


def _update_code(configuration: dict[str, Any], update: Mapping[str, Any]) -> None:
    code = configuration.setdefault("ApplicationCodeConfiguration", {})
    if "CodeContentTypeUpdate" in update:
        code["CodeContentType"] = update["CodeContentTypeUpdate"]
    change = update.get("CodeContentUpdate", {})
    if "S3ContentLocationUpdate" in change:
        before = code.get("CodeContent", {}).get("S3ContentLocation", {})
        plain = {key.removesuffix("Update"): v for key, v in change["S3ContentLocationUpdate"].items()}
        # The version belongs to the object: it does not outlive a change of the key.
        kept = before if "FileKey" not in plain else {k: v for k, v in before.items() if k != "ObjectVersion"}
        code["CodeContent"] = {"S3ContentLocation": {**kept, **plain}}
    for kind in ("TextContent", "ZipFileContent"):
        if f"{kind}Update" in change:
            code["CodeContent"] = {kind: change[f"{kind}Update"]}


def needs_restart(before: Mapping[str, Any], after: Mapping[str, Any]) -> bool:
    """Whether a running application must be restarted for the change to take effect."""
    return any(before.get(section) != after.get(section) for section in _RESTARTED_BY)


def described(
    configuration: Mapping[str, Any], run_configuration: Mapping[str, Any], *, running: bool, details: bool
) -> dict[str, Any]:
    """The API's ApplicationConfigurationDescription."""
    flink = configuration["FlinkApplicationConfiguration"]
    result: dict[str, Any] = {
        "FlinkApplicationConfigurationDescription": {
            f"{section}Description": dict(flink[section]) for section in _FLINK
        },
        "ApplicationSnapshotConfigurationDescription": dict(
            configuration["ApplicationSnapshotConfiguration"]
        ),
    }
    description = result["FlinkApplicationConfigurationDescription"]
    parallelism = description["ParallelismConfigurationDescription"]
    parallelism["CurrentParallelism"] = parallelism["Parallelism"]
    if details and running:
        description["JobPlanDescription"] = "{}"
    code = configuration.get("ApplicationCodeConfiguration")
    if code:
        result["ApplicationCodeConfigurationDescription"] = _described_code(code)
    properties = configuration.get("EnvironmentProperties")
    if properties:
        result["EnvironmentPropertyDescriptions"] = {
            "PropertyGroupDescriptions": properties["PropertyGroups"]
        }
    rollback = configuration.get("ApplicationSystemRollbackConfiguration")
    if rollback:
        result["ApplicationSystemRollbackConfigurationDescription"] = dict(rollback)
    if run_configuration:
        result["RunConfigurationDescription"] = {
            f"{section}Description": value for section, value in run_configuration.items()
        }
    return result


def _described_code(code: Mapping[str, Any]) -> dict[str, Any]:
    content = code.get("CodeContent", {})
    described_content: dict[str, Any] = {}
    if "S3ContentLocation" in content:
        described_content["S3ApplicationCodeLocationDescription"] = dict(content["S3ContentLocation"])
    if "TextContent" in content:
        described_content["TextContent"] = content["TextContent"]
    return {"CodeContentType": code["CodeContentType"], "CodeContentDescription": described_content}


def snapshots_enabled(configuration: Mapping[str, Any]) -> bool:
    """Whether stops and updates take a snapshot."""
    return bool(configuration["ApplicationSnapshotConfiguration"]["SnapshotsEnabled"])


def log_level(configuration: Mapping[str, Any]) -> str:
    """The application's log level."""
    return str(configuration["FlinkApplicationConfiguration"]["MonitoringConfiguration"]["LogLevel"])


def flink_options(configuration: Mapping[str, Any], name: str, checkpoints: Path) -> dict[str, str]:
    """Flink's own options for a job of this configuration, in one JVM on loopback."""
    flink = configuration["FlinkApplicationConfiguration"]
    checkpoint = flink["CheckpointConfiguration"]
    options = {
        "pipeline.name": name,
        "parallelism.default": str(flink["ParallelismConfiguration"]["Parallelism"]),
        # Nothing but loopback, and nothing that runs what it is sent.
        "rest.address": "127.0.0.1",
        "rest.bind-address": "127.0.0.1",
        "rest.bind-port": "0",
        "jobmanager.rpc.address": "127.0.0.1",
        "jobmanager.bind-host": "127.0.0.1",
        "taskmanager.host": "127.0.0.1",
        "taskmanager.bind-host": "127.0.0.1",
        "web.submit.enable": "false",
        "web.cancel.enable": "false",
        "web.rescale.enable": "false",
        # What a laptop has to spare.
        "taskmanager.memory.network.min": "16m",
        "taskmanager.memory.network.max": "16m",
        "taskmanager.memory.managed.size": "32m",
        # State on disk, and checkpoints of what changed: neither grows with every transaction ever seen.
        "state.backend.type": "rocksdb",
        "execution.checkpointing.incremental": "true",
        # A failing job is restarted for ever, as on AWS, at first quickly.
        "restart-strategy.type": "exponential-delay",
        "restart-strategy.exponential-delay.initial-backoff": "200 ms",
        "restart-strategy.exponential-delay.max-backoff": "30 s",
        "restart-strategy.exponential-delay.reset-backoff-threshold": "1 min",
    }
    if checkpoint["CheckpointingEnabled"]:
        options |= {
            "execution.checkpointing.interval": f"{checkpoint['CheckpointInterval']} ms",
            "execution.checkpointing.min-pause": f"{checkpoint['MinPauseBetweenCheckpoints']} ms",
            "execution.checkpointing.dir": f"file://{checkpoints}",
            "execution.checkpointing.storage": "filesystem",
            "execution.checkpointing.num-retained": "2",
            "execution.checkpointing.externalized-checkpoint-retention": "RETAIN_ON_CANCELLATION",
            # While Kinesis cannot be reached the sink waits, and a checkpoint with it.
            "execution.checkpointing.timeout": "10 min",
            "execution.checkpointing.tolerable-failed-checkpoints": "1000000",
        }
    return options
