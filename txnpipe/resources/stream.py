"""Kinesis streams: transactions and alerts.

A stream takes one change at a time, and only while it is ACTIVE; so every change here ends with a wait for
that. CreateStream takes mode and shards only: retention, encryption and metrics follow one by one, and what
a killed setup did not reach shows up as a difference.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, get_args

from txnpipe.aws import error_code
from txnpipe.config.settings import ShardMetric
from txnpipe.errors import ExitCode, TxnpipeError
from txnpipe.resources.difference import Difference
from txnpipe.resources.resource import Cloud, Observed, tags_of, wait_gone, wait_ready
from txnpipe.resources.stream_key import spelled_as_configured, stream_key

READY_TIMEOUT_S = 600.0
MAXIMUM_TAGS = 50
"""Of a stream; ListTagsForStream answers fewer unless asked."""
DEFAULT_RETENTION_HOURS = 24
"""What CreateStream gives; it takes no retention."""
API_MODES = {"provisioned": "PROVISIONED", "on-demand": "ON_DEMAND"}
"""Our word → StreamMode."""
EVERY_METRIC = tuple(sorted(set(get_args(ShardMetric)) - {"ALL"}))


@dataclass(frozen=True)
class StreamState:
    """What a plan compares. The number of shards is none of it: it is chosen at creation, and from then on
    it belongs to `txnpipe scale` (or to Kinesis, in on-demand mode), which `setup` must not undo.

    mode: "provisioned" or "on-demand". kms_key: id, ARN or alias; None is not encrypted. shard_metrics:
    sorted, ALL written out.
    """

    mode: str
    retention_hours: int
    kms_key: str | None
    shard_metrics: tuple[str, ...]


@dataclass(frozen=True)
class Stream:
    """One stream. `shards` counts at creation in provisioned mode only."""

    cloud: Cloud
    name: str
    shards: int
    mode: str = "provisioned"
    kind: str = "stream"
    requires: tuple[str, ...] = ()
    inside: str | None = None

    def desired(self) -> StreamState:
        """See Resource."""
        settings = self.cloud.settings.stream
        return StreamState(
            self.mode,
            settings.retention_hours,
            stream_key(settings),
            written_out(settings.shard_metrics),
        )

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
            self._state(summary),
            status,
            ready=status == "ACTIVE",
            leaving=status == "DELETING",
            facts={"shards": summary["OpenShardCount"]},
        )

    def _state(self, summary: dict[str, Any]) -> StreamState:
        mode = summary.get("StreamModeDetails", {}).get("StreamMode", API_MODES["provisioned"])
        encrypted = summary.get("EncryptionType") == "KMS"
        return StreamState(
            {word: ours for ours, word in API_MODES.items()}.get(mode, mode),
            summary["RetentionPeriodHours"],
            spelled_as_configured(self.cloud, summary.get("KeyId", "")) if encrypted else None,
            written_out(
                metric
                for group in summary.get("EnhancedMonitoring", ())
                for metric in group.get("ShardLevelMetrics", ())
            ),
        )

    def create(self, desired: StreamState) -> None:
        """See Resource."""
        kinesis = self.cloud.client("kinesis")
        capacity = {"ShardCount": self.shards} if desired.mode == "provisioned" else {}
        # In use: made meanwhile, or by a call whose answer was lost; `settle` reads whose it is.
        with suppress(kinesis.exceptions.ResourceInUseException):
            kinesis.create_stream(
                StreamName=self.name,
                StreamModeDetails={"StreamMode": API_MODES[desired.mode]},
                Tags=self.cloud.tags,
                **capacity,
            )
        self._change(wait_ready(self.cloud, self, READY_TIMEOUT_S).state, desired)

    def update(self, desired: StreamState, differences: tuple[Difference, ...]) -> None:
        """See Resource."""
        del differences  # they are told again by the state, which may have moved on
        self._change(wait_ready(self.cloud, self, READY_TIMEOUT_S).state, desired)

    def _change(self, before: StreamState | None, desired: StreamState) -> None:
        """One change at a time, each from ACTIVE to ACTIVE."""
        assert before is not None
        if before.mode != desired.mode:
            self._switch(desired.mode)
        if before.retention_hours != desired.retention_hours:
            self._retain(before.retention_hours, desired.retention_hours)
        if before.kms_key != desired.kms_key:
            self._encrypt(before.kms_key, desired.kms_key)
        wanted, published = set(desired.shard_metrics), set(before.shard_metrics)
        if added := sorted(wanted - published):
            self._ask("enable_enhanced_monitoring", ShardLevelMetrics=added)
        if dropped := sorted(published - wanted):
            self._ask("disable_enhanced_monitoring", ShardLevelMetrics=dropped)

    def _switch(self, mode: str) -> None:
        with self._limited(
            f"switch to {mode} mode",
            "A stream may switch its mode twice in any 24 hours (Kinesis): wait until the older of the last "
            "two switches is a day old (CloudTrail's UpdateStreamMode events show when they were) and run "
            "txnpipe setup again, or take stream.mode back.",
        ):
            # boto3 takes a day's limit for throttling, and would ask again and again for many seconds.
            client = self.cloud.target.client(
                "kinesis", retries={"mode": "standard", "total_max_attempts": 2}
            )
            client.update_stream_mode(
                StreamARN=self.cloud.names.arn("kinesis", f"stream/{self.name}"),
                StreamModeDetails={"StreamMode": API_MODES[mode]},
            )
        self.settle()

    def _retain(self, before: int, hours: int) -> None:
        way = "increase" if hours > before else "decrease"
        self._ask(f"{way}_stream_retention_period", RetentionPeriodHours=hours)

    def _encrypt(self, before: str | None, key: str | None) -> None:
        operation = "start_stream_encryption" if key else "stop_stream_encryption"
        with self._limited(
            f"change its encryption to {key or 'none'}",
            "Kinesis takes a new key for a stream 25 times in any 24 hours: run txnpipe setup again once the "
            "oldest of those changes is a day old, or take stream.kms_key and stream.encryption back.",
        ):
            self._ask(operation, EncryptionType="KMS", KeyId=key or before)

    @contextmanager
    def _limited(self, change: str, fix: str) -> Iterator[None]:
        """Says which limit it was, and until when; and what is wrong with a key."""
        from botocore.exceptions import ClientError

        try:
            yield
        except ClientError as error:
            code, message = error_code(error), error.response.get("Error", {}).get("Message", "")
            told = (
                f"Kinesis refused to let the stream {self.name} {change}: "
                f"{error.operation_name} answered {code}: {message}"
            )
            # The same code says that calls came too fast.
            if code == "LimitExceededException" and "rate exceeded" not in message.lower():
                raise TxnpipeError(told, fix, ExitCode.LIMIT) from error
            if code.startswith("KMS"):
                raise TxnpipeError(
                    told,
                    "Name in stream.kms_key an enabled symmetric key of this region that your key policy and "
                    "your IAM policy let you use (kms:DescribeKey, kms:GenerateDataKey), then run txnpipe "
                    "setup again.",
                    ExitCode.SERVICE,
                ) from error
            raise

    def _ask(self, operation: str, **arguments: Any) -> None:
        getattr(self.cloud.client("kinesis"), operation)(StreamName=self.name, **arguments)
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


def written_out(metrics: Any) -> tuple[str, ...]:
    """Sorted names of metrics, with ALL written out."""
    named = set(metrics)
    return EVERY_METRIC if "ALL" in named else tuple(sorted(named))
