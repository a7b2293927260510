"""The pipeline's S3 bucket: code, run manifests, on-failure records, the setup lock.

Private and encrypted. Not versioned: code and runs are written once under names that never come back, the
lock is overwritten every few seconds, and on-failure records are written once by Lambda; versions would only
grow. Teardown removes versions all the same, in case somebody switched versioning on.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from txnpipe.aws import error_code
from txnpipe.errors import ExitCode, TxnpipeError
from txnpipe.names import BucketKeys
from txnpipe.resources.difference import Difference
from txnpipe.resources.refusals import coded, once_accepted
from txnpipe.resources.resource import Cloud, Observed, tags_of, wait_gone, wait_ready

ON_FAILURE_DAYS = 90
"""How long on-failure records are kept: long enough to notice, short enough not to keep payloads for ever."""
UPLOAD_DAYS = 7
"""When the parts of an upload that was never finished are dropped."""
READY_TIMEOUT_S = 60.0
NAME_FREE_TIMEOUT_S = 600.0
DELETE_BATCH = 1000
"""Keys per DeleteObjects (S3)."""
_OPEN = ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")


@dataclass(frozen=True)
class BucketState:
    """What a plan compares. None where the bucket has no such configuration."""

    tagged: bool
    public_access_blocked: bool
    encryption: str | None
    on_failure_days: int | None
    upload_days: int | None


@dataclass(frozen=True)
class Bucket:
    """The bucket."""

    cloud: Cloud
    name: str
    kind: str = "bucket"
    requires: tuple[str, ...] = ()
    inside: str | None = None

    def desired(self) -> BucketState:
        """See Resource."""
        return BucketState(
            tagged=True,
            public_access_blocked=True,
            encryption="AES256",
            on_failure_days=ON_FAILURE_DAYS,
            upload_days=UPLOAD_DAYS,
        )

    def read(self) -> Observed[BucketState] | None:
        """See Resource. The name holds the account's id, so a bucket that is closed to us is a stranger's."""
        s3 = self.cloud.client("s3")
        try:
            s3.head_bucket(Bucket=self.name)
        except s3.exceptions.ClientError as error:
            if error_code(error) in {"404", "NoSuchBucket"}:
                return None
            if error_code(error) in {"403", "AccessDenied"}:
                raise TxnpipeError(
                    f"The bucket {self.name} exists and does not let this account in.",
                    "Allow s3:ListBucket on it, or choose another name with --pipeline NAME.",
                    ExitCode.CONFLICT,
                ) from error
            raise
        tags = tags_of(self._configuration("get_bucket_tagging").get("TagSet", []))
        if tags or not self._is_empty():
            # S3 could not always tag at creation: an empty bucket of this very name and account, without any
            # tag, is one whose setup was killed between the two calls.
            self.cloud.assert_ours(self.kind, self.name, tags)
        access = self._configuration("get_public_access_block").get("PublicAccessBlockConfiguration", {})
        encryption = self._configuration("get_bucket_encryption").get("ServerSideEncryptionConfiguration", {})
        rules = {
            rule.get("ID"): rule
            for rule in self._configuration("get_bucket_lifecycle_configuration").get("Rules", [])
        }
        state = BucketState(
            tagged=bool(tags),
            public_access_blocked=all(access.get(flag) for flag in _OPEN),
            encryption=_algorithm(encryption),
            on_failure_days=rules.get("on-failure", {}).get("Expiration", {}).get("Days"),
            upload_days=rules.get("uploads", {})
            .get("AbortIncompleteMultipartUpload", {})
            .get("DaysAfterInitiation"),
        )
        return Observed(state, "available")

    def _configuration(self, operation: str) -> dict[str, Any]:
        s3 = self.cloud.client("s3")
        try:
            found: dict[str, Any] = getattr(s3, operation)(Bucket=self.name)
        except s3.exceptions.ClientError as error:
            # NoSuchTagSet, NoSuchPublicAccessBlockConfiguration, NoSuchLifecycleConfiguration,
            # ServerSideEncryptionConfigurationNotFoundError: each configuration has its own word for none.
            if error_code(error).startswith("NoSuch") or error_code(error).endswith("NotFoundError"):
                return {}
            raise
        return found

    def _is_empty(self) -> bool:
        return not self.cloud.client("s3").list_objects_v2(Bucket=self.name, MaxKeys=1).get("KeyCount")

    def create(self, desired: BucketState) -> None:
        """See Resource."""
        s3, region = self.cloud.client("s3"), self.cloud.names.region
        configuration: dict[str, Any] = {"Tags": self.cloud.tag_list}
        if region != "us-east-1":  # S3 knows no location constraint of that name
            configuration["LocationConstraint"] = region
        with suppress(s3.exceptions.BucketAlreadyOwnedByYou):
            once_accepted(
                self.cloud,
                self,
                lambda: s3.create_bucket(Bucket=self.name, CreateBucketConfiguration=configuration),
                coded("OperationAborted"),
                what=f"the deleted bucket {self.name} to free its name",
                timeout_s=NAME_FREE_TIMEOUT_S,
            )
        self.settle()
        self._configure(desired)

    def update(self, desired: BucketState, differences: tuple[Difference, ...]) -> None:
        """See Resource."""
        self._configure(desired)

    def _configure(self, desired: BucketState) -> None:
        s3 = self.cloud.client("s3")
        current = tags_of(self._configuration("get_bucket_tagging").get("TagSet", []))
        wanted = current | self.cloud.tags
        if wanted != current:
            s3.put_bucket_tagging(
                Bucket=self.name,
                Tagging={"TagSet": [{"Key": key, "Value": value} for key, value in wanted.items()]},
            )
        s3.put_public_access_block(
            Bucket=self.name, PublicAccessBlockConfiguration=dict.fromkeys(_OPEN, True)
        )
        rule = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": desired.encryption}}
        s3.put_bucket_encryption(Bucket=self.name, ServerSideEncryptionConfiguration={"Rules": [rule]})
        s3.put_bucket_lifecycle_configuration(
            Bucket=self.name,
            LifecycleConfiguration={
                "Rules": [
                    {
                        "ID": "on-failure",
                        "Status": "Enabled",
                        "Filter": {"Prefix": BucketKeys.FAILED},
                        "Expiration": {"Days": desired.on_failure_days},
                    },
                    {
                        "ID": "uploads",
                        "Status": "Enabled",
                        "Filter": {"Prefix": ""},
                        "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": desired.upload_days},
                    },
                ]
            },
        )

    def settle(self) -> None:
        """See Resource."""
        wait_ready(self.cloud, self, READY_TIMEOUT_S)

    def delete(self) -> None:
        """See Resource. Everything in it goes first, versions and unfinished uploads included."""
        s3 = self.cloud.client("s3")

        def emptied_and_deleted() -> bool | None:
            try:
                self._empty()
                s3.delete_bucket(Bucket=self.name)
            except s3.exceptions.ClientError as error:
                if error_code(error) == "NoSuchBucket":
                    return True
                if error_code(error) in {"BucketNotEmpty", "NoSuchUpload", "OperationAborted"}:
                    # Somebody wrote or finished an upload meanwhile (a last on-failure record), or another
                    # change of the bucket is going on: empty it again.
                    return None
                raise
            return True

        self.cloud.waiter.until(self, f"bucket {self.name} to stay empty", emptied_and_deleted, 300)
        wait_gone(self.cloud, self, READY_TIMEOUT_S)

    def _empty(self) -> None:
        s3 = self.cloud.client("s3")
        for page in s3.get_paginator("list_object_versions").paginate(Bucket=self.name):
            found = [
                {"Key": item["Key"], "VersionId": item["VersionId"]}
                for item in [*page.get("Versions", []), *page.get("DeleteMarkers", [])]
            ]
            for first in range(0, len(found), DELETE_BATCH):
                answer = s3.delete_objects(
                    Bucket=self.name, Delete={"Objects": found[first : first + DELETE_BATCH], "Quiet": True}
                )
                for failed in answer.get("Errors", []):
                    raise TxnpipeError(
                        f"Could not delete {failed['Key']} from {self.name}: {failed.get('Message', '')}",
                        "Remove what protects it (a bucket policy, an object lock), then run it again.",
                        ExitCode.SERVICE,
                    )
        for page in s3.get_paginator("list_multipart_uploads").paginate(Bucket=self.name):
            for upload in page.get("Uploads", []):
                s3.abort_multipart_upload(Bucket=self.name, Key=upload["Key"], UploadId=upload["UploadId"])


def _algorithm(configuration: dict[str, Any]) -> str | None:
    for rule in configuration.get("Rules", []):
        algorithm = rule.get("ApplyServerSideEncryptionByDefault", {}).get("SSEAlgorithm")
        if algorithm:
            return str(algorithm)
    return None
