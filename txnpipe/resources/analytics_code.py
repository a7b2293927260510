"""The analytics app's zip in the bucket, under a name that says what is in it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from txnpipe.aws import error_code
from txnpipe.errors import TxnpipeError
from txnpipe.names import BucketKeys
from txnpipe.resources.difference import Difference
from txnpipe.resources.resource import Cloud, Observed

if TYPE_CHECKING:
    from txnpipe.packaging.artifact import Artifact


_PREFIX = f"{BucketKeys.CODE}analytics-"
_ABSENT = {"404", "NoSuchKey", "NoSuchBucket"}


def code_key(artifact: Artifact) -> str:
    """code/analytics-SHA256.zip"""
    return f"{_PREFIX}{artifact.sha256}.zip"


@dataclass(frozen=True)
class AnalyticsCodeState:
    """The key; its name is its content's digest."""

    key: str


@dataclass(frozen=True)
class AnalyticsCode:
    """The object. Older ones stay: the app's snapshots and rollbacks refer to them."""

    cloud: Cloud
    bucket: str
    artifact: Callable[[], Artifact]
    name: str = "analytics"
    kind: str = "code"

    @property
    def requires(self) -> tuple[str, ...]:
        """See Resource."""
        return (self.bucket,)

    @property
    def inside(self) -> str | None:
        """See Resource."""
        return self.bucket

    def desired(self) -> AnalyticsCodeState:
        """See Resource."""
        return AnalyticsCodeState(code_key(self.artifact()))

    def read(self) -> Observed[AnalyticsCodeState] | None:
        """See Resource. Where the zip cannot be built here, it is only told whether there is one."""
        s3 = self.cloud.client("s3")
        try:
            key = code_key(self.artifact())
        except TxnpipeError:
            # `desired` raises it anew. Without the connector's jar a status still sees what is there.
            return self._any()
        try:
            found = s3.head_object(Bucket=self.cloud.names.bucket, Key=key)
        except s3.exceptions.ClientError as error:
            if error_code(error) in _ABSENT:
                return None
            raise
        return Observed(AnalyticsCodeState(key), "available", facts={"bytes": found["ContentLength"]})

    def _any(self) -> Observed[AnalyticsCodeState] | None:
        s3 = self.cloud.client("s3")
        try:
            listed = s3.list_objects_v2(Bucket=self.cloud.names.bucket, Prefix=_PREFIX, MaxKeys=1)
        except s3.exceptions.ClientError as error:
            if error_code(error) in _ABSENT:
                return None
            raise
        return Observed(None, "available") if listed["KeyCount"] else None

    def create(self, desired: AnalyticsCodeState) -> None:
        """See Resource."""
        self.cloud.client("s3").put_object(
            Bucket=self.cloud.names.bucket,
            Key=desired.key,
            Body=self.artifact().content,
            ContentType="application/zip",
        )

    def update(self, desired: AnalyticsCodeState, differences: tuple[Difference, ...]) -> None:
        """See Resource. Never called: the key is the only field, and `read` looks for that very key."""
        self.create(desired)

    def settle(self) -> None:
        """See Resource. S3 is read-after-write consistent."""

    def delete(self) -> None:
        """See Resource. It goes with the bucket."""
