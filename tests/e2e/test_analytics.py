"""Managed Flink on a real local cloud, by its API alone: start, alerts, kill -9, update, snapshot, delete."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator
from typing import Any

import pytest

from tests.directories import make_directory
from tests.e2e.conftest import Cloud
from tests.waiting import eventually
from txnpipe.config import Settings
from txnpipe.config.settings import AnalyticsSettings, RuleSettings
from txnpipe.local.part import ACCOUNT
from txnpipe.names import Names
from txnpipe.packaging.analytics_zip import STATEMENTS, build_analytics
from txnpipe.target import STAND_IN_CONNECTOR

NAMES = Names("flinktest", ACCOUNT, "us-east-1")
APP = NAMES.analytics_app
RUN_OPTIONS = {
    "PropertyGroupId": "kinesis.analytics.flink.run.options",
    "PropertyMap": {"python": "main.py", "jarfile": "lib/pyflink-dependencies.jar"},
}


class Analytics:
    """The application, its streams and its bucket on a cloud of their own."""

    def __init__(self, cloud: Cloud) -> None:
        self.cloud = cloud
        for stream in (NAMES.stream, NAMES.alert_stream):
            cloud.client("kinesis").create_stream(StreamName=stream, ShardCount=1)
        cloud.client("s3").create_bucket(Bucket=NAMES.bucket)

    @property
    def api(self) -> Any:
        return self.cloud.client("kinesisanalyticsv2")

    def upload(self, key: str, threshold: int) -> None:
        rules = {"large_amount": RuleSettings(parameters={"threshold": threshold})}
        settings = Settings(analytics=AnalyticsSettings(rules=rules))
        artifact = build_analytics(settings, NAMES, "us-east-1", STAND_IN_CONNECTOR.read_bytes())
        self.cloud.client("s3").put_object(Bucket=NAMES.bucket, Key=key, Body=artifact.content)

    def create(self, key: str) -> None:
        location = {"BucketARN": f"arn:aws:s3:::{NAMES.bucket}", "FileKey": key}
        self.api.create_application(
            ApplicationName=APP,
            RuntimeEnvironment="FLINK-2_3",
            ServiceExecutionRole=f"arn:aws:iam::{ACCOUNT}:role/{NAMES.analytics_role}",
            ApplicationConfiguration={
                "ApplicationCodeConfiguration": {
                    "CodeContentType": "ZIPFILE",
                    "CodeContent": {"S3ContentLocation": location},
                },
                "EnvironmentProperties": {"PropertyGroups": [RUN_OPTIONS]},
                "FlinkApplicationConfiguration": {
                    "CheckpointConfiguration": {
                        "ConfigurationType": "CUSTOM",
                        "CheckpointInterval": 1000,
                        "MinPauseBetweenCheckpoints": 0,
                    }
                },
            },
        )

    def detail(self) -> dict[str, Any]:
        answer: dict[str, Any] = self.api.describe_application(ApplicationName=APP)["ApplicationDetail"]
        return answer

    def settle(self, operation_id: str) -> dict[str, Any]:
        """Waits until an operation has ended; its details."""

        def ended() -> dict[str, Any] | None:
            details: dict[str, Any] = self.api.describe_application_operation(
                ApplicationName=APP, OperationId=operation_id
            )["ApplicationOperationInfoDetails"]
            return details if details["OperationStatus"] != "IN_PROGRESS" else None

        return eventually(ended, "end of the operation", timeout_s=120, interval_s=0.2)

    def put(self, transaction_id: str, amount: int) -> None:
        data = {
            "transaction_id": transaction_id,
            "amount": amount,
            "transaction_type": "purchase",
            "timestamp": "2024-12-21T10:00:00Z",
        }
        self.cloud.client("kinesis").put_record(
            StreamName=NAMES.stream, PartitionKey=transaction_id, Data=json.dumps(data)
        )

    def alerts(self) -> list[str]:
        """The transactions of all alerts so far, in order."""
        kinesis = self.cloud.client("kinesis")
        iterator = kinesis.get_shard_iterator(
            StreamName=NAMES.alert_stream, ShardId="shardId-000000000000", ShardIteratorType="TRIM_HORIZON"
        )["ShardIterator"]
        records = kinesis.get_records(ShardIterator=iterator)["Records"]
        return [json.loads(record["Data"])["transaction_id"] for record in records]

    def wait_for(self, transaction_id: str) -> list[str]:
        return eventually(
            lambda: alerts if transaction_id in (alerts := self.alerts()) else None,
            f"alert for {transaction_id}",
            interval_s=0.3,
        )


@pytest.fixture(scope="module")
def analytics() -> Iterator[Analytics]:
    """The application, running, with the threshold 10,000."""
    cloud = Cloud(make_directory("txnpipe-e2e-"))
    cloud.start()
    try:
        made = Analytics(cloud)
        made.upload("code/first.zip", 10_000)
        made.create("code/first.zip")
        operation = made.api.start_application(ApplicationName=APP)["OperationId"]
        assert made.settle(operation)["OperationStatus"] == "SUCCESSFUL"
        yield made
    finally:
        cloud.close()


def test_what_was_put_before_and_after_the_start_raises_alerts(analytics: Analytics) -> None:
    analytics.put("small", 10_000)
    analytics.put("large", 10_001)
    assert analytics.wait_for("large") == ["large"]
    assert analytics.detail()["ApplicationStatus"] == "RUNNING"


def test_after_kill_9_of_the_daemon_alerts_go_on_and_repeats_stay_known(analytics: Analytics) -> None:
    analytics.cloud.kill()
    analytics.cloud.start()
    analytics.put("large", 99_999)
    analytics.put("after-kill", 20_000)
    alerts = analytics.wait_for("after-kill")
    assert set(alerts) == {"large", "after-kill"}
    assert analytics.detail()["ApplicationStatus"] == "RUNNING"


def test_new_code_takes_effect_and_what_was_seen_stays_seen(analytics: Analytics) -> None:
    analytics.upload("code/second.zip", 50_000)
    location = {"S3ContentLocationUpdate": {"FileKeyUpdate": "code/second.zip"}}
    operation = analytics.api.update_application(
        ApplicationName=APP,
        CurrentApplicationVersionId=analytics.detail()["ApplicationVersionId"],
        ApplicationConfigurationUpdate={
            "ApplicationCodeConfigurationUpdate": {"CodeContentUpdate": location}
        },
    )["OperationId"]
    assert analytics.settle(operation)["OperationStatus"] == "SUCCESSFUL"
    analytics.put("no-longer-large", 20_000)
    analytics.put("after-kill", 99_999)
    analytics.put("very-large", 60_000)
    assert set(analytics.wait_for("very-large")) == {"large", "after-kill", "very-large"}


def test_code_that_flink_refuses_is_named_by_the_operation(analytics: Analytics) -> None:
    broken = io.BytesIO()
    with zipfile.ZipFile(broken, "w") as archive:
        archive.writestr("main.py", "")
        archive.writestr(STATEMENTS, "SELECT nonsense FROM nowhere;\n")
        archive.writestr("lib/pyflink-dependencies.jar", STAND_IN_CONNECTOR.read_bytes())
    analytics.cloud.client("s3").put_object(
        Bucket=NAMES.bucket, Key="code/broken.zip", Body=broken.getvalue()
    )
    location = {"S3ContentLocationUpdate": {"FileKeyUpdate": "code/broken.zip"}}
    operation = analytics.api.update_application(
        ApplicationName=APP,
        CurrentApplicationVersionId=analytics.detail()["ApplicationVersionId"],
        ApplicationConfigurationUpdate={
            "ApplicationCodeConfigurationUpdate": {"CodeContentUpdate": location}
        },
    )["OperationId"]
    details = analytics.settle(operation)
    assert details["OperationStatus"] == "FAILED"
    assert "nowhere" in details["OperationFailureDetails"]["ErrorInfo"]["ErrorString"]
    assert analytics.detail()["ApplicationStatus"] == "READY"


def test_back_on_good_code_it_continues_from_the_snapshot_of_the_failed_update(analytics: Analytics) -> None:
    analytics.put("while-stopped", 70_000)
    location = {"S3ContentLocationUpdate": {"FileKeyUpdate": "code/second.zip"}}
    analytics.api.update_application(
        ApplicationName=APP,
        CurrentApplicationVersionId=analytics.detail()["ApplicationVersionId"],
        ApplicationConfigurationUpdate={
            "ApplicationCodeConfigurationUpdate": {"CodeContentUpdate": location}
        },
    )
    operation = analytics.api.start_application(ApplicationName=APP)["OperationId"]
    assert analytics.settle(operation)["OperationStatus"] == "SUCCESSFUL"
    alerts = analytics.wait_for("while-stopped")
    assert alerts.count("very-large") == 1, "the stream was read from its beginning again"


def test_delete_leaves_neither_process_nor_file(analytics: Analytics) -> None:
    before = [p for p in analytics.cloud.processes() if "java" in p.name()]
    assert len(before) == 1
    analytics.api.delete_application(
        ApplicationName=APP, CreateTimestamp=analytics.detail()["CreateTimestamp"]
    )
    eventually(
        lambda: not analytics.api.list_applications()["ApplicationSummaries"], "end of the application"
    )
    assert not before[0].is_running()
    assert list((analytics.cloud.home.root / "flink").rglob("*.json")) == []
