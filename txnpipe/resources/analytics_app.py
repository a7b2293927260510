"""The Managed Flink application: created, started, updated, stopped, removed.

Its states have no waiters; start, stop and update answer an operation id, which is what is watched: an
application that fails to start goes back to READY, and only the operation tells why.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from txnpipe.errors import ExitCode, TxnpipeError, usage_error
from txnpipe.resources.analytics_code import code_key
from txnpipe.resources.difference import Difference
from txnpipe.resources.new_roles import once_role_is_known
from txnpipe.resources.policies import bucket_arn
from txnpipe.resources.resource import Cloud, Observed, tags_of, wait_gone, wait_ready

if TYPE_CHECKING:
    from txnpipe.packaging.artifact import Artifact

RUNNING_TIMEOUT_S = 1200.0
"""A start takes minutes on AWS: it provisions its own cluster."""
RUN_OPTIONS = "kinesis.analytics.flink.run.options"
"""The property group that tells the service what to run."""
_SETTLED = {"READY", "RUNNING", "ROLLED_BACK"}
_STOPPABLE = {"STARTING", "UPDATING", "STOPPING", "AUTOSCALING", "RUNNING"}
"""Where a forced stop is accepted (StopApplication)."""
_DELETABLE = {"READY", "ROLLED_BACK"}


def refuse_sql_runtime(runtime: str) -> None:
    """Raises USAGE for the runtime of the service that has ended."""
    if runtime == "SQL-1_0":
        raise usage_error(
            "SQL-1_0 (Kinesis Data Analytics for SQL) ended on 2026-01-27: AWS deletes such applications.",
            "Set analytics.runtime to FLINK-2_3; the same predicates are Flink SQL in sql/rules.",
        )


@dataclass(frozen=True)
class AnalyticsAppState:
    """What a plan compares. `properties` maps group → key → value."""

    runtime: str
    role: str
    code_bucket: str
    code_key: str
    properties: Mapping[str, Mapping[str, str]]
    parallelism: int
    checkpoint_interval_ms: int
    log_stream: str | None
    running: bool


@dataclass(frozen=True)
class AnalyticsApp:
    """The application."""

    cloud: Cloud
    name: str
    requires: tuple[str, ...]
    role: str
    log_stream: str
    artifact: Callable[[], Artifact]
    kind: str = "analytics app"
    inside: str | None = None

    def desired(self) -> AnalyticsAppState:
        """See Resource."""
        settings = self.cloud.settings.analytics
        refuse_sql_runtime(settings.runtime)
        return AnalyticsAppState(
            runtime=settings.runtime,
            role=self.role,
            code_bucket=bucket_arn(self.cloud.names),
            code_key=code_key(self.artifact()),
            properties={RUN_OPTIONS: {"python": "main.py", "jarfile": "lib/pyflink-dependencies.jar"}},
            parallelism=settings.parallelism,
            checkpoint_interval_ms=self.cloud.target.checkpoint_interval_ms,
            log_stream=self.log_stream,
            running=True,
        )

    def describe(self) -> dict[str, Any] | None:
        """ApplicationDetail, or None."""
        analytics = self.cloud.client("kinesisanalyticsv2")
        try:
            found: dict[str, Any] = analytics.describe_application(ApplicationName=self.name)[
                "ApplicationDetail"
            ]
        except analytics.exceptions.ResourceNotFoundException:
            return None
        return found

    def read(self) -> Observed[AnalyticsAppState] | None:
        """See Resource."""
        detail = self.describe()
        if detail is None:
            return None
        analytics = self.cloud.client("kinesisanalyticsv2")
        status = detail["ApplicationStatus"]
        if status != "DELETING":
            try:
                tags = analytics.list_tags_for_resource(ResourceARN=detail["ApplicationARN"])["Tags"]
            except analytics.exceptions.ResourceNotFoundException:
                return None
            self.cloud.assert_ours(self.kind, self.name, tags_of(tags))
        return Observed(
            _state(detail),
            status,
            ready=status in _SETTLED,
            leaving=status == "DELETING",
            facts={"version": detail["ApplicationVersionId"], "runtime": detail["RuntimeEnvironment"]},
        )

    def create(self, desired: AnalyticsAppState) -> None:
        """See Resource. Created is not started."""
        analytics = self.cloud.client("kinesisanalyticsv2")

        def call() -> None:
            # In use: made meanwhile, or by a call whose answer was lost; reading it tells whose it is.
            with suppress(analytics.exceptions.ResourceInUseException):
                analytics.create_application(
                    ApplicationName=self.name,
                    ApplicationDescription=f"Pipeline {self.cloud.names.pipeline} of txnpipe",
                    RuntimeEnvironment=desired.runtime,
                    ServiceExecutionRole=desired.role,
                    ApplicationConfiguration=_creation(desired),
                    CloudWatchLoggingOptions=[{"LogStreamARN": desired.log_stream}],
                    Tags=self.cloud.tag_list,
                )

        once_role_is_known(self.cloud, self, call)
        wait_ready(self.cloud, self, RUNNING_TIMEOUT_S)
        self._start()

    def _start(self) -> None:
        """Starts from the latest snapshot where there is one: that is the service's default."""
        analytics = self.cloud.client("kinesisanalyticsv2")
        detail = self.describe()
        if detail is not None and detail["ApplicationStatus"] == "RUNNING":
            return
        self._watch(analytics.start_application(ApplicationName=self.name), "RUNNING")

    def update(self, desired: AnalyticsAppState, differences: tuple[Difference, ...]) -> None:
        """See Resource."""
        analytics = self.cloud.client("kinesisanalyticsv2")
        fields = {difference.field.split(".", 1)[0] for difference in differences}
        detail = self.describe()
        if detail is None:
            return
        if "log_stream" in fields and not detail.get("CloudWatchLoggingOptionDescriptions"):
            self._add_log(detail["ApplicationVersionId"], desired)
            fields.remove("log_stream")
            detail = self.describe() or detail
        if fields - {"running"}:
            was = detail["ApplicationStatus"]
            answer = analytics.update_application(
                ApplicationName=self.name,
                CurrentApplicationVersionId=detail["ApplicationVersionId"],
                **_changes(desired, fields, detail),
            )
            self._watch(answer, "RUNNING" if was == "RUNNING" else "READY")
        self._start()

    def _add_log(self, version: int, desired: AnalyticsAppState) -> None:
        """An update changes a logging option; only this call adds one."""
        answer = self.cloud.client("kinesisanalyticsv2").add_application_cloud_watch_logging_option(
            ApplicationName=self.name,
            CurrentApplicationVersionId=version,
            CloudWatchLoggingOption={"LogStreamARN": desired.log_stream},
        )
        self._watch(answer, None)
        self.settle()

    def _watch(self, answer: Mapping[str, Any], wanted: str | None) -> None:
        """Waits for an operation to succeed and for the state it leads to (None: any)."""
        analytics = self.cloud.client("kinesisanalyticsv2")
        operation = answer.get("OperationId")

        def probe() -> bool | None:
            if operation:
                info = analytics.describe_application_operation(
                    ApplicationName=self.name, OperationId=operation
                )["ApplicationOperationInfoDetails"]
                if info["OperationStatus"] in {"FAILED", "CANCELLED"}:
                    reason = (
                        info.get("OperationFailureDetails", {}).get("ErrorInfo", {}).get("ErrorString", "")
                    )
                    raise TxnpipeError(
                        f"{info['Operation']} of {self.name} {info['OperationStatus'].lower()}: {reason}",
                        f"Read the app's log ({self.log_stream.split(':log-group:')[-1]}), "
                        "then run the same command again.",
                        ExitCode.SERVICE,
                    )
                if info["OperationStatus"] != "SUCCESSFUL":
                    return None
            if wanted is None:
                return True
            detail = self.describe()
            return True if detail is not None and detail["ApplicationStatus"] == wanted else None

        what = f"analytics app {self.name} to be {wanted or 'changed'}"
        self.cloud.waiter.until(self, what, probe, RUNNING_TIMEOUT_S)

    def settle(self) -> None:
        """See Resource. Ready means it has stopped changing; whether it runs is a field of its state."""
        wait_ready(self.cloud, self, RUNNING_TIMEOUT_S)

    def delete(self) -> None:
        """See Resource. Stopped by force: a last snapshot would be deleted with the application."""
        analytics = self.cloud.client("kinesisanalyticsv2")

        def asked() -> bool | None:
            detail = self.describe()
            if detail is None or detail["ApplicationStatus"] == "DELETING":
                return True
            try:
                if detail["ApplicationStatus"] in _DELETABLE:
                    analytics.delete_application(
                        ApplicationName=self.name, CreateTimestamp=detail["CreateTimestamp"]
                    )
                    return True
                if detail["ApplicationStatus"] in _STOPPABLE:
                    analytics.stop_application(ApplicationName=self.name, Force=True)
            except analytics.exceptions.ResourceNotFoundException:
                return True
            except (
                analytics.exceptions.ResourceInUseException,
                analytics.exceptions.ConcurrentModificationException,
                analytics.exceptions.InvalidApplicationConfigurationException,
            ):
                return None  # it changed between the two calls
            return None

        self.cloud.waiter.until(self, f"analytics app {self.name} to stop", asked, RUNNING_TIMEOUT_S)
        wait_gone(self.cloud, self, RUNNING_TIMEOUT_S)


def _state(detail: Mapping[str, Any]) -> AnalyticsAppState:
    configuration = detail.get("ApplicationConfigurationDescription", {})
    flink = configuration.get("FlinkApplicationConfigurationDescription", {})
    code = (
        configuration.get("ApplicationCodeConfigurationDescription", {})
        .get("CodeContentDescription", {})
        .get("S3ApplicationCodeLocationDescription", {})
    )
    groups = configuration.get("EnvironmentPropertyDescriptions", {}).get("PropertyGroupDescriptions", [])
    logs = detail.get("CloudWatchLoggingOptionDescriptions") or []
    return AnalyticsAppState(
        runtime=detail["RuntimeEnvironment"],
        role=detail.get("ServiceExecutionRole", ""),
        code_bucket=code.get("BucketARN", ""),
        code_key=code.get("FileKey", ""),
        properties={group["PropertyGroupId"]: group.get("PropertyMap", {}) for group in groups},
        parallelism=flink.get("ParallelismConfigurationDescription", {}).get("Parallelism", 1),
        checkpoint_interval_ms=flink.get("CheckpointConfigurationDescription", {}).get(
            "CheckpointInterval", 0
        ),
        log_stream=logs[0]["LogStreamARN"] if logs else None,
        running=detail["ApplicationStatus"] in {"RUNNING", "STARTING", "UPDATING", "AUTOSCALING"},
    )


def _groups(desired: AnalyticsAppState) -> list[dict[str, Any]]:
    return [
        {"PropertyGroupId": group, "PropertyMap": dict(properties)}
        for group, properties in desired.properties.items()
    ]


def _creation(desired: AnalyticsAppState) -> dict[str, Any]:
    location = {"BucketARN": desired.code_bucket, "FileKey": desired.code_key}
    return {
        "ApplicationCodeConfiguration": {
            "CodeContentType": "ZIPFILE",
            "CodeContent": {"S3ContentLocation": location},
        },
        "EnvironmentProperties": {"PropertyGroups": _groups(desired)},
        "FlinkApplicationConfiguration": {
            "CheckpointConfiguration": {
                "ConfigurationType": "CUSTOM",
                "CheckpointingEnabled": True,
                "CheckpointInterval": desired.checkpoint_interval_ms,
                "MinPauseBetweenCheckpoints": min(desired.checkpoint_interval_ms, 5000),
            },
            "MonitoringConfiguration": {
                "ConfigurationType": "CUSTOM",
                "MetricsLevel": "APPLICATION",
                "LogLevel": "INFO",
            },
            "ParallelismConfiguration": {
                "ConfigurationType": "CUSTOM",
                "Parallelism": desired.parallelism,
                "ParallelismPerKPU": 1,
                "AutoScalingEnabled": False,
            },
        },
        "ApplicationSnapshotConfiguration": {"SnapshotsEnabled": True},
    }


def _changes(desired: AnalyticsAppState, fields: set[str], detail: Mapping[str, Any]) -> dict[str, Any]:
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
    if "checkpoint_interval_ms" in fields:
        flink["CheckpointConfigurationUpdate"] = {
            "ConfigurationTypeUpdate": "CUSTOM",
            "CheckpointingEnabledUpdate": True,
            "CheckpointIntervalUpdate": desired.checkpoint_interval_ms,
            "MinPauseBetweenCheckpointsUpdate": min(desired.checkpoint_interval_ms, 5000),
        }
    if "parallelism" in fields:
        flink["ParallelismConfigurationUpdate"] = {
            "ConfigurationTypeUpdate": "CUSTOM",
            "ParallelismUpdate": desired.parallelism,
        }
    if flink:
        configuration["FlinkApplicationConfigurationUpdate"] = flink
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
