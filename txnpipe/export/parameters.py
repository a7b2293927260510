"""The parameters of a template: what differs from account to account."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from txnpipe.config import Settings
from txnpipe.export.symbols import CODE_BUCKET, CODE_DIGESTS, ROUTE_TABLES, SUBNETS, VPC, VPC_CIDR


def parameters(settings: Settings, digests: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    """Every parameter there can be, by name. `digests`: zip → SHA-256, which become defaults."""
    network = settings.network
    found: dict[str, dict[str, Any]] = {
        VPC: {
            "Type": "AWS::EC2::VPC::Id",
            "Description": "VPC of the warehouse and the loader",
            **({"Default": network.vpc_id} if network.vpc_id else {}),
        },
        VPC_CIDR: {
            "Type": "String",
            "AllowedPattern": r"^\d{1,3}(\.\d{1,3}){3}/\d{1,2}$",
            "Description": "The VPC's range of addresses, such as 172.31.0.0/16",
        },
        SUBNETS: {
            "Type": "List<AWS::EC2::Subnet::Id>",
            "Description": "Subnets of the VPC, where Lambda is; three zones for a serverless warehouse",
            **({"Default": ",".join(network.subnet_ids)} if network.subnet_ids else {}),
        },
        ROUTE_TABLES: {
            "Type": "CommaDelimitedList",
            "Description": "Route tables of these subnets, which shall lead to S3",
        },
        CODE_BUCKET: {
            "Type": "String",
            "AllowedPattern": r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$",
            "Description": "Bucket of this region with the zips under code/NAME-SHA256.zip",
        },
    }
    for zip_name, parameter in CODE_DIGESTS.items():
        default = {"Default": digests[zip_name]} if zip_name in digests else {}
        found[parameter] = {
            "Type": "String",
            "AllowedPattern": "^[0-9a-f]{64}$",
            "Description": f"SHA-256 of the zip: code/{zip_name}-SHA256.zip",
            **default,
        }
    return found
