"""Kinesis streams: transactions and alerts."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass

from txnpipe.resources.difference import Difference
from txnpipe.resources.resource import Cloud, Observed, tags_of, wait_gone, wait_ready

READY_TIMEOUT_S = 600.0
MAXIMUM_TAGS = 50
"""Of a stream; ListTagsForStream answers fewer unless asked."""
DEFAULT_RETENTION_HOURS = 24
"""What CreateStream gives; it takes no retention."""


@dataclass(frozen=True)
class StreamState:
    """What a plan compares. The number of shards is none of it: it is chosen at creation, and from then on
    it belongs to `txnpipe scale`, which `setup` must not undo."""

    retention_hours: int


@dataclass(frozen=True)
class Stream:
    """One stream. `shards` counts at creation only."""

    cloud: Cloud
    name: str
    shards: int
    kind: str = "stream"
    requires: tuple[str, ...] = ()
    inside: str | None = None

    def desired(self) -> StreamState:
        """See Resource."""
        return StreamState(self.cloud.settings.stream.retention_hours)

    def read(self) -> Observed[StreamState] | None:
        """See Resource."""
        kinesis = self.cloud.client("kinesis")
        try:
            summary = kinesis.describe_stream_summary(StreamName=self.name)["StreamDescriptionSummary"]
            tags = tags_of(kinesis.list_tags_for_stream(StreamName=self.name, Limit=MAXIMUM_TAGS)["Tags"])
        except kinesis.exceptions.ResourceNotFoundException:
            return None
        status = summary["StreamStatus"]
        if status != "DELETING":
            self.cloud.assert_ours(self.kind, self.name, tags)
        return Observed(
            StreamState(summary["RetentionPeriodHours"]),
            status,
            ready=status == "ACTIVE",
            leaving=status == "DELETING",
            facts={"shards": summary["OpenShardCount"]},
        )

    def create(self, desired: StreamState) -> None:
        """See Resource."""
        kinesis = self.cloud.client("kinesis")
        # In use: made meanwhile, or by a call whose answer was lost; `settle` reads whose it is.
        with suppress(kinesis.exceptions.ResourceInUseException):
            kinesis.create_stream(
                StreamName=self.name,
                ShardCount=self.shards,
                StreamModeDetails={"StreamMode": "PROVISIONED"},
                Tags=self.cloud.tags,
            )
        self.settle()
        if desired.retention_hours != DEFAULT_RETENTION_HOURS:
            self._retain(DEFAULT_RETENTION_HOURS, desired.retention_hours)

    def update(self, desired: StreamState, differences: tuple[Difference, ...]) -> None:
        """See Resource."""
        for difference in differences:
            self._retain(difference.before, desired.retention_hours)

    def _retain(self, before: int, hours: int) -> None:
        kinesis = self.cloud.client("kinesis")
        change = (
            kinesis.increase_stream_retention_period
            if hours > before
            else kinesis.decrease_stream_retention_period
        )
        change(StreamName=self.name, RetentionPeriodHours=hours)
        self.settle()

    def settle(self) -> None:
        """See Resource."""
        wait_ready(self.cloud, self, READY_TIMEOUT_S)

    def delete(self) -> None:
        """See Resource. Enhanced fan-out consumers go along."""
        kinesis = self.cloud.client("kinesis")
        try:
            kinesis.delete_stream(StreamName=self.name, EnforceConsumerDeletion=True)
        except kinesis.exceptions.ResourceNotFoundException:
            return
        except kinesis.exceptions.ResourceInUseException as error:
            # It may be deleted only while ACTIVE; one that is leaving already needs nothing but patience.
            if "DELETING" not in str(error):
                self.settle()
                kinesis.delete_stream(StreamName=self.name, EnforceConsumerDeletion=True)
        wait_gone(self.cloud, self, READY_TIMEOUT_S)
