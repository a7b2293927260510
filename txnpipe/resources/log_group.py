"""CloudWatch log groups, with a retention, so that logs neither vanish nor cost for ever."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from txnpipe.errors import usage_error
from txnpipe.names import TAG_PIPELINE
from txnpipe.resources.difference import Difference
from txnpipe.resources.refusals import coded, once_accepted
from txnpipe.resources.resource import Cloud, Observed, wait_ready

READY_TIMEOUT_S = 60.0
RETENTION_DAYS: tuple[int, ...] = (
    *(1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731),
    *(1096, 1827, 2192, 2557, 2922, 3288, 3653),
)
"""What PutRetentionPolicy accepts (CloudWatch Logs API reference)."""


@dataclass(frozen=True)
class LogGroupState:
    """`retention_days` None means for ever. `tagged`: Lambda makes a missing group itself, without a tag."""

    retention_days: int | None
    tagged: bool
    stream: str | None


@dataclass(frozen=True)
class LogGroup:
    """A log group, and one log stream in it where the writer does not make its own."""

    cloud: Cloud
    name: str
    stream: str | None = None
    kind: str = "log group"
    requires: tuple[str, ...] = ()
    inside: str | None = None

    @property
    def arn(self) -> str:
        """The group's ARN, known before it exists; without the ":*" that IAM policies want."""
        return self.cloud.names.arn("logs", f"log-group:{self.name}")

    def desired(self) -> LogGroupState:
        """See Resource."""
        days = self.cloud.settings.functions.log_retention_days
        if days not in RETENTION_DAYS:
            nearest = min(RETENTION_DAYS, key=lambda allowed: abs(allowed - days))
            raise usage_error(
                f"CloudWatch cannot keep logs for {days} days.",
                f"Set functions.log_retention_days to {nearest}, or another of {_listed(RETENTION_DAYS)}.",
            )
        return LogGroupState(days, True, self.stream)

    def read(self) -> Observed[LogGroupState] | None:
        """See Resource. A group that nobody owns was made by Lambda for our function: it becomes ours."""
        logs = self.cloud.client("logs")
        found = logs.describe_log_groups(logGroupNamePrefix=self.name)["logGroups"]
        group = next((group for group in found if group["logGroupName"] == self.name), None)
        if group is None:
            return None
        try:
            tags = logs.list_tags_for_resource(resourceArn=self.arn)["tags"]
            streams = logs.describe_log_streams(
                logGroupName=self.name, logStreamNamePrefix=self.stream or "-"
            )["logStreams"]
        except logs.exceptions.ResourceNotFoundException:
            return None
        if TAG_PIPELINE in tags:
            self.cloud.assert_ours(self.kind, self.name, tags)
        names = {stream["logStreamName"] for stream in streams}
        state = LogGroupState(
            group.get("retentionInDays"), TAG_PIPELINE in tags, self.stream if self.stream in names else None
        )
        # Until it has our tag it is not ours to delete: the function of that name may be a stranger's.
        facts = {"stored_bytes": group.get("storedBytes", 0), "shared": not state.tagged}
        return Observed(state, "available", facts=facts)

    def create(self, desired: LogGroupState) -> None:
        """See Resource."""
        logs = self.cloud.client("logs")
        with suppress(logs.exceptions.ResourceAlreadyExistsException):
            self._unaborted(lambda: logs.create_log_group(logGroupName=self.name, tags=self.cloud.tags))
        self.settle()
        self._configure(desired, {"retention_days", "stream"})

    def update(self, desired: LogGroupState, differences: tuple[Difference, ...]) -> None:
        """See Resource."""
        self._configure(desired, {difference.field for difference in differences})

    def _configure(self, desired: LogGroupState, fields: set[str]) -> None:
        logs = self.cloud.client("logs")
        if "tagged" in fields:
            logs.tag_resource(resourceArn=self.arn, tags=self.cloud.tags)
        if "retention_days" in fields:
            self._unaborted(
                lambda: logs.put_retention_policy(
                    logGroupName=self.name, retentionInDays=desired.retention_days
                )
            )
        if "stream" in fields and desired.stream:
            with suppress(logs.exceptions.ResourceAlreadyExistsException):
                logs.create_log_stream(logGroupName=self.name, logStreamName=desired.stream)

    def settle(self) -> None:
        """See Resource."""
        wait_ready(self.cloud, self, READY_TIMEOUT_S)

    def delete(self) -> None:
        """See Resource."""
        logs = self.cloud.client("logs")
        with suppress(logs.exceptions.ResourceNotFoundException):
            self._unaborted(lambda: logs.delete_log_group(logGroupName=self.name))

    def _unaborted(self, call: Callable[[], Any]) -> None:
        """CloudWatch aborts a change that meets another one, such as a deletion that is still going on."""
        once_accepted(
            self.cloud,
            self,
            call,
            coded("OperationAbortedException"),
            what=f"CloudWatch to finish another change of {self.name}",
            timeout_s=READY_TIMEOUT_S,
        )


def _listed(numbers: tuple[int, ...]) -> str:
    return ", ".join(str(number) for number in numbers)
