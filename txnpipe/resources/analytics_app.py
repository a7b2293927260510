"""The Managed Flink application: created, started, updated, stopped, removed.

An answer may be lost and the call repeated. So a change is made by looking: whatever differs is asked for, a
refusal because the application is already changing means looking again, and an operation in progress is
watched by whoever finds it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from txnpipe.errors import usage_error
from txnpipe.resources.analytics_code import code_key
from txnpipe.resources.analytics_operations import OPERATION_TIMEOUT_S, SETTLED, Operations
from txnpipe.resources.analytics_state import (
    RUN_OPTIONS,
    AnalyticsAppState,
    changes,
    creation,
    state_of,
)
from txnpipe.resources.difference import Difference, differences
from txnpipe.resources.new_roles import once_role_is_known
from txnpipe.resources.policies import bucket_arn
from txnpipe.resources.resource import Cloud, Observed, tags_of, wait_gone, wait_ready

if TYPE_CHECKING:
    from txnpipe.packaging.artifact import Artifact

LONGEST_PAUSE_MS = 5000
"""The service's own pause between checkpoints (API reference, CheckpointConfiguration)."""
_STOPPABLE = {"STARTING", "UPDATING", "STOPPING", "AUTOSCALING", "RUNNING"}
"""Where a forced stop is accepted (StopApplication)."""
_STOPPED = {"READY", "ROLLED_BACK"}
"""Where the application can be started and deleted."""


def refuse_sql_runtime(runtime: str) -> None:
    """Raises USAGE for the runtime of the service that has ended."""
    if runtime == "SQL-1_0":
        raise usage_error(
            "SQL-1_0 (Kinesis Data Analytics for SQL) ended on 2026-01-27: AWS deletes such applications.",
            "Set analytics.runtime to FLINK-2_3; the same predicates are Flink SQL in sql/rules.",
        )


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
        interval_ms = self.cloud.target.checkpoint_interval_ms
        return AnalyticsAppState(
            runtime=settings.runtime,
            role=self.role,
            code_bucket=bucket_arn(self.cloud.names),
            code_key=code_key(self.artifact()),
            properties={RUN_OPTIONS: {"python": "main.py", "jarfile": "lib/pyflink-dependencies.jar"}},
            parallelism=settings.parallelism,
            parallelism_per_kpu=settings.parallelism_per_kpu,
            auto_scaling=settings.auto_scaling,
            checkpoints=True,
            checkpoint_interval_ms=interval_ms,
            checkpoint_pause_ms=min(interval_ms, LONGEST_PAUSE_MS),
            metrics_level=settings.metrics_level,
            log_level=settings.log_level,
            snapshots=True,
            system_rollback=True,
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
            state_of(detail),
            status,
            ready=status in SETTLED,
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
                    ApplicationConfiguration=creation(desired),
                    CloudWatchLoggingOptions=[{"LogStreamARN": desired.log_stream}],
                    Tags=self.cloud.tag_list,
                )

        once_role_is_known(self.cloud, self, call)
        wait_ready(self.cloud, self, OPERATION_TIMEOUT_S)
        self._start()

    def update(self, desired: AnalyticsAppState, differences: tuple[Difference, ...]) -> None:
        """See Resource. The service takes a snapshot before an update and starts from it after."""
        if {difference.field for difference in differences} != {"running"}:
            self._change(desired)
        self._start()

    def _start(self) -> None:
        """Starts from the latest snapshot where there is one: that is the service's default."""
        analytics = self.cloud.client("kinesisanalyticsv2")

        def begun() -> Mapping[str, Any] | None:
            detail = self.describe()
            status = detail["ApplicationStatus"] if detail else "gone"
            if status == "RUNNING":
                return {}
            if status not in _STOPPED:
                return self._operations.under_way() or None
            try:
                answer: Mapping[str, Any] = analytics.start_application(ApplicationName=self.name)
            except analytics.exceptions.ResourceInUseException:
                return None  # started meanwhile, or by a call whose answer was lost
            return answer

        what = f"analytics app {self.name} to accept its start"
        answer = self.cloud.waiter.until(self, what, begun, OPERATION_TIMEOUT_S)
        self._operations.watch(answer, "RUNNING")

    def _change(self, desired: AnalyticsAppState) -> None:
        """Updates whatever differs now, and waits until the application runs in it."""
        analytics = self.cloud.client("kinesisanalyticsv2")

        def begun() -> tuple[Mapping[str, Any], str] | None:
            detail = self.describe()
            if detail is None:
                return {}, ""
            status, fields = detail["ApplicationStatus"], _fields(desired, detail)
            if not fields:
                # A call whose answer was lost has done it.
                return self._operations.under_way(), "RUNNING" if status == "UPDATING" else status
            if status not in SETTLED:
                return None
            if "log_stream" in fields and not detail.get("CloudWatchLoggingOptionDescriptions"):
                self._add_log(detail["ApplicationVersionId"], desired)
                return None
            try:
                answer = once_role_is_known(
                    self.cloud,
                    self,
                    lambda: analytics.update_application(
                        ApplicationName=self.name,
                        CurrentApplicationVersionId=detail["ApplicationVersionId"],
                        **changes(desired, fields, detail),
                    ),
                )
            except (
                analytics.exceptions.ConcurrentModificationException,
                analytics.exceptions.ResourceInUseException,
            ):
                return None  # changed meanwhile, perhaps by this very call: look again
            return answer, status

        what = f"analytics app {self.name} to accept its update"
        answer, status = self.cloud.waiter.until(self, what, begun, OPERATION_TIMEOUT_S)
        self._operations.watch(answer, "RUNNING" if status == "RUNNING" else None)

    def _add_log(self, version: int, desired: AnalyticsAppState) -> None:
        """An update changes a logging option; only this call adds one."""
        analytics = self.cloud.client("kinesisanalyticsv2")
        with suppress(
            analytics.exceptions.ConcurrentModificationException,
            analytics.exceptions.ResourceInUseException,
        ):
            answer = analytics.add_application_cloud_watch_logging_option(
                ApplicationName=self.name,
                CurrentApplicationVersionId=version,
                CloudWatchLoggingOption={"LogStreamARN": desired.log_stream},
            )
            self._operations.watch(answer, None)

    @property
    def _operations(self) -> Operations:
        return Operations(self.cloud, self, self.log_stream.split(":log-group:")[-1].split(":")[0])

    def settle(self) -> None:
        """See Resource. Ready means it has stopped changing; whether it runs is a field of its state."""
        wait_ready(self.cloud, self, OPERATION_TIMEOUT_S)

    def delete(self) -> None:
        """See Resource. Stopped by force: a last snapshot would be deleted with the application."""
        analytics = self.cloud.client("kinesisanalyticsv2")

        def asked() -> bool | None:
            detail = self.describe()
            if detail is None or detail["ApplicationStatus"] == "DELETING":
                return True
            try:
                if detail["ApplicationStatus"] in _STOPPED:
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

        self.cloud.waiter.until(self, f"analytics app {self.name} to stop", asked, OPERATION_TIMEOUT_S)
        wait_gone(self.cloud, self, OPERATION_TIMEOUT_S)


def _fields(desired: AnalyticsAppState, detail: Mapping[str, Any]) -> set[str]:
    """The fields of the application's configuration that are not as they should be."""
    found = differences(desired, state_of(detail))
    return {difference.field.split(".", 1)[0] for difference in found} - {"running"}
