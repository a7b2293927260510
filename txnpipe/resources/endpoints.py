"""The endpoints of VPCs by which a service is reached from inside: their names, and which are there."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any

from txnpipe.aws import error_code
from txnpipe.names import TAG_PIPELINE
from txnpipe.resources.resource import Cloud, tags_of
from txnpipe.resources.vpc import vpc_id

SECRETS = "secretsmanager"
S3 = "s3"
_ENDED = {"deleted", "failed", "rejected", "expired"}

Endpoint = Mapping[str, Any]
"""As EC2 describes it."""


def service_names(cloud: Cloud, service: str) -> tuple[str, ...]:
    """The names that an endpoint service of AWS may have in the region, the common one first.

    In other partitions some services use the partition's own domain instead (cn.com.amazonaws, gov.ic.c2s).
    Secrets Manager and the gateway of S3 do not (AWS CDK, aws-ec2/lib/vpc-endpoint.ts), but that may change.
    """
    own = ".".join(reversed(cloud.names.dns_suffix.split(".")))
    prefixes = dict.fromkeys(("com.amazonaws", own))
    return tuple(f"{prefix}.{cloud.names.region}.{service}" for prefix in prefixes)


def create_endpoint(cloud: Cloud, service: str, request: Mapping[str, Any]) -> None:
    """Makes an endpoint for a service, under the first of its names that the region knows."""
    ec2 = cloud.client("ec2")
    tags = [{"ResourceType": "vpc-endpoint", "Tags": cloud.tag_list}]
    names = service_names(cloud, service)
    for name in names:
        try:
            # The client repeats a request whose answer was lost; without a token that makes a second one.
            token = str(uuid.uuid4())
            ec2.create_vpc_endpoint(ServiceName=name, ClientToken=token, TagSpecifications=tags, **request)
        except ec2.exceptions.ClientError as error:
            if error_code(error) != "InvalidServiceName" or name == names[-1]:
                raise
        else:
            return


def is_ours(cloud: Cloud, endpoint: Endpoint) -> bool:
    """Whether the endpoint carries the pipeline's tag."""
    return tags_of(endpoint.get("Tags", [])).get(TAG_PIPELINE) == cloud.names.pipeline


def status_of(endpoint: Endpoint) -> str:
    """Its state in lower case: services and stand-ins differ in that."""
    return str(endpoint["State"]).lower()


def endpoints(cloud: Cloud, service: str, kind: str) -> list[Endpoint]:
    """The endpoints for a service ("Interface" or "Gateway"): the VPC's, and ours wherever they are."""
    names, here = service_names(cloud, service), vpc_id(cloud)
    pages = cloud.client("ec2").get_paginator("describe_vpc_endpoints")
    filters = [{"Name": "service-name", "Values": list(names)}]
    return [
        endpoint
        for page in pages.paginate(Filters=filters)
        for endpoint in page["VpcEndpoints"]
        # Filtered again: what a service ignores in a filter must not make a stranger's endpoint ours.
        if endpoint["ServiceName"] in names
        and endpoint["VpcEndpointType"] == kind
        and status_of(endpoint) not in _ENDED
        and (endpoint["VpcId"] == here or is_ours(cloud, endpoint))
    ]


def secrets_endpoint(cloud: Cloud) -> Endpoint | None:
    """The VPC's endpoint for Secrets Manager: one with a private DNS name, or ours, which will have it.

    One that is leaving keeps its private DNS name from a new one until it is gone, so it counts, but last.
    """
    here = vpc_id(cloud)
    found = [
        endpoint
        for endpoint in endpoints(cloud, SECRETS, "Interface")
        if endpoint.get("PrivateDnsEnabled") or is_ours(cloud, endpoint)
    ]
    found.sort(
        key=lambda endpoint: (
            status_of(endpoint) == "deleting",
            endpoint["VpcId"] != here,
            not is_ours(cloud, endpoint),
        )
    )
    return found[0] if found else None


def serves_secrets(cloud: Cloud) -> bool:
    """Whether secrets are reached inside the VPC: by an endpoint that is there or will be made."""
    if cloud.settings.network.secrets_endpoint == "create":
        return True
    found = secrets_endpoint(cloud)
    return found is not None and status_of(found) != "deleting"


def heir_group(cloud: Cloud, vpc: str, port: int) -> dict[str, Any] | None:
    """A security group of another pipeline in this VPC that lets the VPC in at `port`: its endpoint's."""
    filters = [{"Name": "vpc-id", "Values": [vpc]}, {"Name": "tag-key", "Values": [TAG_PIPELINE]}]
    pages = cloud.client("ec2").get_paginator("describe_security_groups").paginate(Filters=filters)
    for group in (item for page in pages for item in page["SecurityGroups"]):
        owner = tags_of(group.get("Tags", [])).get(TAG_PIPELINE)
        opens = any(
            permission.get("FromPort") == port and permission.get("IpRanges")
            for permission in group["IpPermissions"]
        )
        if owner not in {None, cloud.names.pipeline} and opens:
            found: dict[str, Any] = group
            return found
    return None
