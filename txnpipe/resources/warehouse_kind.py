"""A pipeline has one warehouse. Changing `warehouse.kind` must neither leave the old one standing, where it
goes on costing money, nor remove it with its rows."""

from __future__ import annotations

from txnpipe.errors import ExitCode, TxnpipeError
from txnpipe.names import TAG_PIPELINE
from txnpipe.resources.resource import Cloud, tags_of
from txnpipe.resources.serverless import described
from txnpipe.warehouse.finding import LEAVING, describe_cluster


def refuse_other_kind(cloud: Cloud) -> None:
    """Raises CONFLICT while the pipeline has a warehouse of the kind that the settings do not name."""
    wanted, name = cloud.settings.warehouse.kind, cloud.names.cluster
    if wanted == "provisioned":
        other, there = "serverless", _serverless_is_ours(cloud, name)
    else:
        other, there = "provisioned", _cluster_is_ours(cloud, name)
    if there:
        raise TxnpipeError(
            f"The pipeline has a {other} warehouse, and the configuration asks for a {wanted} one: its rows "
            "would be missing in the new one, and it would go on costing money.",
            f"Set warehouse.kind to {other}; or run txnpipe teardown, which removes either kind, then setup.",
            ExitCode.CONFLICT,
        )


def _cluster_is_ours(cloud: Cloud, name: str) -> bool:
    cluster = describe_cluster(cloud.target, name)
    if cluster is None or cluster["ClusterStatus"] in LEAVING:
        return False
    return tags_of(cluster.get("Tags", [])).get(TAG_PIPELINE) == cloud.names.pipeline


def _serverless_is_ours(cloud: Cloud, name: str) -> bool:
    for part in ("namespace", "workgroup"):
        found = described(cloud, part, name)
        if found and found.status != "DELETING" and found.tags.get(TAG_PIPELINE) == cloud.names.pipeline:
            return True
    return False
