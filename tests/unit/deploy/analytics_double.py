"""Managed Flink's control plane in memory: moto knows an application, but none that starts."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

ACCOUNT = "123456789012"
REGION = "us-east-1"


@dataclass
class FakeAnswer:
    """What after-call sees of a double's answer."""

    status_code: int


@dataclass
class AnalyticsDouble:
    """Managed Flink's control plane: states change when they are looked at."""

    applications: dict[str, dict[str, Any]] = field(default_factory=dict)
    tags: dict[str, list[dict[str, str]]] = field(default_factory=dict)
    operations: dict[str, dict[str, Any]] = field(default_factory=dict)
    fail_start: str = ""

    def answer(self, model: Any, params: Mapping[str, Any], **_: Any) -> tuple[FakeAnswer, dict[str, Any]]:
        """For botocore's before-call: returning something keeps the request from being sent."""
        request = json.loads(params["body"])
        try:
            parsed = getattr(self, f"_{model.name}")(request)
        except _Refused as refused:
            error = {"Code": refused.code, "Message": refused.message}
            return FakeAnswer(400), {"Error": error, "ResponseMetadata": {"HTTPStatusCode": 400}}
        return FakeAnswer(200), {**parsed, "ResponseMetadata": {"HTTPStatusCode": 200}}

    def _find(self, request: Mapping[str, Any]) -> dict[str, Any]:
        name = request["ApplicationName"]
        if name not in self.applications:
            raise _Refused("ResourceNotFoundException", f"Application {name} not found.")
        return self.applications[name]

    def _operation(self, kind: str, status: str = "SUCCESSFUL", error: str = "") -> dict[str, Any]:
        key = f"operation-{len(self.operations) + 1}"
        self.operations[key] = {"Operation": kind, "OperationStatus": status}
        if error:
            self.operations[key]["OperationFailureDetails"] = {"ErrorInfo": {"ErrorString": error}}
        return {"OperationId": key}

    def _CreateApplication(self, request: Mapping[str, Any]) -> dict[str, Any]:
        name = request["ApplicationName"]
        if name in self.applications:
            raise _Refused("ResourceInUseException", f"Application {name} already exists.")
        given = request["ApplicationConfiguration"]
        flink = given["FlinkApplicationConfiguration"]
        arn = f"arn:aws:kinesisanalytics:{REGION}:{ACCOUNT}:application/{name}"
        location = given["ApplicationCodeConfiguration"]["CodeContent"]["S3ContentLocation"]
        self.applications[name] = {
            "ApplicationARN": arn,
            "ApplicationName": name,
            "ApplicationStatus": "READY",
            "ApplicationVersionId": 1,
            "CreateTimestamp": datetime(2026, 1, 1, tzinfo=UTC),
            "RuntimeEnvironment": request["RuntimeEnvironment"],
            "ServiceExecutionRole": request["ServiceExecutionRole"],
            "CloudWatchLoggingOptionDescriptions": [
                {"CloudWatchLoggingOptionId": "1.1", **option}
                for option in request["CloudWatchLoggingOptions"]
            ],
            "ApplicationConfigurationDescription": {
                "ApplicationCodeConfigurationDescription": {
                    "CodeContentType": "ZIPFILE",
                    "CodeContentDescription": {"S3ApplicationCodeLocationDescription": dict(location)},
                },
                "EnvironmentPropertyDescriptions": {
                    "PropertyGroupDescriptions": given["EnvironmentProperties"]["PropertyGroups"]
                },
                "FlinkApplicationConfigurationDescription": {
                    "CheckpointConfigurationDescription": flink["CheckpointConfiguration"],
                    "ParallelismConfigurationDescription": flink["ParallelismConfiguration"],
                },
            },
        }
        self.tags[arn] = list(request["Tags"])
        return {"ApplicationDetail": self.applications[name]}

    def _DescribeApplication(self, request: Mapping[str, Any]) -> dict[str, Any]:
        detail = self._find(request)
        shown = dict(detail)
        following = {
            "STARTING": "RUNNING",
            "STOPPING": "READY",
            "FORCE_STOPPING": "READY",
            "UPDATING": "RUNNING",
        }
        detail["ApplicationStatus"] = following.get(detail["ApplicationStatus"], detail["ApplicationStatus"])
        return {"ApplicationDetail": shown}

    def _ListTagsForResource(self, request: Mapping[str, Any]) -> dict[str, Any]:
        return {"Tags": self.tags[request["ResourceARN"]]}

    def _StartApplication(self, request: Mapping[str, Any]) -> dict[str, Any]:
        detail = self._find(request)
        if detail["ApplicationStatus"] != "READY":
            raise _Refused("ResourceInUseException", f"it is {detail['ApplicationStatus']}")
        if self.fail_start:
            return self._operation("StartApplication", "FAILED", self.fail_start)
        detail["ApplicationStatus"] = "STARTING"
        return self._operation("StartApplication")

    def _StopApplication(self, request: Mapping[str, Any]) -> dict[str, Any]:
        self._find(request)["ApplicationStatus"] = "FORCE_STOPPING" if request.get("Force") else "STOPPING"
        return self._operation("StopApplication")

    def _UpdateApplication(self, request: Mapping[str, Any]) -> dict[str, Any]:
        detail = self._find(request)
        if request["CurrentApplicationVersionId"] != detail["ApplicationVersionId"]:
            raise _Refused("ConcurrentModificationException", "another version")
        described = detail["ApplicationConfigurationDescription"]
        update = request.get("ApplicationConfigurationUpdate", {})
        flink = update.get("FlinkApplicationConfigurationUpdate", {})
        described_flink = described["FlinkApplicationConfigurationDescription"]
        if "ParallelismConfigurationUpdate" in flink:
            described_flink["ParallelismConfigurationDescription"]["Parallelism"] = flink[
                "ParallelismConfigurationUpdate"
            ]["ParallelismUpdate"]
        if "CheckpointConfigurationUpdate" in flink:
            described_flink["CheckpointConfigurationDescription"]["CheckpointInterval"] = flink[
                "CheckpointConfigurationUpdate"
            ]["CheckpointIntervalUpdate"]
        if "ApplicationCodeConfigurationUpdate" in update:
            change = update["ApplicationCodeConfigurationUpdate"]["CodeContentUpdate"]
            described["ApplicationCodeConfigurationDescription"]["CodeContentDescription"] = {
                "S3ApplicationCodeLocationDescription": {
                    "BucketARN": change["S3ContentLocationUpdate"]["BucketARNUpdate"],
                    "FileKey": change["S3ContentLocationUpdate"]["FileKeyUpdate"],
                }
            }
        detail["RuntimeEnvironment"] = request.get("RuntimeEnvironmentUpdate", detail["RuntimeEnvironment"])
        detail["ApplicationVersionId"] += 1
        if detail["ApplicationStatus"] == "RUNNING":
            detail["ApplicationStatus"] = "UPDATING"
        return {**self._operation("UpdateApplication"), "ApplicationDetail": detail}

    def _AddApplicationCloudWatchLoggingOption(self, request: Mapping[str, Any]) -> dict[str, Any]:
        detail = self._find(request)
        assert request["CurrentApplicationVersionId"] == detail["ApplicationVersionId"]
        option = {"CloudWatchLoggingOptionId": "2.1", **request["CloudWatchLoggingOption"]}
        detail["CloudWatchLoggingOptionDescriptions"].append(option)
        detail["ApplicationVersionId"] += 1
        return {
            **self._operation("AddApplicationCloudWatchLoggingOption"),
            "ApplicationARN": detail["ApplicationARN"],
        }

    def _DescribeApplicationOperation(self, request: Mapping[str, Any]) -> dict[str, Any]:
        return {"ApplicationOperationInfoDetails": self.operations[request["OperationId"]]}

    def _DeleteApplication(self, request: Mapping[str, Any]) -> dict[str, Any]:
        detail = self._find(request)
        assert datetime.fromtimestamp(request["CreateTimestamp"], UTC) == detail["CreateTimestamp"]
        assert detail["ApplicationStatus"] == "READY"
        del self.applications[request["ApplicationName"]]
        return {}


class _Refused(Exception):  # noqa: N818
    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
