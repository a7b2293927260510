"""What the loader needs to reach a warehouse that is not public.

Redshift clusters live in a VPC and are not public, so the loader runs in that VPC too: the default one of the
region. One security group holds both (the warehouse's port inside the group, HTTPS from the VPC for the
endpoint), one Redshift subnet group spans the default subnets, and an interface endpoint (`secrets_endpoint`)
lets the loader read its secret, because a function inside a VPC has no other way to Secrets Manager.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from txnpipe.aws import error_code
from txnpipe.resources.difference import ABSENT, KNOWN_AFTER_APPLY, REPLACES, Difference
from txnpipe.resources.refusals import coded, once_accepted
from txnpipe.resources.resource import Cloud, Observed, tags_of, wait_ready
from txnpipe.resources.vpc import find_vpc

HTTPS = 443
READY_TIMEOUT_S = 600.0
EC2_TIMEOUT_S = 60.0
"""EC2 is eventually consistent: a new group may be unknown to the next call."""
INTERFACES_TIMEOUT_S = 2700.0
"""Lambda lets go of a deleted function's network interfaces only after many minutes, and until then the
security group cannot be deleted."""


@dataclass(frozen=True)
class SecurityGroupState:
    """`ingress` maps "tcp PORT" to who may come in: "self", CIDRs, groups, prefix lists, with commas."""

    vpc: str = field(metadata=REPLACES)
    ingress: dict[str, str]


@dataclass(frozen=True)
class SecurityGroup:
    """The one security group of warehouse, loader and endpoint."""

    cloud: Cloud
    name: str
    kind: str = "security group"
    requires: tuple[str, ...] = ()
    inside: str | None = None

    def desired(self) -> SecurityGroupState:
        """See Resource."""
        vpc = find_vpc(self.cloud)
        port = self.cloud.settings.warehouse.port
        return SecurityGroupState(vpc.id, {f"tcp {port}": "self", f"tcp {HTTPS}": ", ".join(vpc.cidrs)})

    def find(self) -> dict[str, Any] | None:
        """The group as EC2 describes it, or None."""
        groups = self.cloud.client("ec2").describe_security_groups(
            Filters=[{"Name": "group-name", "Values": [self.name]}]
        )["SecurityGroups"]
        for group in groups:
            self.cloud.assert_ours(self.kind, self.name, tags_of(group.get("Tags", [])))
        return groups[0] if groups else None

    def read(self) -> Observed[SecurityGroupState] | None:
        """See Resource."""
        group = self.find()
        if group is None:
            return None
        ingress = {
            _rule(permission): ", ".join(_sources(permission, group["GroupId"]))
            for permission in group["IpPermissions"]
        }
        return Observed(
            SecurityGroupState(group["VpcId"], ingress), "available", facts={"id": group["GroupId"]}
        )

    def create(self, desired: SecurityGroupState) -> None:
        """See Resource."""
        ec2 = self.cloud.client("ec2")
        tags = [{"ResourceType": "security-group", "Tags": self.cloud.tag_list}]
        # Duplicate: made meanwhile, or by a call whose answer was lost; `settle` reads whose it is.
        _unless(
            "InvalidGroup.Duplicate",
            lambda: ec2.create_security_group(
                GroupName=self.name,
                Description=f"Pipeline {self.cloud.names.pipeline} of txnpipe",
                VpcId=desired.vpc,
                TagSpecifications=tags,
            ),
        )
        self.settle()
        for rule, source in desired.ingress.items():
            self._change("authorize_security_group_ingress", rule, source)

    def update(self, desired: SecurityGroupState, differences: tuple[Difference, ...]) -> None:
        """See Resource."""
        for difference in differences:
            rule = difference.field.removeprefix("ingress.")
            if difference.before is not ABSENT:
                self._change("revoke_security_group_ingress", rule, difference.before)
            if difference.after is not ABSENT:
                self._change("authorize_security_group_ingress", rule, difference.after)

    def _change(self, operation: str, rule: str, sources: str) -> None:
        """What is open, or closed, already is fine: an answer may have been lost."""

        def call() -> None:
            group = self.cloud.waiter.until(
                self, f"EC2 to know the group {self.name}", self.find, EC2_TIMEOUT_S
            )
            getattr(self.cloud.client("ec2"), operation)(
                GroupId=group["GroupId"], IpPermissions=[_permission(rule, sources, group["GroupId"])]
            )

        done = "NotFound" if operation.startswith("revoke") else "Duplicate"
        once_accepted(
            self.cloud,
            self,
            lambda: _unless(f"InvalidPermission.{done}", call),
            coded("InvalidGroup.NotFound"),
            what=f"EC2 to know the group {self.name}",
            timeout_s=EC2_TIMEOUT_S,
        )

    def settle(self) -> None:
        """See Resource."""
        wait_ready(self.cloud, self, READY_TIMEOUT_S)

    def delete(self) -> None:
        """See Resource. Waits for the loader's network interfaces to go."""
        ec2 = self.cloud.client("ec2")

        def deleted() -> bool | None:
            group = self.find()
            if group is None:
                return True
            try:
                ec2.delete_security_group(GroupId=group["GroupId"])
            except ec2.exceptions.ClientError as error:
                if error_code(error) == "InvalidGroup.NotFound":
                    return True
                if error_code(error) in {"DependencyViolation", "InvalidGroup.InUse"}:
                    return None
                raise
            return True

        self.cloud.waiter.until(
            self,
            f"Lambda to let go of the network interfaces in {self.name}",
            deleted,
            INTERFACES_TIMEOUT_S,
            interval_s=15,
        )


def _rule(permission: Mapping[str, Any]) -> str:
    """ "tcp 5439", "tcp 5439:5500", "icmp 8:-1", "-1 all" """
    first, last = permission.get("FromPort"), permission.get("ToPort")
    ports = "all" if first is None else str(first) if first == last else f"{first}:{last}"
    return f"{permission['IpProtocol']} {ports}"


def _sources(permission: Mapping[str, Any], own_group: str) -> list[str]:
    return [
        *(
            "self" if pair["GroupId"] == own_group else pair["GroupId"]
            for pair in permission.get("UserIdGroupPairs", [])
        ),
        *(block["CidrIp"] for block in permission.get("IpRanges", [])),
        *(block["CidrIpv6"] for block in permission.get("Ipv6Ranges", [])),
        *(prefixes["PrefixListId"] for prefixes in permission.get("PrefixListIds", [])),
    ]


def _permission(rule: str, sources: str, own_group: str) -> dict[str, Any]:
    """The inverse of the two above."""
    protocol, ports = rule.split(" ")
    permission: dict[str, Any] = {"IpProtocol": protocol}
    if ports != "all":
        first, _, last = ports.partition(":")
        permission |= {"FromPort": int(first), "ToPort": int(last or first)}
    for source in sources.split(", "):
        if source.startswith("pl-"):
            permission.setdefault("PrefixListIds", []).append({"PrefixListId": source})
        elif ":" in source:
            permission.setdefault("Ipv6Ranges", []).append({"CidrIpv6": source})
        elif "." in source:
            permission.setdefault("IpRanges", []).append({"CidrIp": source})
        else:
            group = own_group if source == "self" else source
            permission.setdefault("UserIdGroupPairs", []).append({"GroupId": group})
    return permission


def _unless(code: str, call: Callable[[], Any]) -> None:
    """Makes a call; a refusal with this error code says that there is nothing left to do."""
    try:
        call()
    except Exception as error:
        if error_code(error) != code:
            raise


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
