"""The compute and endpoint of a serverless warehouse: a Redshift Serverless workgroup over the namespace.

Deleting it keeps the data, which are the namespace's. It is in the VPC, not public, and takes TLS only.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from txnpipe.config.settings import WarehouseSettings
from txnpipe.errors import ExitCode, TxnpipeError, usage_error
from txnpipe.resources.difference import REPLACES, Difference
from txnpipe.resources.namespace import Namespace
from txnpipe.resources.network import SecurityGroup, placement
from txnpipe.resources.resource import Cloud, Observed, id_of
from txnpipe.resources.serverless import (
    changed,
    described,
    made,
    removed,
    serverless_tags,
    settled,
)
from txnpipe.resources.vpc import at_least_zones, find_vpc

LARGE_CAPACITY_REGIONS = frozenset({"us-east-1", "us-east-2", "us-west-2", "eu-west-1", "eu-central-1"})
"""Where more than 512 RPU can be had ("Compute capacity for Amazon Redshift Serverless")."""
FEWEST_SUBNETS = 3
"""In as many zones ("Considerations when using Amazon Redshift Serverless")."""
_FEWER_ZONES = {"us-west-1": 2}
"""Where fewer zones do (the same page)."""
_NO_MAXIMUM = -1
"""What UpdateWorkgroup takes as maxCapacity to lift the bound; where there is none it is an error."""
REQUIRES_TLS = "require_ssl"
"""True by itself since 2025 in a new workgroup; asked for, so that it is seen when somebody turns it off."""


def refuse_capacity(settings: WarehouseSettings, region: str) -> None:
    """Raises USAGE for capacities that do not exist. Asks nobody.

    Source: "Compute capacity for Amazon Redshift Serverless": 4; to 512 by 8; to 1024 by 32 in five regions.
    """
    base, most = settings.base_capacity_rpu, settings.max_capacity_rpu
    large = base > 512 and base % 32 == 0
    if large and region not in LARGE_CAPACITY_REGIONS:
        regions = ", ".join(sorted(LARGE_CAPACITY_REGIONS))
        raise usage_error(
            f"Redshift Serverless has no base capacity of {base} RPU in {region}.",
            f"Set warehouse.base_capacity_rpu to 512 at most, or use one of {regions}.",
        )
    if not (base == 4 or large or (base <= 512 and base % 8 == 0)):
        raise usage_error(
            f"Redshift Serverless has no base capacity of {base} RPU.",
            "Set warehouse.base_capacity_rpu to 4, or to a multiple of 8 up to 512 (of 32 above).",
        )
    if most is not None and most < base:
        raise usage_error(
            f"The maximum capacity of {most} RPU is below the base capacity of {base}.",
            "Raise warehouse.max_capacity_rpu, or lower warehouse.base_capacity_rpu.",
        )


@dataclass(frozen=True)
class WorkgroupState:
    """What a plan compares. `max_capacity` is None where nothing but Redshift bounds it."""

    namespace: str = field(metadata=REPLACES)
    base_capacity: int
    max_capacity: int | None
    port: int
    subnets: tuple[str, ...]
    security_groups: Any
    publicly_accessible: bool
    requires_tls: bool


@dataclass(frozen=True)
class Workgroup:
    """The workgroup."""

    cloud: Cloud
    name: str
    group: SecurityGroup
    namespace: Namespace
    kind: str = "workgroup"
    inside: str | None = None

    @property
    def requires(self) -> tuple[str, ...]:
        """See Resource."""
        return (id_of(self.group), id_of(self.namespace))

    def desired(self) -> WorkgroupState:
        """See Resource."""
        settings = self.cloud.settings.warehouse
        subnets = workgroup_subnets(self.cloud)
        groups = placement(self.cloud, self.group)[1]
        return WorkgroupState(
            namespace=self.namespace.name,
            base_capacity=settings.base_capacity_rpu,
            max_capacity=settings.max_capacity_rpu,
            port=settings.port,
            subnets=tuple(sorted(subnets)),
            security_groups=groups,
            publicly_accessible=False,
            requires_tls=True,
        )

    def read(self) -> Observed[WorkgroupState] | None:
        """See Resource."""
        found = described(self.cloud, "workgroup", self.name)
        if found is None:
            return None
        leaving = found.status == "DELETING"
        if not leaving:
            self.cloud.assert_ours(self.kind, self.name, found.tags)
        document = found.document
        address = document.get("endpoint") or {}
        state = WorkgroupState(
            namespace=document["namespaceName"],
            base_capacity=document["baseCapacity"],
            max_capacity=document.get("maxCapacity"),
            port=document.get("port") or address.get("port") or self.cloud.settings.warehouse.port,
            subnets=tuple(sorted(document.get("subnetIds", []))),
            security_groups=tuple(sorted(document.get("securityGroupIds", []))),
            publicly_accessible=bool(document.get("publiclyAccessible")),
            requires_tls=_parameters(document).get(REQUIRES_TLS) == "true",
        )
        facts = {
            "host": address.get("address"),
            "port": address.get("port"),
            "rpu": state.base_capacity,
            "arn": found.arn,
        }
        return Observed(state, found.status, ready=found.status == "AVAILABLE", leaving=leaving, facts=facts)

    def create(self, desired: WorkgroupState) -> None:
        """See Resource."""
        serverless = self.cloud.client("redshift-serverless")
        bound = {} if desired.max_capacity is None else {"maxCapacity": desired.max_capacity}
        made(
            self.cloud,
            self,
            lambda: serverless.create_workgroup(
                workgroupName=self.name,
                namespaceName=desired.namespace,
                baseCapacity=desired.base_capacity,
                subnetIds=list(desired.subnets),
                securityGroupIds=list(desired.security_groups),
                publiclyAccessible=False,
                port=desired.port,
                configParameters=[{"parameterKey": REQUIRES_TLS, "parameterValue": "true"}],
                tags=serverless_tags(self.cloud.tags),
                **bound,
            ),
        )

    def update(self, desired: WorkgroupState, differences: tuple[Difference, ...]) -> None:
        """See Resource. One change at a time: UpdateWorkgroup takes no two, and none while one is running."""
        fields = {difference.field: difference for difference in differences}
        for name, change in capacity_changes(fields, desired):
            self._change(desired, name, **change)
        if "security_groups" in fields:
            self._change(desired, "security_groups", securityGroupIds=list(desired.security_groups))
        if "subnets" in fields:
            self._change(desired, "subnets", subnetIds=list(desired.subnets))
        if "publicly_accessible" in fields:
            self._change(desired, "publicly_accessible", publiclyAccessible=False)
        if "requires_tls" in fields:
            self._change(desired, "requires_tls", configParameters=self._parameters_with_tls())
        if "port" in fields:
            self._change(desired, "port", port=desired.port)

    def _parameters_with_tls(self) -> list[dict[str, str]]:
        """All parameters that the workgroup has now, so that none of somebody else's is lost."""
        found = described(self.cloud, "workgroup", self.name)
        parameters = {**(_parameters(found.document) if found else {}), REQUIRES_TLS: "true"}
        return [{"parameterKey": key, "parameterValue": value} for key, value in sorted(parameters.items())]

    def _change(self, desired: WorkgroupState, name: str, **change: Any) -> None:
        serverless = self.cloud.client("redshift-serverless")
        changed(
            self.cloud,
            self,
            desired,
            name,
            lambda: serverless.update_workgroup(workgroupName=self.name, **change),
        )

    def settle(self) -> None:
        """See Resource."""
        settled(self.cloud, self)

    def delete(self) -> None:
        """See Resource."""
        serverless = self.cloud.client("redshift-serverless")
        removed(self.cloud, self, lambda: serverless.delete_workgroup(workgroupName=self.name))


def capacity_changes(
    fields: dict[str, Difference], desired: WorkgroupState
) -> list[tuple[str, dict[str, int]]]:
    """Field and change, one a call, that bring both capacities to where they should be. On the way base never
    exceeds maximum."""
    base = [("base_capacity", {"baseCapacity": desired.base_capacity})] if "base_capacity" in fields else []
    if "max_capacity" not in fields:
        return base
    before: int | None = fields["max_capacity"].before
    bound = _NO_MAXIMUM if desired.max_capacity is None else desired.max_capacity
    most = [("max_capacity", {"maxCapacity": bound})]
    maximum_first = desired.max_capacity is None or (before is not None and desired.base_capacity > before)
    return [*most, *base] if maximum_first else [*base, *most]


def _parameters(document: Any) -> dict[str, str]:
    return {item["parameterKey"]: item["parameterValue"] for item in document.get("configParameters", [])}


def workgroup_subnets(cloud: Cloud) -> tuple[str, ...]:
    """The subnets of the VPC in zones that every service is in. Raises ENVIRONMENT where they are too few."""
    vpc = find_vpc(cloud)
    usable = replace(vpc, placed=tuple(each for each in vpc.placed if each.id in vpc.open_subnets))
    zones = _FEWER_ZONES.get(cloud.names.region, FEWEST_SUBNETS)
    subnets = at_least_zones(usable, zones, "Redshift Serverless")
    if len(subnets) < FEWEST_SUBNETS:
        raise TxnpipeError(
            f"Redshift Serverless wants {FEWEST_SUBNETS} subnets, and {vpc.id} offers {len(subnets)}.",
            "Name another in network.subnet_ids, or set warehouse.kind to provisioned.",
            ExitCode.ENVIRONMENT,
        )
    return subnets
