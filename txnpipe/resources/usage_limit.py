"""The bound of what a serverless warehouse may cost: a usage limit of its workgroup, in RPU-hours.

A usage limit has an id and no name, and CreateUsageLimit takes no tags. Which of a workgroup's limits is ours
stands in a tag of the workgroup. It is written after the limit is made; a limit that a killed setup made just
before is known by being exactly what was asked for. Limits that somebody else adds are left alone.

What happens at the limit (`warehouse.usage_limit_action`): log and emit-metric only tell. deactivate turns
user queries off until the next period; the loader then fails, its records wait in the stream, and those that
become older than the event source mapping allows go whole to the on-failure bucket.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from txnpipe.config.settings import WarehouseSettings
from txnpipe.resources.difference import REPLACES, Difference
from txnpipe.resources.resource import Cloud, Observed, id_of
from txnpipe.resources.serverless import Described, accepted, described, serverless_tags
from txnpipe.resources.workgroup import Workgroup

TAG_LIMIT = "txnpipe:usage-limit"
"""On the workgroup: the id of our limit."""
DAYS = {"daily": 1, "weekly": 7, "monthly": 31}
HOURS_A_DAY = 30
"""24 hours at base capacity, and a quarter more: a stream of small batches never lets a workgroup sleep, and
that alone must not turn it off."""
_COMPUTE = "serverless-compute"


def limit_hours(settings: WarehouseSettings) -> int:
    """RPU-hours of one period."""
    if settings.usage_limit_rpu_hours is not None:
        return settings.usage_limit_rpu_hours
    return settings.base_capacity_rpu * HOURS_A_DAY * DAYS[settings.usage_limit_period]


@dataclass(frozen=True)
class UsageLimitState:
    """What a plan compares. The period of a limit cannot be changed."""

    rpu_hours: int
    period: str = field(metadata=REPLACES)
    action: str


@dataclass(frozen=True)
class UsageLimit:
    """The usage limit."""

    cloud: Cloud
    name: str
    workgroup: Workgroup
    kind: str = "usage limit"
    inside: str | None = None

    @property
    def requires(self) -> tuple[str, ...]:
        """See Resource."""
        return (id_of(self.workgroup),)

    def desired(self) -> UsageLimitState:
        """See Resource."""
        settings = self.cloud.settings.warehouse
        return UsageLimitState(
            limit_hours(settings), settings.usage_limit_period, settings.usage_limit_action
        )

    def read(self) -> Observed[UsageLimitState] | None:
        """See Resource."""
        found = self._find()
        if found is None:
            return None
        return Observed(_state(found), "in force", facts={"id": found["usageLimitId"]})

    def create(self, desired: UsageLimitState) -> None:
        """See Resource."""
        workgroup = self._workgroup()
        serverless = self.cloud.client("redshift-serverless")
        if workgroup is None:
            return  # `settle` says what is missing

        def call() -> str:
            equal = self._equal(workgroup, desired)
            if equal is not None:
                return str(equal["usageLimitId"])
            limit = serverless.create_usage_limit(
                resourceArn=workgroup.arn,
                usageType=_COMPUTE,
                amount=desired.rpu_hours,
                period=desired.period,
                breachAction=desired.action,
            )
            return str(limit["usageLimit"]["usageLimitId"])

        identifier = accepted(self.cloud, self, call)
        serverless.tag_resource(resourceArn=workgroup.arn, tags=serverless_tags({TAG_LIMIT: identifier}))

    def update(self, desired: UsageLimitState, differences: tuple[Difference, ...]) -> None:
        """See Resource."""
        found = self._find()
        if found is None:
            return  # `settle` says what is missing
        serverless = self.cloud.client("redshift-serverless")
        accepted(
            self.cloud,
            self,
            lambda: serverless.update_usage_limit(
                usageLimitId=found["usageLimitId"], amount=desired.rpu_hours, breachAction=desired.action
            ),
        )

    def settle(self) -> None:
        """See Resource."""
        self.cloud.waiter.until(self, f"usage limit of {self.name} to be in force", self.read, 60.0)

    def delete(self) -> None:
        """See Resource."""
        found = self._find()
        if found is None:
            return
        serverless = self.cloud.client("redshift-serverless")

        def call() -> None:
            try:
                serverless.delete_usage_limit(usageLimitId=found["usageLimitId"])
            except serverless.exceptions.ResourceNotFoundException:
                return

        accepted(self.cloud, self, call)

    def _workgroup(self) -> Described | None:
        """The workgroup, where it is ours and stays."""
        found = described(self.cloud, "workgroup", self.workgroup.name)
        if found is None or found.status == "DELETING":
            return None
        self.cloud.assert_ours(self.workgroup.kind, self.workgroup.name, found.tags)
        return found

    def _find(self) -> dict[str, Any] | None:
        workgroup = self._workgroup()
        if workgroup is None:
            return None
        known = workgroup.tags.get(TAG_LIMIT)
        for limit in self._limits(workgroup):
            if limit["usageLimitId"] == known:
                return limit
        return self._equal(workgroup, self.desired())

    def _equal(self, workgroup: Described, desired: UsageLimitState) -> dict[str, Any] | None:
        for limit in self._limits(workgroup):
            if _state(limit) == desired:
                return limit
        return None

    def _limits(self, workgroup: Described) -> list[dict[str, Any]]:
        pages = self.cloud.client("redshift-serverless").get_paginator("list_usage_limits")
        listed = pages.paginate(resourceArn=workgroup.arn, usageType=_COMPUTE)
        return [limit for page in listed for limit in page["usageLimits"]]


def _state(limit: Mapping[str, Any]) -> UsageLimitState:
    return UsageLimitState(limit["amount"], limit["period"], limit["breachAction"])
