"""The loader's way to its secret: an interface endpoint of the VPC for Secrets Manager.

An endpoint with private DNS exists once per VPC and service, and every workload of the VPC uses it: so its
group lets the whole VPC in, and its policy is AWS's default. Where somebody else's is there it serves us as
well and stays his; ours is handed over at teardown when another pipeline of the VPC still needs it.

With `network.secrets_endpoint: existing` none is made. Then one must be there, or the loader's subnets must
have a route out.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import IPv4Network
from typing import Any

from txnpipe.errors import ExitCode, TxnpipeError
from txnpipe.names import TAG_PIPELINE
from txnpipe.resources.difference import KNOWN_AFTER_APPLY, REPLACES, Difference
from txnpipe.resources.endpoints import (
    SECRETS,
    Endpoint,
    create_endpoint,
    endpoints,
    heir_group,
    is_ours,
    secrets_endpoint,
    service_names,
    status_of,
)
from txnpipe.resources.network import HTTPS, SecurityGroup
from txnpipe.resources.resource import Cloud, Observed, resource_id, tags_of, wait_ready
from txnpipe.resources.routes import has_way_out, route_tables
from txnpipe.resources.vpc import Vpc, find_vpc

READY_TIMEOUT_S = 600.0
NOT_NEEDED = "not needed"
"""Status where no endpoint is there and none shall be made."""


@dataclass(frozen=True)
class EndpointState:
    """Where the endpoint is. A stranger's endpoint that serves us counts as it is."""

    vpc: str = field(metadata=REPLACES)
    private_dns: bool
    security_groups: Any


@dataclass(frozen=True)
class SecretsEndpoint:
    """The VPC's way to Secrets Manager."""

    cloud: Cloud
    name: str
    group: SecurityGroup
    kind: str = "vpc endpoint"
    inside: str | None = None

    @property
    def requires(self) -> tuple[str, ...]:
        """See Resource."""
        return (resource_id(self.group.kind, self.group.name),)

    @property
    def _makes(self) -> bool:
        return self.cloud.settings.network.secrets_endpoint == "create"

    def _find(self) -> Endpoint | None:
        found = secrets_endpoint(self.cloud)
        if found is not None and not self._makes and status_of(found) == "deleting":
            return None  # nothing will take its place, so nobody waits for it
        return found

    def desired(self) -> EndpointState:
        """See Resource. ENVIRONMENT where the loader could not reach its secret."""
        vpc, found = find_vpc(self.cloud), self._find()
        if found is None and not self._makes:
            _demand_way_out(self.cloud, vpc)
            return EndpointState(vpc.id, True, ())
        _demand_names(self.cloud, vpc)
        if found is not None and not is_ours(self.cloud, found):
            _demand_admission(self.cloud, vpc, found)
            return EndpointState(vpc.id, True, _groups(found))
        group = self.group.find()
        return EndpointState(vpc.id, True, (group["GroupId"],) if group else KNOWN_AFTER_APPLY)

    def read(self) -> Observed[EndpointState] | None:
        """See Resource."""
        endpoint = self._find()
        if endpoint is None:
            return None if self._makes else Observed(None, NOT_NEEDED, facts={"shared": True})
        status = status_of(endpoint)
        state = EndpointState(endpoint["VpcId"], bool(endpoint.get("PrivateDnsEnabled")), _groups(endpoint))
        return Observed(
            state,
            status,
            ready=status == "available",
            leaving=status == "deleting",
            facts={"id": endpoint["VpcEndpointId"], "shared": not is_ours(self.cloud, endpoint)},
        )

    def create(self, desired: EndpointState) -> None:
        """See Resource. One subnet is enough: the whole VPC reaches it, and it costs per zone."""
        vpc = find_vpc(self.cloud)
        request = {
            "VpcEndpointType": "Interface",
            "VpcId": vpc.id,
            "SubnetIds": list(vpc.open_subnets[:1]),
            "SecurityGroupIds": list(desired.security_groups),
            "PrivateDnsEnabled": True,
        }
        create_endpoint(self.cloud, SECRETS, request)

    def update(self, desired: EndpointState, differences: tuple[Difference, ...]) -> None:
        """See Resource. The endpoint serves meanwhile: it gets its new group before it loses the old."""
        endpoint = self._find()
        if endpoint is None or not is_ours(self.cloud, endpoint):
            return
        fields = {difference.field for difference in differences}
        if "private_dns" in fields:
            self.cloud.client("ec2").modify_vpc_endpoint(
                VpcEndpointId=endpoint["VpcEndpointId"], PrivateDnsEnabled=True
            )
            self.settle()
        if "security_groups" in fields:
            self._put_into(endpoint, desired.security_groups)

    def _put_into(self, endpoint: Endpoint, groups: tuple[str, ...]) -> None:
        """Puts the endpoint into these groups and no others."""
        before, after = set(_groups(endpoint)), set(groups)
        if before != after:
            self.cloud.client("ec2").modify_vpc_endpoint(
                VpcEndpointId=endpoint["VpcEndpointId"],
                AddSecurityGroupIds=sorted(after - before),
                RemoveSecurityGroupIds=sorted(before - after),
            )

    def settle(self) -> None:
        """See Resource."""
        wait_ready(self.cloud, self, READY_TIMEOUT_S)

    def delete(self) -> None:
        """See Resource. Hands the endpoint over where another pipeline of this VPC lives on."""
        ec2 = self.cloud.client("ec2")
        endpoint = secrets_endpoint(self.cloud)
        if endpoint is None or not is_ours(self.cloud, endpoint):
            return
        identifier = endpoint["VpcEndpointId"]
        leaving = status_of(endpoint) == "deleting"
        heir = None if leaving else heir_group(self.cloud, endpoint["VpcId"], HTTPS)
        if heir is None:
            if not leaving:
                ec2.delete_vpc_endpoints(VpcEndpointIds=[identifier])
            self.cloud.waiter.until(
                self,
                f"{self.kind} {self.name} to be gone",
                lambda: None if self._is_there(identifier) else True,
                READY_TIMEOUT_S,
            )
            return
        self._put_into(endpoint, (heir["GroupId"],))
        owner = tags_of(heir["Tags"])[TAG_PIPELINE]
        ec2.create_tags(Resources=[identifier], Tags=[{"Key": TAG_PIPELINE, "Value": owner}])

    def _is_there(self, identifier: str) -> bool:
        """Whether this endpoint is there. The VPC may have another, of somebody else's, meanwhile."""
        found = endpoints(self.cloud, SECRETS, "Interface")
        return any(endpoint["VpcEndpointId"] == identifier for endpoint in found)


def _groups(endpoint: Endpoint) -> tuple[str, ...]:
    return tuple(sorted(group["GroupId"] for group in endpoint.get("Groups", [])))


def _demand_names(cloud: Cloud, vpc: Vpc) -> None:
    """Private DNS names need both DNS attributes of the VPC (PrivateLink guide)."""
    ec2 = cloud.client("ec2")
    for attribute, flag in (
        ("EnableDnsSupport", "--enable-dns-support"),
        ("EnableDnsHostnames", "--enable-dns-hostnames"),
    ):
        name = attribute[0].lower() + attribute[1:]
        if not ec2.describe_vpc_attribute(VpcId=vpc.id, Attribute=name)[attribute]["Value"]:
            raise TxnpipeError(
                f"{vpc.id} has {name} off, and the endpoint's private DNS name needs it.",
                f"Turn it on with `aws ec2 modify-vpc-attribute --vpc-id {vpc.id} {flag}`.",
                ExitCode.ENVIRONMENT,
            )


def _demand_admission(cloud: Cloud, vpc: Vpc, endpoint: Endpoint) -> None:
    """A stranger's endpoint serves only if its groups let the loader's subnets in."""
    groups = list(_groups(endpoint))
    if not groups:
        return
    pages = cloud.client("ec2").get_paginator("describe_security_groups").paginate(GroupIds=groups)
    allowed = [
        permission
        for page in pages
        for group in page["SecurityGroups"]
        for permission in group["IpPermissions"]
        if permission["IpProtocol"] == "-1"
        or (permission["IpProtocol"] == "tcp" and permission["FromPort"] <= HTTPS <= permission["ToPort"])
    ]
    if any(permission.get("PrefixListIds") for permission in allowed):
        return  # what is in the lists is their owner's knowledge
    ranges = [IPv4Network(block["CidrIp"]) for item in allowed for block in item.get("IpRanges", [])]
    kept_out = [
        subnet.id
        for subnet in vpc.placed
        if subnet.id in vpc.open_subnets
        and not any(IPv4Network(subnet.cidr).subnet_of(block) for block in ranges)
    ]
    if kept_out:
        raise TxnpipeError(
            f"The endpoint {endpoint['VpcEndpointId']} for Secrets Manager serves all of {vpc.id}, and its "
            f"security groups ({', '.join(groups)}) keep out {', '.join(kept_out)}, where the loader is.",
            "Let the VPC in: `aws ec2 authorize-security-group-ingress --protocol tcp --port "
            f"{HTTPS} --group-id {groups[0]} --cidr {vpc.cidrs[0]}`.",
            ExitCode.ENVIRONMENT,
        )


def _demand_way_out(cloud: Cloud, vpc: Vpc) -> None:
    """Without an endpoint each of the loader's subnets needs a route out."""
    tables = route_tables(cloud, vpc.id, vpc.open_subnets)
    closed = [subnet for subnet, table in tables.items() if not has_way_out(table)]
    if closed:
        raise TxnpipeError(
            f"The loader could not read its secret: {vpc.id} has no interface endpoint for Secrets Manager "
            f"with a private DNS name, and {', '.join(closed)} no route out by a NAT or transit gateway.",
            "Set network.secrets_endpoint to create, or make one: `aws ec2 create-vpc-endpoint "
            f"--vpc-endpoint-type Interface --vpc-id {vpc.id} --private-dns-enabled "
            f"--service-name {service_names(cloud, SECRETS)[0]} --subnet-ids {vpc.open_subnets[0]} "
            f"--security-group-ids GROUP`, where GROUP lets {', '.join(vpc.cidrs)} in at port {HTTPS}.",
            ExitCode.ENVIRONMENT,
        )
