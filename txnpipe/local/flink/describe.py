"""How the API describes applications, versions, operations and snapshots."""

from __future__ import annotations

from typing import Any

from txnpipe.local.flink import configuration as configurations
from txnpipe.local.flink.state import Application, Operation, Snapshot, Version


def application_detail(application: Application, *, details: bool) -> dict[str, Any]:
    """The API's ApplicationDetail of the current version. `details`: with the job plan."""
    return version_detail(application, application.version, details=details)


def version_detail(application: Application, version: Version, *, details: bool) -> dict[str, Any]:
    """The API's ApplicationDetail of any version."""
    is_current = version is application.version
    hour, minute = application.maintenance_start.split(":")
    optional = {
        "ApplicationVersionUpdatedFrom": version.updated_from,
        "ApplicationVersionRolledBackFrom": version.rolled_back_from,
        "ApplicationVersionRolledBackTo": version.rolled_back_to,
    }
    return {
        "ApplicationARN": application.arn,
        "ApplicationDescription": application.description,
        "ApplicationName": application.name,
        "RuntimeEnvironment": version.runtime,
        "ServiceExecutionRole": version.role,
        "ApplicationStatus": application.status if is_current else "READY",
        "ApplicationVersionId": version.number,
        "CreateTimestamp": application.created,
        "LastUpdateTimestamp": application.updated,
        "ApplicationConfigurationDescription": configurations.described(
            version.configuration,
            application.run_configuration,
            running=is_current and application.status == "RUNNING",
            details=details,
        ),
        "CloudWatchLoggingOptionDescriptions": [
            {"CloudWatchLoggingOptionId": option.id, "LogStreamARN": option.log_stream_arn}
            for option in application.logging
        ],
        "ApplicationMaintenanceConfigurationDescription": {
            "ApplicationMaintenanceWindowStartTime": application.maintenance_start,
            # The window is eight hours long (Managed Service for Apache Flink, maintenance).
            "ApplicationMaintenanceWindowEndTime": f"{(int(hour) + 8) % 24:02d}:{minute}",
        },
        "ApplicationVersionCreateTimestamp": version.created,
        "ConditionalToken": application.token,
        "ApplicationMode": "STREAMING",
        **{name: value for name, value in optional.items() if value is not None},
    }


def application_summary(application: Application) -> dict[str, Any]:
    """The API's ApplicationSummary."""
    return {
        "ApplicationName": application.name,
        "ApplicationARN": application.arn,
        "ApplicationStatus": application.status,
        "ApplicationVersionId": application.version.number,
        "RuntimeEnvironment": application.version.runtime,
        "ApplicationMode": "STREAMING",
    }


def operation_summary(operation: Operation) -> dict[str, Any]:
    """The API's ApplicationOperationInfo."""
    return {
        "Operation": operation.name,
        "OperationId": operation.id,
        "StartTime": operation.started,
        "EndTime": operation.ended or operation.started,
        "OperationStatus": operation.status,
    }


def operation_details(operation: Operation) -> dict[str, Any]:
    """The API's ApplicationOperationInfoDetails."""
    result = operation_summary(operation)
    del result["OperationId"]
    if operation.from_version is not None and operation.to_version is not None:
        result["ApplicationVersionChangeDetails"] = {
            "ApplicationVersionUpdatedFrom": operation.from_version,
            "ApplicationVersionUpdatedTo": operation.to_version,
        }
    if operation.error:
        result["OperationFailureDetails"] = {"ErrorInfo": {"ErrorString": operation.error[:512]}}
    return result


def snapshot_details(snapshot: Snapshot) -> dict[str, Any]:
    """The API's SnapshotDetails."""
    return {
        "SnapshotName": snapshot.name,
        "SnapshotStatus": snapshot.status,
        "ApplicationVersionId": snapshot.version,
        "SnapshotCreationTimestamp": snapshot.created,
        "RuntimeEnvironment": snapshot.runtime,
    }
