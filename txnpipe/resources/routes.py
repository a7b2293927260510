"""The route tables of a VPC: which one a subnet uses, and where it leads. Only reads."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from ipaddress import IPv4Network
from typing import Any

from txnpipe.resources.resource import Cloud

EVERYWHERE = str(IPv4Network((0, 0)))
"""The range of all IPv4 addresses, as EC2 writes it."""

RouteTable = Mapping[str, Any]
"""As EC2 describes it."""


def route_tables(cloud: Cloud, vpc: str, subnets: Iterable[str]) -> dict[str, RouteTable]:
    """Subnet → its route table: the one it is associated with, or else the VPC's main one."""
    tables = cloud.once(f"route tables of {vpc}", lambda: _describe(cloud, vpc))
    own: dict[str, RouteTable] = {}
    main: RouteTable = {"RouteTableId": "", "Routes": []}
    for table in tables:
        for association in table.get("Associations", []):
            if association.get("SubnetId"):
                own[association["SubnetId"]] = table
            elif association.get("Main"):
                main = table
    return {subnet: own.get(subnet, main) for subnet in subnets}


def _describe(cloud: Cloud, vpc: str) -> list[RouteTable]:
    pages = cloud.client("ec2").get_paginator("describe_route_tables")
    filters = [{"Name": "vpc-id", "Values": [vpc]}]
    return [table for page in pages.paginate(Filters=filters) for table in page["RouteTables"]]


def is_public(table: RouteTable) -> bool:
    """Whether its subnets are public: a route leads to an internet gateway (VPC user guide)."""
    return any(str(route.get("GatewayId", "")).startswith("igw-") for route in table["Routes"])


def has_way_out(table: RouteTable) -> bool:
    """Whether a function's packets get from here to the public addresses of AWS.

    That is a default route, not a black hole, to whatever translates or carries on (NAT gateway or instance,
    transit gateway, firewall endpoint, virtual private gateway). An internet gateway is none: a function in a
    VPC has no public address (Lambda guide, "Internet access for VPC-connected functions").
    """
    return any(
        route.get("DestinationCidrBlock") == EVERYWHERE
        and route.get("State", "active") == "active"
        and not str(route.get("GatewayId", "")).startswith("igw-")
        for route in table["Routes"]
    )
