"""Where warehouse and loader would be placed: VPC and zones, the way to Secrets Manager, Redshift."""

from __future__ import annotations

from txnpipe.aws import translated
from txnpipe.checks import Verdict, ok, warning
from txnpipe.resources.node_types import refuse_unorderable
from txnpipe.resources.resource import Cloud
from txnpipe.resources.secrets_endpoint import NOT_NEEDED, SecretsEndpoint
from txnpipe.resources.vpc import find_vpc
from txnpipe.resources.workgroup import workgroup_subnets

ZONES = 2
"""Subnets in one zone alone leave nothing when that zone fails. Redshift places a cluster in one of them."""


def check_vpc(cloud: Cloud) -> Verdict:
    """Whether there is a VPC with subnets in enough zones. Raises as `find_vpc` does."""
    with translated("look at", "the VPC"):
        vpc = find_vpc(cloud)
    found = f"{vpc.id} has {len(vpc.subnets)} subnets in {', '.join(vpc.zones)}"
    if len(vpc.zones) < ZONES:
        return warning(f"{found}: one zone alone.", "Make a subnet in another zone.")
    return ok(f"{found}.")


def check_secrets(endpoint: SecretsEndpoint) -> Verdict:
    """Whether the loader reaches its secret, or will. Raises ENVIRONMENT where it could not."""
    with translated("look at", "the way to Secrets Manager"):
        endpoint.desired()
        found = endpoint.read()
    if found is None:
        return ok("The VPC can have an interface endpoint for Secrets Manager; setup makes it.")
    if found.status == NOT_NEEDED:
        return ok("The loader's subnets have a route out, so it needs no interface endpoint.")
    whose = "somebody else's" if found.facts["shared"] else "the pipeline's own"
    return ok(f"The VPC has an interface endpoint for Secrets Manager, {whose} ({found.status}).")


def check_warehouse(cloud: Cloud) -> Verdict:
    """Whether Redshift offers the warehouse here. Raises USAGE or ENVIRONMENT where it does not."""
    settings, region = cloud.settings.warehouse, cloud.names.region
    with translated("ask for", "Redshift's node types"):
        if settings.kind == "serverless":
            return ok(f"A serverless warehouse has its {len(workgroup_subnets(cloud))} subnets in {region}.")
        refuse_unorderable(cloud, settings.node_type, settings.nodes)
    return ok(f"Redshift offers {settings.nodes:,} × {settings.node_type} in {region}.")
