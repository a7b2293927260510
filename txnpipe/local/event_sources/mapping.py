"""A mapping's document: its settings and state, as saved and as shown by the API."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from txnpipe.local.part import ACCOUNT

State = Literal["Creating", "Enabling", "Enabled", "Disabling", "Disabled", "Updating", "Deleting"]
NOTHING_PROCESSED = "No records processed"
USER_ACTION = "User action"
IN_TRANSITION: frozenset[State] = frozenset({"Creating", "Enabling", "Disabling", "Updating", "Deleting"})


class Mapping(msgspec.Struct, frozen=True, kw_only=True):
    """Changed by `msgspec.structs.replace`, then saved, then used.

    created_at, last_modified, starting_timestamp: epoch seconds. max_record_age_s, max_retries: -1 is for
    ever. filters: event patterns as JSON text; none lets everything pass.
    """

    uuid: str
    region: str
    source_arn: str
    function_arn: str
    starting_position: Literal["TRIM_HORIZON", "LATEST", "AT_TIMESTAMP"]
    created_at: float
    last_modified: float
    starting_timestamp: float | None = None
    state: State = "Creating"
    enabled: bool = True
    batch_size: int = 100
    window_s: int = 0
    lanes: int = 1
    max_record_age_s: int = -1
    max_retries: int = -1
    bisect: bool = False
    report_failures: bool = False
    on_failure: str | None = None
    filters: tuple[str, ...] = ()
    tags: dict[str, str] = {}

    @property
    def arn(self) -> str:
        """The mapping's own ARN, for tags."""
        return f"arn:aws:lambda:{self.region}:{ACCOUNT}:event-source-mapping:{self.uuid}"

    @property
    def settled_state(self) -> State:
        """The state that a transition leads to."""
        return "Enabled" if self.enabled else "Disabled"


def describe(mapping: Mapping, last_result: str) -> dict[str, Any]:
    """The mapping as the Lambda API shows it: EventSourceMappingConfiguration."""
    shown: dict[str, Any] = {
        "UUID": mapping.uuid,
        "EventSourceMappingArn": mapping.arn,
        "EventSourceArn": mapping.source_arn,
        "FunctionArn": mapping.function_arn,
        "StartingPosition": mapping.starting_position,
        "State": mapping.state,
        "StateTransitionReason": USER_ACTION,
        "LastModified": mapping.last_modified,
        "LastProcessingResult": last_result,
        "BatchSize": mapping.batch_size,
        "MaximumBatchingWindowInSeconds": mapping.window_s,
        "ParallelizationFactor": mapping.lanes,
        "MaximumRecordAgeInSeconds": mapping.max_record_age_s,
        "MaximumRetryAttempts": mapping.max_retries,
        "BisectBatchOnFunctionError": mapping.bisect,
        "TumblingWindowInSeconds": 0,
        "FunctionResponseTypes": ["ReportBatchItemFailures"] if mapping.report_failures else [],
        "DestinationConfig": {"OnFailure": {"Destination": mapping.on_failure} if mapping.on_failure else {}},
    }
    if mapping.starting_timestamp is not None:
        shown["StartingPositionTimestamp"] = mapping.starting_timestamp
    if mapping.filters:
        shown["FilterCriteria"] = {"Filters": [{"Pattern": pattern} for pattern in mapping.filters]}
    return shown
