"""Watching what Managed Flink does: its states have no waiters, and only an operation tells why it failed.

Start, stop and update answer the id of an operation, which runs for minutes and ends SUCCESSFUL, FAILED or
CANCELLED (DescribeApplicationOperation). A start that fails leaves the application READY. After a failed
update it is ROLLING_BACK, and then runs in the version before it, or is READY where that failed too
(https://docs.aws.amazon.com/managed-flink/latest/java/how-system-rollbacks.html).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from txnpipe.errors import ExitCode, TxnpipeError
from txnpipe.resources.resource import Cloud, Resource

T = TypeVar("T")

OPERATION_TIMEOUT_S = 1200.0
"""A start takes minutes on AWS: it provisions its own cluster. An update takes a snapshot before that."""
SETTLED = {"READY", "RUNNING", "ROLLED_BACK"}
"""States that an application leaves only when somebody asks for it. Every other one passes."""
_ON_THE_WAY_UP = {"STARTING", "UPDATING", "AUTOSCALING", "ROLLING_BACK", "MAINTENANCE", "RUNNING"}
_AFTERWARDS = {
    "RUNNING": "AWS brought the version before it back, and that runs.",
    "ROLLED_BACK": "AWS brought the version before it back.",
}


@dataclass(frozen=True)
class Operations:
    """The operations of one application. `log_group` is where its log is."""

    cloud: Cloud
    app: Resource[Any]
    log_group: str

    def watch(self, answer: Mapping[str, Any], wanted: str | None) -> None:
        """Waits for an operation to succeed, and for the state it leads to (None: any).

        `answer` is what the call that began it answered; without an OperationId only the state is awaited.
        Raises TxnpipeError: SERVICE with the operation's own error, TIMEOUT where it is stuck.
        """
        operation = answer.get("OperationId")
        if operation:
            details = self._finished(operation)
            if details["OperationStatus"] != "SUCCESSFUL":
                raise self._failure(details)
        if wanted:
            self._reached(wanted)

    def under_way(self) -> Mapping[str, Any]:
        """The operation that is in progress, in the shape of the answer of whoever began it; {} for none."""
        listed = self._client().list_application_operations(
            ApplicationName=self.app.name, OperationStatus="IN_PROGRESS", Limit=1
        )["ApplicationOperationInfoList"]
        return {"OperationId": listed[0]["OperationId"]} if listed else {}

    def _client(self) -> Any:
        return self.cloud.client("kinesisanalyticsv2")

    def _status(self) -> str:
        """The application's status; "" once it is gone."""
        client = self._client()
        try:
            detail = client.describe_application(ApplicationName=self.app.name)["ApplicationDetail"]
        except client.exceptions.ResourceNotFoundException:
            return ""
        return str(detail["ApplicationStatus"])

    def _finished(self, operation: str) -> Mapping[str, Any]:
        client = self._client()

        def probe() -> Mapping[str, Any] | None:
            try:
                details: Mapping[str, Any] = client.describe_application_operation(
                    ApplicationName=self.app.name, OperationId=operation
                )["ApplicationOperationInfoDetails"]
            except client.exceptions.ResourceNotFoundException:
                return None  # it has only just begun
            return None if details["OperationStatus"] == "IN_PROGRESS" else details

        return self._wait(f"analytics app {self.app.name} to finish what was begun", probe)

    def _reached(self, wanted: str) -> None:
        seen: set[str] = set()

        def probe() -> bool | None:
            status = self._status()
            if status == "READY" and wanted == "RUNNING" and seen & _ON_THE_WAY_UP:
                raise TxnpipeError(
                    f"The analytics app {self.app.name} began to run and is READY again: it was stopped, "
                    "or its job failed.",
                    self._look(),
                    ExitCode.SERVICE,
                )
            seen.add(status)
            return True if status == wanted else None

        self._wait(f"analytics app {self.app.name} to be {wanted}", probe)

    def _failure(self, details: Mapping[str, Any]) -> TxnpipeError:
        """The error of a failed operation, once it is known where that left the application."""
        status = self._wait(
            f"analytics app {self.app.name} to settle after a failed {details['Operation']}",
            lambda: status if (status := self._status()) in SETTLED or not status else None,
        )
        error = details.get("OperationFailureDetails", {}).get("ErrorInfo", {}).get("ErrorString", "")
        left = _AFTERWARDS.get(status, "It does not run now.")
        return TxnpipeError(
            f"{details['Operation']} of {self.app.name} {details['OperationStatus'].lower()}: "
            f"{error or 'AWS gives no reason.'} {left}",
            self._look(),
            ExitCode.SERVICE,
        )

    def _look(self) -> str:
        return (
            f"Read the app's log ({self.log_group}; locally: txnpipe local logs flink), mend what it says, "
            "then run the same command again."
        )

    def _wait(self, what: str, probe: Callable[[], T | None]) -> T:
        fix = (
            "Run the same command again: it continues where this one stopped. If the app stays as it is, "
            f"aws kinesisanalyticsv2 stop-application --force --application-name {self.app.name} frees it."
        )
        return self.cloud.waiter.until(self.app, what, probe, OPERATION_TIMEOUT_S, fix=fix)
