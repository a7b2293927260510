"""The API of Managed Flink: `X-Amz-Target: KinesisAnalytics_20180523.OPERATION`, JSON 1.1.

Requests are checked against botocore's model of the service before an operation sees them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from txnpipe.local.flink import configuration as configurations
from txnpipe.local.flink.applications import Applications
from txnpipe.local.flink.code import CodeError
from txnpipe.local.flink.describe import (
    application_detail,
    application_summary,
    operation_details,
    operation_summary,
    snapshot_details,
    version_detail,
)
from txnpipe.local.flink.preconditions import (
    add_logging_option,
    check_runtime,
    check_version,
    logging_option,
    page,
    with_tags,
)
from txnpipe.local.flink.requests import operation_names, validate
from txnpipe.local.flink.runs import new_token, require, rolled_back
from txnpipe.local.flink.state import Application, Snapshot, Version
from txnpipe.local.part import ACCOUNT
from txnpipe.local.service import Request, Response, ServiceError

TARGET = "KinesisAnalytics_20180523."
Answer = dict[str, Any]


class FlinkService:
    """Answers the API. `code_is_there` says whether a configuration's zip is in S3."""

    def __init__(
        self, applications: Applications, code_is_there: Callable[[str, Mapping[str, Any]], bool]
    ) -> None:
        self._applications = applications
        self._code_is_there = code_is_there
        self._operations: dict[str, Callable[[str, Any], Answer]] = {
            "CreateApplication": self._create,
            "DescribeApplication": self._describe,
            "ListApplications": self._list,
            "StartApplication": self._start,
            "StopApplication": self._stop,
            "UpdateApplication": self._update,
            "DeleteApplication": self._delete,
            "RollbackApplication": self._rollback,
            "CreateApplicationSnapshot": self._create_snapshot,
            "DescribeApplicationSnapshot": self._describe_snapshot,
            "ListApplicationSnapshots": self._list_snapshots,
            "DeleteApplicationSnapshot": self._delete_snapshot,
            "DescribeApplicationOperation": self._describe_operation,
            "ListApplicationOperations": self._list_operations,
            "DescribeApplicationVersion": self._describe_version,
            "ListApplicationVersions": self._list_versions,
            "AddApplicationCloudWatchLoggingOption": self._add_logging,
            "DeleteApplicationCloudWatchLoggingOption": self._delete_logging,
            "UpdateApplicationMaintenanceConfiguration": self._update_maintenance,
            "TagResource": self._tag,
            "UntagResource": self._untag,
            "ListTagsForResource": self._list_tags,
        }

    def claims(self, method: str, path: str, target: str) -> bool:  # noqa: ARG002 - the interface's
        """Every call of Kinesis Analytics V2."""
        return target.startswith(TARGET)

    def handle(self, request: Request) -> Response:
        """Answers one call."""
        name = request.target.removeprefix(TARGET)
        try:
            body = json.loads(request.body or b"{}")
        except ValueError as error:
            raise ServiceError("SerializationException", f"The request is not JSON: {error}") from error
        if name not in operation_names():
            raise ServiceError("UnknownOperationException", f"There is no operation {name}.")
        if name not in self._operations:
            raise ServiceError(
                "UnsupportedOperationException", f"The local cloud runs Flink applications without {name}."
            )
        validate(name, body)
        with self._applications.lock:
            answer = self._operations[name](request.region, body)
        return Response(200, json.dumps(answer).encode())

    def _create(self, region: str, request: Any) -> Answer:
        runtime = request["RuntimeEnvironment"]
        check_runtime(runtime)
        if request.get("ApplicationMode", "STREAMING") != "STREAMING":
            raise ServiceError(
                "UnsupportedOperationException", "The local cloud runs STREAMING applications."
            )
        configuration = configurations.completed(request.get("ApplicationConfiguration", {}))
        self._check_code(region, configuration)
        now = self._applications.now()
        application = Application(
            name=request["ApplicationName"],
            region=region,
            arn=f"arn:aws:kinesisanalytics:{region}:{ACCOUNT}:application/{request['ApplicationName']}",
            description=request.get("ApplicationDescription", ""),
            status="READY",
            created=int(now),
            updated=now,
            token=new_token(),
            versions=[
                Version(
                    number=1,
                    runtime=runtime,
                    role=request["ServiceExecutionRole"],
                    configuration=configuration,
                    created=now,
                )
            ],
            tags=with_tags({}, request.get("Tags", [])),
        )
        for option in request.get("CloudWatchLoggingOptions", []):
            add_logging_option(application, option["LogStreamARN"])
        self._applications.add(application)
        return {"ApplicationDetail": application_detail(application, details=False)}

    def _describe(self, region: str, request: Any) -> Answer:
        application = self._get(region, request)
        details = bool(request.get("IncludeAdditionalDetails", False))
        return {"ApplicationDetail": application_detail(application, details=details)}

    def _list(self, region: str, request: Any) -> Answer:
        applications, token = page(self._applications.all(region), request)
        return {"ApplicationSummaries": [application_summary(a) for a in applications], **token}

    def _start(self, region: str, request: Any) -> Answer:
        application = self._get(region, request)
        operation = self._applications.start(application, request.get("RunConfiguration", {}))
        return {"OperationId": operation.id}

    def _stop(self, region: str, request: Any) -> Answer:
        operation = self._applications.stop(
            self._get(region, request), force=bool(request.get("Force", False))
        )
        return {"OperationId": operation.id}

    def _update(self, region: str, request: Any) -> Answer:
        application = self._get(region, request)
        check_version(application, request)
        before = application.version
        runtime = request.get("RuntimeEnvironmentUpdate", before.runtime)
        check_runtime(runtime)
        if before.runtime.startswith("FLINK-2") and runtime.startswith("FLINK-1"):
            raise ServiceError(
                "InvalidArgumentException", f"{before.runtime} cannot be changed to {runtime}."
            )
        configuration = configurations.updated(
            before.configuration, request.get("ApplicationConfigurationUpdate", {})
        )
        if configuration.get("ApplicationCodeConfiguration") != before.configuration.get(
            "ApplicationCodeConfiguration"
        ):
            self._check_code(region, configuration)
        for change in request.get("CloudWatchLoggingOptionUpdates", []):
            option = logging_option(application, change["CloudWatchLoggingOptionId"])
            option.log_stream_arn = change.get("LogStreamARNUpdate", option.log_stream_arn)
        version = Version(
            number=before.number + 1,
            runtime=runtime,
            role=request.get("ServiceExecutionRoleUpdate", before.role),
            configuration=configuration,
            created=self._applications.now(),
            updated_from=before.number,
        )
        operation = self._applications.update(application, version, request.get("RunConfigurationUpdate", {}))
        answer: Answer = {"ApplicationDetail": application_detail(application, details=False)}
        return answer | ({"OperationId": operation.id} if operation else {})

    def _rollback(self, region: str, request: Any) -> Answer:
        application = self._get(region, request)
        check_version(application, request)
        current = application.version
        # RollbackApplication in the API reference; UPDATING, which it allows as well, is short here.
        require(application, "RUNNING")
        if not any(snapshot.status == "READY" for snapshot in application.snapshots):
            raise ServiceError("InvalidRequestException", "There is no snapshot to roll back to.")
        if current.updated_from is None:
            raise ServiceError("InvalidRequestException", "There is no version to roll back to.")
        target = next(v for v in application.versions if v.number == current.updated_from)
        version = rolled_back(current, target, self._applications.now())
        operation = self._applications.update(application, version, application.run_configuration)
        answer: Answer = {"ApplicationDetail": application_detail(application, details=False)}
        return answer | ({"OperationId": operation.id} if operation else {})

    def _delete(self, region: str, request: Any) -> Answer:
        application = self._get(region, request)
        if int(request["CreateTimestamp"]) != application.created:
            raise ServiceError(
                "InvalidArgumentException",
                f"CreateTimestamp is not that of application {application.name}.",
            )
        self._applications.delete(application)
        return {}

    def _check_code(self, region: str, configuration: Mapping[str, Any]) -> None:
        try:
            found = self._code_is_there(region, configuration)
        except CodeError as error:
            raise ServiceError("InvalidArgumentException", str(error)) from error
        if not found:
            raise ServiceError(
                "InvalidArgumentException",
                "The application's code cannot be read from the S3 location that the configuration names.",
            )

    def _create_snapshot(self, region: str, request: Any) -> Answer:
        application = self._get(region, request)
        if not configurations.snapshots_enabled(application.version.configuration):
            raise ServiceError(
                "InvalidApplicationConfigurationException",
                f"Snapshots are not enabled for application {application.name}.",
            )
        self._applications.create_snapshot(application, request["SnapshotName"])
        return {}

    def _describe_snapshot(self, region: str, request: Any) -> Answer:
        return {"SnapshotDetails": snapshot_details(self._snapshot(region, request))}

    def _list_snapshots(self, region: str, request: Any) -> Answer:
        newest_first = list(reversed(self._get(region, request).snapshots))
        snapshots, token = page(newest_first, request)
        return {"SnapshotSummaries": [snapshot_details(snapshot) for snapshot in snapshots], **token}

    def _delete_snapshot(self, region: str, request: Any) -> Answer:
        snapshot = self._snapshot(region, request)
        if int(request["SnapshotCreationTimestamp"]) != snapshot.created:
            raise ServiceError(
                "InvalidArgumentException",
                f"SnapshotCreationTimestamp is not that of snapshot {snapshot.name}.",
            )
        self._applications.delete_snapshot(self._get(region, request), snapshot)
        return {}

    def _snapshot(self, region: str, request: Any) -> Snapshot:
        snapshot = self._get(region, request).snapshot(request["SnapshotName"])
        if snapshot is None:
            raise ServiceError(
                "ResourceNotFoundException", f"Snapshot {request['SnapshotName']} was not found."
            )
        return snapshot

    def _describe_operation(self, region: str, request: Any) -> Answer:
        operation = self._get(region, request).operation(request["OperationId"])
        if operation is None:
            raise ServiceError("ResourceNotFoundException", "There is no operation of that id.")
        return {"ApplicationOperationInfoDetails": operation_details(operation)}

    def _list_operations(self, region: str, request: Any) -> Answer:
        wanted = [
            operation
            for operation in reversed(self._get(region, request).operations)
            if request.get("Operation", operation.name) == operation.name
            and request.get("OperationStatus", operation.status) == operation.status
        ]
        operations, token = page(wanted, request)
        return {"ApplicationOperationInfoList": [operation_summary(o) for o in operations], **token}

    def _describe_version(self, region: str, request: Any) -> Answer:
        application = self._get(region, request)
        number = request["ApplicationVersionId"]
        version = next((v for v in application.versions if v.number == number), None)
        if version is None:
            raise ServiceError("ResourceNotFoundException", f"There is no version {number}.")
        return {"ApplicationVersionDetail": version_detail(application, version, details=True)}

    def _list_versions(self, region: str, request: Any) -> Answer:
        application = self._get(region, request)
        versions, token = page(list(reversed(application.versions)), request)
        summaries = [
            {
                "ApplicationVersionId": version.number,
                "ApplicationStatus": application.status if version is application.version else "READY",
            }
            for version in versions
        ]
        return {"ApplicationVersionSummaries": summaries, **token}

    def _add_logging(self, region: str, request: Any) -> Answer:
        application = self._get(region, request)
        check_version(application, request)
        add_logging_option(application, request["CloudWatchLoggingOption"]["LogStreamARN"])
        return self._logging_answer(application)

    def _delete_logging(self, region: str, request: Any) -> Answer:
        application = self._get(region, request)
        check_version(application, request)
        application.logging.remove(logging_option(application, request["CloudWatchLoggingOptionId"]))
        return self._logging_answer(application)

    def _logging_answer(self, application: Application) -> Answer:
        before = application.version
        self._applications.new_version(
            application,
            Version(
                number=before.number + 1,
                runtime=before.runtime,
                role=before.role,
                configuration=before.configuration,
                created=self._applications.now(),
                updated_from=before.number,
            ),
        )
        detail = application_detail(application, details=False)
        return {
            "ApplicationARN": application.arn,
            "ApplicationVersionId": application.version.number,
            "CloudWatchLoggingOptionDescriptions": detail["CloudWatchLoggingOptionDescriptions"],
        }

    def _update_maintenance(self, region: str, request: Any) -> Answer:
        application = self._get(region, request)
        update = request["ApplicationMaintenanceConfigurationUpdate"]
        application.maintenance_start = update["ApplicationMaintenanceWindowStartTimeUpdate"]
        self._applications.changed(application)
        detail = application_detail(application, details=False)
        name = "ApplicationMaintenanceConfigurationDescription"
        return {"ApplicationARN": application.arn, name: detail[name]}

    def _tag(self, region: str, request: Any) -> Answer:
        application = self._by_arn(region, request["ResourceARN"])
        application.tags = with_tags(application.tags, request["Tags"])
        self._applications.changed(application)
        return {}

    def _untag(self, region: str, request: Any) -> Answer:
        application = self._by_arn(region, request["ResourceARN"])
        for key in request["TagKeys"]:
            application.tags.pop(key, None)
        self._applications.changed(application)
        return {}

    def _list_tags(self, region: str, request: Any) -> Answer:
        tags = self._by_arn(region, request["ResourceARN"]).tags
        return {"Tags": [{"Key": key, "Value": value} for key, value in sorted(tags.items())]}

    def _get(self, region: str, request: Any) -> Application:
        return self._applications.get(region, request["ApplicationName"])

    def _by_arn(self, region: str, arn: str) -> Application:
        return self._applications.get(region, arn.rsplit("/", 1)[-1])
