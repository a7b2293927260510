"""The VPC that everything is placed in, and its subnets with their zones. Only reads.

Without `network.vpc_id` it is the region's default VPC, and without `network.subnet_ids` its default subnets.
In a VPC that was named, the subnets are its private ones, one a zone; where a zone has several, nobody here
guesses which is meant.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from txnpipe.errors import ExitCode, TxnpipeError, usage_error
from txnpipe.resources.resource import Cloud
from txnpipe.resources.routes import is_public, route_tables

_CONSTRAINED_ZONES = {"apne1-az3", "cac1-az3", "use1-az3", "usw1-az2"}
"""The oldest zones, which many services keep out of; us-east-1 gives one to everybody. Lambda refuses a
function with a subnet there: "The provided subnets contain availability zone Lambda doesn't support"."""
_AVAILABILITY_ZONE = re.compile(r"[a-z0-9]+-az\d+")
""" "use1-az1". Local and Wavelength Zones have a place between, as in "use1-bos1-az1" (EC2 user guide)."""


@dataclass(frozen=True)
class Subnet:
    """One subnet. `zone` is a name, another place in every account; `zone_id` is the place itself."""

    id: str
    zone: str
    zone_id: str
    cidr: str


@dataclass(frozen=True)
class Vpc:
    """The VPC.

    cidrs: all its IPv4 ranges, sorted. placed: the subnets that are used, sorted by id. name_servers: IPv4
    addresses of those that are asked instead of Amazon's own; mostly there are none.
    """

    id: str
    cidrs: tuple[str, ...]
    placed: tuple[Subnet, ...]
    name_servers: tuple[str, ...] = ()

    @property
    def subnets(self) -> tuple[str, ...]:
        """Ids of all subnets that are used."""
        return tuple(subnet.id for subnet in self.placed)

    @property
    def open_subnets(self) -> tuple[str, ...]:
        """Ids of those in zones that every service is in; all of them where there is none."""
        everywhere = tuple(subnet.id for subnet in self.placed if subnet.zone_id not in _CONSTRAINED_ZONES)
        return everywhere or self.subnets

    @property
    def zones(self) -> tuple[str, ...]:
        """Ids of the zones of all subnets that are used, sorted, each once."""
        return tuple(sorted({subnet.zone_id for subnet in self.placed}))


def at_least_zones(vpc: Vpc, number: int, what: str) -> tuple[str, ...]:
    """The subnets of `vpc` if they lie in so many zones. `what` wants them ("Redshift Serverless").

    Raises ENVIRONMENT, naming the zones there are.
    """
    if len(vpc.zones) < number:
        raise TxnpipeError(
            f"{what} wants subnets in {number} zones, and those of {vpc.id} lie in "
            f"{len(vpc.zones)}: {', '.join(vpc.zones)}.",
            f"Make one more with `aws ec2 create-subnet --vpc-id {vpc.id} --availability-zone-id … "
            "--cidr-block …`, or name others in network.subnet_ids.",
            ExitCode.ENVIRONMENT,
        )
    return vpc.subnets


def find_vpc(cloud: Cloud) -> Vpc:
    """The VPC and subnets that the settings name or mean.

    Raises USAGE where a setting names what is not there or cannot be used, ENVIRONMENT where there is no
    default VPC or no subnet to use.
    """
    return cloud.once("vpc", lambda: _find_vpc(cloud))


def vpc_id(cloud: Cloud) -> str | None:
    """The id alone, or None where there is no such VPC. For reads, which work whatever the settings say."""
    found = cloud.once("vpc as described", lambda: _describe(cloud))
    return found["VpcId"] if found else None


def _describe(cloud: Cloud) -> dict[str, Any] | None:
    wanted = cloud.settings.network.vpc_id
    filters = {"Name": "vpc-id", "Values": [wanted]} if wanted else {"Name": "isDefault", "Values": ["true"]}
    found = cloud.client("ec2").describe_vpcs(Filters=[filters])["Vpcs"]
    return found[0] if found else None


def _find_vpc(cloud: Cloud) -> Vpc:
    settings, region = cloud.settings.network, cloud.names.region
    found = cloud.once("vpc as described", lambda: _describe(cloud))
    if found is None and settings.vpc_id:
        raise usage_error(
            f"network.vpc_id names {settings.vpc_id}, and {region} has no such VPC.",
            "Look for its id with `aws ec2 describe-vpcs`; leave it out for the region's default VPC.",
        )
    if found is None:
        raise TxnpipeError(
            f"The account has no default VPC in {region}, and the warehouse must live in one.",
            "Create it with `aws ec2 create-default-vpc`, or name another in network.vpc_id, then run the "
            "same command again.",
            ExitCode.ENVIRONMENT,
        )
    associations = found.get("CidrBlockAssociationSet", [])
    cidrs = {found["CidrBlock"]} | {
        item["CidrBlock"]
        for item in associations
        if item.get("CidrBlockState", {}).get("State") in {None, "associating", "associated"}
    }
    if settings.subnet_ids is not None:
        subnets = _named(cloud, found["VpcId"], settings.subnet_ids)
    elif settings.vpc_id:
        subnets = _private(cloud, found["VpcId"])
    else:
        subnets = _default(cloud, found["VpcId"])
    placed = sorted((_subnet(item) for item in subnets), key=lambda subnet: subnet.id)
    return Vpc(found["VpcId"], tuple(sorted(cidrs)), tuple(placed), _name_servers(cloud, found))


def _name_servers(cloud: Cloud, described: Mapping[str, Any]) -> tuple[str, ...]:
    """Addresses of the name servers that the VPC's DHCP options name, other than AmazonProvidedDNS."""
    options = described.get("DhcpOptionsId", "default")
    if options == "default":  # none: Amazon's own
        return ()
    answer = cloud.client("ec2").describe_dhcp_options(DhcpOptionsIds=[options])
    named = [
        value["Value"]
        for item in answer["DhcpOptions"]
        for configuration in item["DhcpConfigurations"]
        if configuration["Key"] == "domain-name-servers"
        for value in configuration["Values"]
    ]
    return tuple(sorted(name for name in named if name.replace(".", "").isdigit()))


def _subnet(described: Mapping[str, Any]) -> Subnet:
    return Subnet(
        described["SubnetId"],
        described["AvailabilityZone"],
        described.get("AvailabilityZoneId", ""),
        described.get("CidrBlock", ""),
    )


def _named(cloud: Cloud, vpc: str, wanted: tuple[str, ...]) -> list[dict[str, Any]]:
    """The subnets that the settings name; each must be there, in the VPC, and in a zone that Lambda is in."""
    found = {
        item["SubnetId"]: item for item in _subnets(cloud, {"Name": "subnet-id", "Values": list(wanted)})
    }
    for identifier in wanted:
        if identifier not in found:
            raise usage_error(
                f"network.subnet_ids names {identifier}, and {cloud.names.region} has no such subnet.",
                f"Look for its id with `aws ec2 describe-subnets --filters Name=vpc-id,Values={vpc}`.",
            )
        subnet = found[identifier]
        if subnet["VpcId"] != vpc:
            raise usage_error(
                f"The subnet {identifier} is in {subnet['VpcId']}, not in {vpc}.",
                f"Set network.vpc_id to {subnet['VpcId']}, or name subnets of {vpc} in network.subnet_ids.",
            )
        if not _serves(subnet):
            raise usage_error(
                f"The subnet {identifier} is in the zone {subnet['AvailabilityZoneId']}, where Lambda has no "
                "functions."
                if not subnet.get("Ipv6Native")
                else f"The subnet {identifier} has no IPv4 addresses, and Redshift needs them.",
                "Leave it out of network.subnet_ids and name one of another zone.",
            )
    return list(found.values())


def _private(cloud: Cloud, vpc: str) -> list[dict[str, Any]]:
    """The private subnets of a VPC, one a zone: those whose route table has no way to an internet gateway."""
    candidates = [item for item in _subnets(cloud, _of_vpc(vpc)) if _serves(item)]
    tables = route_tables(cloud, vpc, [item["SubnetId"] for item in candidates])
    by_zone: dict[str, list[dict[str, Any]]] = {}
    for item in candidates:
        if not is_public(tables[item["SubnetId"]]):
            by_zone.setdefault(item["AvailabilityZoneId"], []).append(item)
    if not by_zone:
        raise TxnpipeError(
            f"{vpc} has no private subnet in a zone that Lambda is in: "
            "each has a route to an internet gateway.",
            "Name the subnets to use in network.subnet_ids, or make private ones.",
            ExitCode.ENVIRONMENT,
        )
    for zone, items in sorted(by_zone.items()):
        if len(items) > 1:
            several = ", ".join(sorted(item["SubnetId"] for item in items))
            raise usage_error(
                f"{vpc} has several private subnets in the zone {zone}: {several}.",
                "Name the subnets to use in network.subnet_ids, one a zone.",
            )
    return [items[0] for items in by_zone.values()]


def _default(cloud: Cloud, vpc: str) -> list[dict[str, Any]]:
    found = _subnets(cloud, _of_vpc(vpc), {"Name": "default-for-az", "Values": ["true"]})
    if not found:
        raise TxnpipeError(
            f"The default VPC {vpc} has no default subnet.",
            "Make one in each zone with `aws ec2 create-default-subnet --availability-zone …`, or name "
            "others in network.subnet_ids.",
            ExitCode.ENVIRONMENT,
        )
    return found


def _serves(subnet: Mapping[str, Any]) -> bool:
    """Whether the loader and the warehouse can be there: IPv4, and a zone of the region that Lambda is in."""
    zone = subnet.get("AvailabilityZoneId", "")
    return (
        not subnet.get("Ipv6Native")
        and zone not in _CONSTRAINED_ZONES
        and _AVAILABILITY_ZONE.fullmatch(zone) is not None
    )


def _of_vpc(vpc: str) -> dict[str, Any]:
    return {"Name": "vpc-id", "Values": [vpc]}


def _subnets(cloud: Cloud, *filters: Mapping[str, Any]) -> list[dict[str, Any]]:
    pages: Iterable[Any] = (
        cloud.client("ec2").get_paginator("describe_subnets").paginate(Filters=list(filters))
    )
    return [item for page in pages for item in page["Subnets"]]
