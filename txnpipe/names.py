"""Deterministic names of everything a pipeline owns.

The default pipeline uses the bare names (TransactionStream, ...), any other has its name as a prefix, so
that truth can live in AWS: whoever knows the pipeline's name, account and region knows every name.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache

DEFAULT_PIPELINE = "default"
PIPELINE_NAME = re.compile(r"(?!sg(-|$))[a-z][a-z0-9]*(-[a-z0-9]+)*")
"""EC2 takes no security group whose name begins with sg-, and the pipeline's name is a prefix."""
MAX_PIPELINE_NAME_LENGTH = 20
"""Keeps the bucket name within S3's 63 characters: txnpipe- + name + account (12) + region (14)."""

TAG_PIPELINE = "txnpipe:pipeline"
"""Every taggable resource carries this tag; its value is the pipeline's name."""


@dataclass(frozen=True)
class Partition:
    """A part of AWS with accounts and ARNs of its own."""

    id: str
    dns_suffix: str


@cache
def partition_of(region: str) -> Partition:
    """The partition of a region, by botocore's data; the commercial one where it knows no such region."""
    from botocore.loaders import Loader

    partitions = Loader().load_data("partitions")["partitions"]
    found = [item for item in partitions if re.match(item["regionRegex"], region)]
    found += [item for item in partitions if item["id"] == "aws"]
    return Partition(found[0]["id"], found[0]["outputs"]["dnsSuffix"])


@dataclass(frozen=True)
class Names:
    """Names of one pipeline in one account and region."""

    pipeline: str
    account: str
    region: str

    def _prefixed(self, name: str) -> str:
        return name if self.pipeline == DEFAULT_PIPELINE else f"{self.pipeline}-{name}"

    @property
    def stream(self) -> str:
        """Kinesis stream of transactions."""
        return self._prefixed("TransactionStream")

    @property
    def alert_stream(self) -> str:
        """Kinesis stream of alerts, written by the analytics app."""
        return self._prefixed("TransactionAlerts")

    @property
    def topic(self) -> str:
        """SNS topic of alerts."""
        return self._prefixed("TransactionAlerts")

    @property
    def loader(self) -> str:
        """Lambda function that writes both streams into the warehouse."""
        return self._prefixed("TransactionLoader")

    @property
    def notifier(self) -> str:
        """Lambda function that publishes alerts to the topic."""
        return self._prefixed("TransactionNotifier")

    @property
    def loader_role(self) -> str:
        """IAM role of the loader."""
        return self._prefixed("TransactionLoaderRole")

    @property
    def notifier_role(self) -> str:
        """IAM role of the notifier."""
        return self._prefixed("TransactionNotifierRole")

    @property
    def analytics_role(self) -> str:
        """IAM role of the analytics app."""
        return self._prefixed("TransactionAnalyticsRole")

    @property
    def analytics_app(self) -> str:
        """Managed Flink application."""
        return self._prefixed("TransactionAnalytics")

    @property
    def cluster(self) -> str:
        """Redshift cluster, or Serverless workgroup and namespace."""
        return self._prefixed("transaction-warehouse")

    @property
    def endpoint_group(self) -> str:
        """Security group of the interface endpoint."""
        return self._prefixed("transaction-endpoint")

    @property
    def alarms(self) -> str:
        """What the names of the CloudWatch alarms begin with, a hyphen after it."""
        return f"txnpipe-{self.pipeline}"

    @property
    def loader_secret(self) -> str:
        """Secrets Manager secret with the loader's own database user."""
        return f"txnpipe/{self.pipeline}/loader"

    @property
    def bucket(self) -> str:
        """S3 bucket: code, run manifests, on-failure records, the setup lock."""
        return f"txnpipe-{self.pipeline}-{self.account}-{self.region}"

    def arn(self, service: str, resource: str, *, region: bool = True) -> str:
        """`arn:aws:SERVICE:REGION:ACCOUNT:RESOURCE`, in the region's partition."""
        return f"arn:{self.partition}:{service}:{self.region if region else ''}:{self.account}:{resource}"

    @property
    def partition(self) -> str:
        """The ARN partition that the region belongs to."""
        return partition_of(self.region).id

    @property
    def dns_suffix(self) -> str:
        """The domain of the partition's services ("amazonaws.com")."""
        return partition_of(self.region).dns_suffix

    @property
    def stream_arn(self) -> str:
        """ARN of the stream of transactions."""
        return self.arn("kinesis", f"stream/{self.stream}")

    @property
    def alert_stream_arn(self) -> str:
        """ARN of the stream of alerts."""
        return self.arn("kinesis", f"stream/{self.alert_stream}")

    @property
    def topic_arn(self) -> str:
        """ARN of the topic."""
        return self.arn("sns", self.topic)

    @property
    def loader_arn(self) -> str:
        """ARN of the loader function."""
        return self.arn("lambda", f"function:{self.loader}")

    @property
    def notifier_arn(self) -> str:
        """ARN of the notifier function."""
        return self.arn("lambda", f"function:{self.notifier}")


class BucketKeys:
    """Layout of a pipeline's bucket."""

    CODE = "code/"
    """Zips, by content: code/analytics-SHA256.zip."""
    RUNS = "runs/"
    """runs/RUN_ID/manifest.json and whatever else belongs to that run."""
    FAILED = "aws/lambda/"
    """On-failure records. Lambda itself chooses this prefix: aws/lambda/ESM_UUID/SHARD_ID/YYYY/MM/DD/..."""
    LOCK = "lock/setup.json"
    """The lock that keeps two setups apart."""
