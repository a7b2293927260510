"""Where warehouse and loader would be placed: the VPC, its zones and its DNS, and the kind of node."""

from __future__ import annotations

from txnpipe.aws import translated
from txnpipe.checks import Verdict, failed, ok, warning
from txnpipe.errors import ExitCode
from txnpipe.resources.network import find_vpc
from txnpipe.resources.resource import Cloud

ZONES = 2
"""Subnets in one zone alone leave nothing when that zone fails. Redshift places a cluster in one of them."""

_TURN_ON = {"enableDnsSupport": "--enable-dns-support", "enableDnsHostnames": "--enable-dns-hostnames"}


def check_vpc(cloud: Cloud) -> Verdict:
    """Whether there is a VPC with subnets in enough zones. Raises as `find_vpc` does."""
    with translated("look at", "the VPC"):
        vpc = find_vpc(cloud)
        described = cloud.client("ec2").describe_subnets(SubnetIds=list(vpc.open_subnets))["Subnets"]
    if not vpc.open_subnets:
        return failed(
            f"{vpc.id} has no default subnet.",
            "Make one in each zone: aws ec2 create-default-subnet --availability-zone …",
            ExitCode.ENVIRONMENT,
        )
    zones = sorted({subnet["AvailabilityZone"] for subnet in described})
    found = f"{vpc.id} has {len(vpc.open_subnets)} subnets in {', '.join(zones)}"
    if len(zones) < ZONES:
        return warning(f"{found}: one zone alone.", "Make a subnet in another zone.")
    return ok(f"{found}.")


def check_dns(cloud: Cloud) -> Verdict:
    """Whether names of interface endpoints are known inside the VPC: both attributes must be on.

    Source: AWS PrivateLink guide, "Private DNS".
    """
    ec2 = cloud.client("ec2")
    with translated("look at", "the VPC's DNS"):
        vpc = find_vpc(cloud).id
        support = ec2.describe_vpc_attribute(VpcId=vpc, Attribute="enableDnsSupport")["EnableDnsSupport"]
        names = ec2.describe_vpc_attribute(VpcId=vpc, Attribute="enableDnsHostnames")["EnableDnsHostnames"]
    off = [
        name
        for name, attribute in (("enableDnsSupport", support), ("enableDnsHostnames", names))
        if not attribute["Value"]
    ]
    if off:
        flags = " and ".join(f"aws ec2 modify-vpc-attribute --vpc-id {vpc} {_TURN_ON[name]}" for name in off)
        return failed(
            f"{' and '.join(off)} of {vpc} is off, and the loader finds Secrets Manager by its private name.",
            f"Turn it on: {flags}.",
            ExitCode.ENVIRONMENT,
        )
    return ok(f"{vpc} resolves private names.")


def check_node_type(cloud: Cloud) -> Verdict:
    """Whether Redshift offers the node type here, with that many nodes."""
    settings, region = cloud.settings.warehouse, cloud.names.region
    wanted = "single-node" if settings.nodes == 1 else "multi-node"
    with translated("ask for", "Redshift's node types"):
        pages = cloud.client("redshift").get_paginator("describe_orderable_cluster_options").paginate()
        options = [option for page in pages for option in page["OrderableClusterOptions"]]
    ours = {option["ClusterType"] for option in options if option["NodeType"] == settings.node_type}
    if not ours:
        offered = ", ".join(sorted({option["NodeType"] for option in options})) or "none"
        return failed(
            f"Redshift offers no {settings.node_type} in {region}.",
            f"Set warehouse.node_type to one of: {offered}.",
            ExitCode.USAGE,
        )
    if wanted not in ours:
        return failed(
            f"Redshift offers {settings.node_type} in {region} only as {', '.join(sorted(ours))}.",
            "Change warehouse.nodes, or choose another warehouse.node_type.",
            ExitCode.USAGE,
        )
    return ok(f"Redshift offers {settings.nodes:,} × {settings.node_type} in {region}.")
