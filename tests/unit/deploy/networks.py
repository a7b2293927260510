"""VPCs of the account in memory, and what a pipeline made in them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from tests.unit.deploy.places import REGION
from tests.unit.deploy.remote import Remote, settings_of
from txnpipe.errors import TxnpipeError
from txnpipe.resources.vpc import Vpc, find_vpc

DEFAULT = settings_of()
SECRETS = f"com.amazonaws.{REGION}.secretsmanager"
EVERYWHERE = "0.0.0.0/0"


class Network:
    """A VPC that is not the default one, and what is put into it."""

    def __init__(self, remote: Remote, *, dns: bool = True) -> None:
        self.ec2 = remote.target.client("ec2")
        self.id = self.ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
        self.ec2.modify_vpc_attribute(VpcId=self.id, EnableDnsHostnames={"Value": dns})
        self._subnets = 0

    def subnet(self, zone: str, *, public: bool = False) -> str:
        """A subnet in a zone ("use1-az1"). A public one has a route to an internet gateway."""
        self._subnets += 1
        made = self.ec2.create_subnet(
            VpcId=self.id, CidrBlock=f"10.0.{self._subnets}.0/24", AvailabilityZoneId=zone
        )
        identifier: str = made["Subnet"]["SubnetId"]
        if public:
            gateway = self.ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
            self.ec2.attach_internet_gateway(InternetGatewayId=gateway, VpcId=self.id)
            self.route(identifier, GatewayId=gateway)
        return identifier

    def route(self, subnet: str, **target: str) -> str:
        """Gives a subnet a route table of its own whose default route leads to `target`."""
        table: str = self.ec2.create_route_table(VpcId=self.id)["RouteTable"]["RouteTableId"]
        self.ec2.associate_route_table(RouteTableId=table, SubnetId=subnet)
        if target:
            self.ec2.create_route(RouteTableId=table, DestinationCidrBlock=EVERYWHERE, **target)
        return table

    def nat_route(self, subnet: str) -> str:
        """The same, to a NAT gateway."""
        nat = self.ec2.create_nat_gateway(SubnetId=subnet, ConnectivityType="private")["NatGateway"]
        return self.route(subnet, NatGatewayId=nat["NatGatewayId"])

    def security_group(self, name: str, *permissions: dict[str, Any]) -> str:
        """A stranger's group."""
        made = self.ec2.create_security_group(GroupName=name, Description="x", VpcId=self.id)
        for permission in permissions:
            self.ec2.authorize_security_group_ingress(GroupId=made["GroupId"], IpPermissions=[permission])
        identifier: str = made["GroupId"]
        return identifier

    def endpoint(self, groups: Sequence[str] = (), *, private_dns: bool = True) -> str:
        """A stranger's interface endpoint for Secrets Manager."""
        made = self.ec2.create_vpc_endpoint(
            VpcEndpointType="Interface",
            VpcId=self.id,
            ServiceName=SECRETS,
            PrivateDnsEnabled=private_dns,
            SecurityGroupIds=list(groups),
        )
        identifier: str = made["VpcEndpoint"]["VpcEndpointId"]
        return identifier

    def settings(self, **network: Any) -> Any:
        """Settings that name this VPC."""
        return settings_of(network={"vpc_id": self.id} | network)


def refused(remote: Remote, settings: Any) -> TxnpipeError:
    """Why a plan is refused; it must have changed nothing."""
    before = len(remote.recorder.changes)
    with pytest.raises(TxnpipeError) as caught:
        remote.plan(settings)
    assert remote.recorder.changes[before:] == []
    return caught.value


def vpc_of(remote: Remote, settings: Any) -> Vpc:
    return find_vpc(remote.graph(settings).cloud)


def rules(remote: Remote, name: str, direction: str = "IpPermissions") -> dict[int | None, list[str]]:
    """Port → who, of our group of that name."""
    found = remote.target.client("ec2").describe_security_groups(
        Filters=[
            {"Name": "group-name", "Values": [name]},
            {"Name": "tag-key", "Values": ["txnpipe:pipeline"]},
        ]
    )["SecurityGroups"]
    return {
        rule.get("FromPort"): [pair["GroupId"] for pair in rule["UserIdGroupPairs"]]
        + [block["CidrIp"] for block in rule["IpRanges"]]
        for rule in found[0][direction]
    }


def group_id(remote: Remote, name: str) -> str:
    found: str = remote.target.client("ec2").describe_security_groups(
        Filters=[{"Name": "group-name", "Values": [name]}]
    )["SecurityGroups"][0]["GroupId"]
    return found
