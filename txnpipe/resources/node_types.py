"""Node types of a provisioned warehouse: which can be ordered here, and with how many nodes."""

from __future__ import annotations

from txnpipe.errors import usage_error
from txnpipe.resources.resource import Cloud

ENDED_NODE_TYPES = ("dc1.", "dc2.", "ds1.", "ds2.")
"""Creation fails for these ("Invalid node type"), though the API's model still lists them."""

ClusterTypes = dict[str, set[str]]
"""Node type → "single-node", "multi-node" or both."""


def refuse_ended_nodes(node_type: str) -> None:
    """Raises USAGE for a node type that can no longer be created. Asks nobody."""
    if node_type.startswith(ENDED_NODE_TYPES):
        raise usage_error(
            f"Redshift no longer creates {node_type} clusters: the dc and ds generations have ended.",
            "Set warehouse.node_type to rg.large (or ra3.large); one node of it replaces dc2.large.",
        )


def refuse_unorderable(cloud: Cloud, node_type: str, nodes: int) -> None:
    """Raises USAGE for a cluster that the region does not offer. The message names what it offers."""
    offered = cloud.once("orderable node types", lambda: _offered(cloud))
    region, wanted = cloud.names.region, "single-node" if nodes == 1 else "multi-node"
    fitting = sorted(name for name, types in offered.items() if wanted in types and not _ended(name))
    if node_type not in offered or _ended(node_type):
        raise usage_error(
            f"Redshift offers no {node_type} nodes in {region}.",
            f"Set warehouse.node_type to one of {', '.join(fitting) or 'none: choose another region'}.",
        )
    if wanted not in offered[node_type]:
        limits = "at least two nodes" if nodes == 1 else "no more than one node"
        raise usage_error(
            f"In {region}, a cluster of {node_type} has {limits}, not {nodes}.",
            f"Change warehouse.nodes, or set warehouse.node_type to one of {', '.join(fitting)}.",
        )


def _ended(node_type: str) -> bool:
    return node_type.startswith(ENDED_NODE_TYPES)


def _offered(cloud: Cloud) -> ClusterTypes:
    pages = cloud.client("redshift").get_paginator("describe_orderable_cluster_options").paginate()
    offered: ClusterTypes = {}
    for page in pages:
        for option in page["OrderableClusterOptions"]:
            offered.setdefault(option["NodeType"], set()).add(option["ClusterType"])
    return offered
