"""Renders what lies between the loader and the warehouse: security groups, subnet group, endpoints."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from txnpipe.export.pieces import Context, Piece
from txnpipe.export.symbols import REGION, SUBNETS, VPC, element, symbol
from txnpipe.resources.network import SubnetGroup, SubnetGroupState
from txnpipe.resources.s3_gateway import S3Gateway, S3GatewayState
from txnpipe.resources.secrets_endpoint import EndpointState, SecretsEndpoint
from txnpipe.resources.security_group import Rules, SecurityGroup, SecurityGroupState

NOTHING = {
    "IpProtocol": "icmp",
    "FromPort": 252,
    "ToPort": 86,
    "CidrIp": "255.255.255.255/32",
    "Description": "Nothing goes out",
}
"""A rule that no packet matches. CloudFormation lets a group without a rule reach everything (as AWS CDK
does it, aws-ec2/lib/security-group.ts)."""


def security_group(resource: SecurityGroup, state: SecurityGroupState, context: Context) -> list[Piece]:
    """AWS::EC2::SecurityGroup."""
    properties: dict[str, Any] = {
        "GroupName": resource.name,
        "GroupDescription": context.description,
        "VpcId": state.vpc,
        "SecurityGroupIngress": list(_rules(state.ingress, "Source")),
        "SecurityGroupEgress": list(_rules(state.egress, "Destination")) or [NOTHING],
        "Tags": context.tag_list,
    }
    return [Piece("AWS::EC2::SecurityGroup", {key: value for key, value in properties.items() if value})]


def _rules(rules: Rules, side: str) -> Iterator[dict[str, Any]]:
    """Rules as CloudFormation writes them: "tcp 443" and who, with commas."""
    for rule, sources in rules.items():
        protocol, port = rule.split(" ")
        for source in sources.split(", "):
            who = f"{side}SecurityGroupId" if source.endswith(".GroupId}") else "CidrIp"
            yield {"IpProtocol": protocol, "FromPort": int(port), "ToPort": int(port), who: source}


def subnet_group(_: SubnetGroup, state: SubnetGroupState, context: Context) -> list[Piece]:
    """AWS::Redshift::ClusterSubnetGroup; CloudFormation chooses its name."""
    properties = {
        "Description": context.description,
        "SubnetIds": state.subnets,
        "Tags": context.tag_list,
    }
    return [Piece("AWS::Redshift::ClusterSubnetGroup", properties)]


def vpc_endpoint(resource: SecretsEndpoint, state: EndpointState, context: Context) -> list[Piece]:
    """AWS::EC2::VPCEndpoint in one subnet, as txnpipe makes it; nothing where an existing way is demanded."""
    if resource.cloud.settings.network.secrets_endpoint == "existing":
        return []
    properties = {
        "VpcEndpointType": "Interface",
        "VpcId": state.vpc,
        "ServiceName": f"com.amazonaws.{REGION}.secretsmanager",
        "SubnetIds": [element(SUBNETS, 0)],
        "SecurityGroupIds": state.security_groups,
        "PrivateDnsEnabled": state.private_dns,
        "Tags": context.tag_list,
    }
    return [Piece("AWS::EC2::VPCEndpoint", properties)]


def s3_gateway(_: S3Gateway, state: S3GatewayState, context: Context) -> list[Piece]:
    """AWS::EC2::VPCEndpoint in the route tables; nothing where none is wanted."""
    properties = {
        "VpcEndpointType": "Gateway",
        "VpcId": symbol(VPC),
        "ServiceName": f"com.amazonaws.{REGION}.s3",
        "RouteTableIds": state.route_tables,
        "Tags": context.tag_list,
    }
    return [Piece("AWS::EC2::VPCEndpoint", properties)] if state.route_tables else []
