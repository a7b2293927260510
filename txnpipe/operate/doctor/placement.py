"""Where warehouse and loader would be placed: VPC and zones, the way to Secrets Manager, the kind of node."""

from __future__ import annotations

from txnpipe.aws import translated
from txnpipe.checks import Verdict, failed, ok, warning
from txnpipe.errors import ExitCode
from txnpipe.resources.resource import Cloud
from txnpipe.resources.secrets_endpoint import NOT_NEEDED, SecretsEndpoint
from txnpipe.resources.vpc import find_vpc

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
