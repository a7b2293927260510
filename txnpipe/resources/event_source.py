"""Event source mappings: which stream feeds which function, and how.

A mapping has a random id, so it is found by its function and its source. All start at TRIM_HORIZON: LATEST
can miss records while a mapping is being created, and the loader's de-duplication makes the early start safe.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from txnpipe.resources.difference import Difference
from txnpipe.resources.new_roles import once_role_is_known
from txnpipe.resources.policies import bucket_arn
from txnpipe.resources.resource import Cloud, Observed, wait_gone, wait_ready

READY_TIMEOUT_S = 600.0
STARTING_POSITION = "TRIM_HORIZON"
PARTIAL_FAILURES = "ReportBatchItemFailures"


@dataclass(frozen=True)
class EventSourceState:
    """What a plan compares; the fields are those of the Lambda API."""

    enabled: bool
    batch_size: int
    batch_window_seconds: int
    parallelization_factor: int
    maximum_retry_attempts: int
    maximum_record_age_seconds: int
    bisect_batch_on_error: bool
    partial_failures: bool
    on_failure: str | None


@dataclass(frozen=True)
class EventSource:
    """One mapping."""

    cloud: Cloud
    stream: str
    function: str
    requires: tuple[str, ...]
    batch_size: int
    batch_window_seconds: int
    parallelization_factor: int
    maximum_retry_attempts: int
    maximum_record_age_seconds: int
    bisect_batch_on_error: bool
    partial_failures: bool
    kind: str = "event source mapping"
    inside: str | None = None

    @property
    def name(self) -> str:
        """See Resource."""
        return f"{self.stream} → {self.function}"

    @property
    def _source(self) -> str:
        return self.cloud.names.arn("kinesis", f"stream/{self.stream}")

    def desired(self) -> EventSourceState:
        """See Resource."""
        return EventSourceState(
            enabled=True,
            batch_size=self.batch_size,
            batch_window_seconds=self.batch_window_seconds,
            parallelization_factor=self.parallelization_factor,
            maximum_retry_attempts=self.maximum_retry_attempts,
            maximum_record_age_seconds=self.maximum_record_age_seconds,
            bisect_batch_on_error=self.bisect_batch_on_error,
            partial_failures=self.partial_failures,
            on_failure=bucket_arn(self.cloud.names),
        )

    def find(self) -> dict[str, Any] | None:
        """The mapping as Lambda lists it, or None. Lambda keeps function and source unique."""
        pages = self.cloud.client("lambda").get_paginator("list_event_source_mappings")
        function = self.cloud.names.arn("lambda", f"function:{self.function}")
        for page in pages.paginate(EventSourceArn=self._source, FunctionName=self.function):
            for mapping in page["EventSourceMappings"]:
                # Compared again: a service may read the filters more loosely than we mean them.
                if mapping["EventSourceArn"] == self._source and mapping["FunctionArn"] == function:
                    found: dict[str, Any] = mapping
                    return found
        return None

    def read(self) -> Observed[EventSourceState] | None:
        """See Resource."""
        lambda_ = self.cloud.client("lambda")
        try:
            found = self.find()
        except lambda_.exceptions.ResourceNotFoundException:
            return None
        if found is None or (tags := self._tags(found["EventSourceMappingArn"])) is None:
            return None
        self.cloud.assert_ours(self.kind, self.name, tags)
        status = found.get("State", "Enabled")
        state = EventSourceState(
            enabled=status not in {"Disabled", "Disabling"},
            batch_size=found["BatchSize"],
            batch_window_seconds=found.get("MaximumBatchingWindowInSeconds") or 0,
            parallelization_factor=found.get("ParallelizationFactor") or 1,
            maximum_retry_attempts=_or(found.get("MaximumRetryAttempts"), -1),
            maximum_record_age_seconds=_or(found.get("MaximumRecordAgeInSeconds"), -1),
            bisect_batch_on_error=bool(found.get("BisectBatchOnFunctionError")),
            partial_failures=PARTIAL_FAILURES in (found.get("FunctionResponseTypes") or []),
            on_failure=((found.get("DestinationConfig") or {}).get("OnFailure") or {}).get("Destination"),
        )
        facts = {"id": found["UUID"], "last_result": found.get("LastProcessingResult")}
        return Observed(
            state,
            status,
            ready=status in {"Enabled", "Disabled"},
            leaving=status == "Deleting",
            facts=facts,
        )

    def _tags(self, arn: str) -> dict[str, str] | None:
        """The mapping's tags; None where it has gone meanwhile."""
        lambda_ = self.cloud.client("lambda")
        try:
            tags: dict[str, str] = lambda_.list_tags(Resource=arn).get("Tags", {})
        except lambda_.exceptions.ResourceNotFoundException:
            return None
        return tags

    def create(self, desired: EventSourceState) -> None:
        """See Resource."""
        lambda_ = self.cloud.client("lambda")

        def call() -> None:
            with suppress(lambda_.exceptions.ResourceConflictException):
                lambda_.create_event_source_mapping(
                    EventSourceArn=self._source,
                    FunctionName=self.function,
                    StartingPosition=STARTING_POSITION,
                    Tags=self.cloud.tags,
                    **_configuration(desired),
                )

        once_role_is_known(self.cloud, self, call)

    def update(self, desired: EventSourceState, differences: tuple[Difference, ...]) -> None:
        """See Resource."""
        found = self.find()
        if found is not None:
            self.cloud.client("lambda").update_event_source_mapping(
                UUID=found["UUID"], **_configuration(desired)
            )

    def settle(self) -> None:
        """See Resource."""
        wait_ready(self.cloud, self, READY_TIMEOUT_S)

    def delete(self) -> None:
        """See Resource. A mapping that is changing can be deleted only afterwards."""
        lambda_ = self.cloud.client("lambda")

        def asked() -> bool | None:
            found = self.find()
            if found is None or found.get("State") == "Deleting":
                return True
            try:
                lambda_.delete_event_source_mapping(UUID=found["UUID"])
            except lambda_.exceptions.ResourceNotFoundException:
                return True
            except lambda_.exceptions.ResourceInUseException:
                return None
            return True

        _unless_gone(
            self.cloud,
            lambda: self.cloud.waiter.until(self, f"{self.name} to take changes", asked, READY_TIMEOUT_S),
        )
        wait_gone(self.cloud, self, READY_TIMEOUT_S)


def _unless_gone(cloud: Cloud, call: Callable[[], Any]) -> None:
    with suppress(cloud.client("lambda").exceptions.ResourceNotFoundException):
        call()


def _configuration(desired: EventSourceState) -> dict[str, Any]:
    return {
        "Enabled": desired.enabled,
        "BatchSize": desired.batch_size,
        "MaximumBatchingWindowInSeconds": desired.batch_window_seconds,
        "ParallelizationFactor": desired.parallelization_factor,
        "MaximumRetryAttempts": desired.maximum_retry_attempts,
        "MaximumRecordAgeInSeconds": desired.maximum_record_age_seconds,
        "BisectBatchOnFunctionError": desired.bisect_batch_on_error,
        "FunctionResponseTypes": [PARTIAL_FAILURES] if desired.partial_failures else [],
        "DestinationConfig": {"OnFailure": {"Destination": desired.on_failure}},
    }


def _or(value: int | None, default: int) -> int:
    return default if value is None else value
