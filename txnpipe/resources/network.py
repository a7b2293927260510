"""What the loader needs to reach a warehouse that is not public.

The warehouse lives in a VPC and is not public, so the loader runs in that VPC too (`vpc`). Three security
groups keep them to what they do:

    loader     nobody comes in; out: the warehouse's port and HTTPS, to the VPC's own addresses
    warehouse  in: its port, from the loader's group; out: nothing
    endpoint   in: HTTPS from the VPC, which shares the endpoint's private DNS name; out: nothing

Answers need no rule (groups are stateful), and no rule keeps anybody from Amazon's name server (VPC user
guide: groups do not filter traffic to and from Amazon DNS); name servers of the VPC's own are let through.
Redshift talks to other services outside the VPC unless enhanced VPC routing is on. The loader's group lets it
reach addresses, not groups: of two groups that name each other neither could be deleted first.

An interface endpoint (`secrets_endpoint`) lets the loader read its secret, because a function inside a VPC
has no other way to Secrets Manager, unless the subnets have a route out.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from txnpipe.resources.difference import KNOWN_AFTER_APPLY, Difference
from txnpipe.resources.endpoints import serves_secrets
from txnpipe.resources.refusals import coded, once_accepted
from txnpipe.resources.resource import Cloud, Observed, id_of, tags_of, wait_ready
from txnpipe.resources.routes import EVERYWHERE
from txnpipe.resources.security_group import Rules, SecurityGroup
from txnpipe.resources.vpc import find_vpc

__all__ = ["SecurityGroup", "SubnetGroup", "endpoint_group", "loader_group", "placement", "warehouse_group"]

HTTPS = 443
DNS = 53
READY_TIMEOUT_S = 600.0


def loader_group(cloud: Cloud, role: str) -> SecurityGroup:
    """The loader's group. `role`: id of its execution role, by which Lambda removes network interfaces."""

    def egress() -> Rules:
        vpc = find_vpc(cloud)
        inside = ", ".join(vpc.cidrs)
        https = inside if serves_secrets(cloud) else EVERYWHERE
        servers = ", ".join(f"{server}/32" for server in vpc.name_servers)
        names = {f"{protocol} {DNS}": servers for protocol in ("tcp", "udp") if servers}
        return {f"tcp {cloud.settings.warehouse.port}": inside, f"tcp {HTTPS}": https} | names

    return SecurityGroup(cloud, cloud.names.loader, dict, egress, (role,))


def warehouse_group(cloud: Cloud, loader: SecurityGroup) -> SecurityGroup:
    """The warehouse's group."""

    def ingress() -> Rules:
        found = loader.find()
        return {f"tcp {cloud.settings.warehouse.port}": found["GroupId"] if found else KNOWN_AFTER_APPLY}

    return SecurityGroup(cloud, cloud.names.cluster, ingress, dict, (id_of(loader),))


def endpoint_group(cloud: Cloud) -> SecurityGroup:
    """The endpoint's group. It is made wherever the pipeline is: another may hand its endpoint over."""
    return SecurityGroup(
        cloud,
        cloud.names.endpoint_group,
        lambda: {f"tcp {HTTPS}": ", ".join(find_vpc(cloud).cidrs)},
        dict,
    )


@dataclass(frozen=True)
class SubnetGroupState:
    """The subnets a cluster may be placed in."""

    subnets: tuple[str, ...]


@dataclass(frozen=True)
class SubnetGroup:
    """The Redshift subnet group."""

    cloud: Cloud
    name: str
    kind: str = "subnet group"
    requires: tuple[str, ...] = ()
    inside: str | None = None

    def desired(self) -> SubnetGroupState:
        """See Resource."""
        return SubnetGroupState(find_vpc(self.cloud).subnets)

    def read(self) -> Observed[SubnetGroupState] | None:
        """See Resource."""
        redshift = self.cloud.client("redshift")
        try:
            groups = redshift.describe_cluster_subnet_groups(ClusterSubnetGroupName=self.name)
        except redshift.exceptions.ClusterSubnetGroupNotFoundFault:
            return None
        group = groups["ClusterSubnetGroups"][0]
        self.cloud.assert_ours(self.kind, self.name, tags_of(group.get("Tags", [])))
        subnets = tuple(sorted(subnet["SubnetIdentifier"] for subnet in group["Subnets"]))
        return Observed(SubnetGroupState(subnets), group.get("SubnetGroupStatus") or "available")

    def create(self, desired: SubnetGroupState) -> None:
        """See Resource."""
        redshift = self.cloud.client("redshift")
        with suppress(redshift.exceptions.ClusterSubnetGroupAlreadyExistsFault):
            redshift.create_cluster_subnet_group(
                ClusterSubnetGroupName=self.name,
                Description=f"Pipeline {self.cloud.names.pipeline} of txnpipe",
                SubnetIds=list(desired.subnets),
                Tags=self.cloud.tag_list,
            )

    def update(self, desired: SubnetGroupState, differences: tuple[Difference, ...]) -> None:
        """See Resource."""
        self.cloud.client("redshift").modify_cluster_subnet_group(
            ClusterSubnetGroupName=self.name, SubnetIds=list(desired.subnets)
        )

    def settle(self) -> None:
        """See Resource."""
        wait_ready(self.cloud, self, READY_TIMEOUT_S)

    def delete(self) -> None:
        """See Resource."""
        redshift = self.cloud.client("redshift")
        with suppress(redshift.exceptions.ClusterSubnetGroupNotFoundFault):
            once_accepted(
                self.cloud,
                self,
                lambda: redshift.delete_cluster_subnet_group(ClusterSubnetGroupName=self.name),
                coded("InvalidClusterSubnetGroupStateFault", "InvalidClusterSubnetStateFault"),
                what=f"Redshift to let go of the subnet group {self.name}",
                timeout_s=READY_TIMEOUT_S,
            )


def placement(cloud: Cloud, group: SecurityGroup) -> tuple[Any, Any]:
    """Subnets and security groups of a function in the VPC: two sorted tuples of ids.

    The groups are KNOWN_AFTER_APPLY until the group exists.
    """
    found = group.find()
    return find_vpc(cloud).open_subnets, (found["GroupId"],) if found else KNOWN_AFTER_APPLY
