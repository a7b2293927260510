"""Asks Redshift where a pipeline's warehouse is, whichever of the two kinds it is.

A provisioned warehouse is a cluster. A serverless one is a workgroup (compute and endpoint) over a namespace
(data, administrator); it is there while both are.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from txnpipe.aws import Target

Kind = Literal["provisioned", "serverless"]

LEAVING = frozenset({"deleting", "final-snapshot"})
"""Statuses of a warehouse that will never answer SQL again."""


@dataclass(frozen=True)
class Found:
    """A warehouse. status: the service's own word in lower case. host, port: None while it has no address.

    secret_arn: the secret with the administrator's password; "" where Redshift does not manage it.
    """

    kind: Kind
    name: str
    status: str
    host: str | None
    port: int | None
    database: str
    admin_user: str
    secret_arn: str


def find(target: Target, kind: Kind, name: str) -> Found | None:
    """The warehouse of that kind and name, or None. Raises ClientError."""
    return _cluster(target, name) if kind == "provisioned" else _workgroup(target, name)


def _cluster(target: Target, name: str) -> Found | None:
    cluster = describe_cluster(target, name)
    if cluster is None:
        return None
    address = cluster.get("Endpoint") or {}
    return Found(
        kind="provisioned",
        name=name,
        status=cluster["ClusterStatus"],
        host=address.get("Address"),
        port=address.get("Port"),
        database=cluster["DBName"],
        admin_user=cluster["MasterUsername"],
        secret_arn=cluster.get("MasterPasswordSecretArn") or "",
    )


def _workgroup(target: Target, name: str) -> Found | None:
    workgroup = describe_serverless(target, "workgroup", name)
    namespace = describe_serverless(target, "namespace", workgroup["namespaceName"]) if workgroup else None
    if workgroup is None or namespace is None:
        return None
    address = workgroup.get("endpoint") or {}
    busy = workgroup["status"] == "AVAILABLE" != namespace["status"]
    return Found(
        kind="serverless",
        name=name,
        status=(namespace if busy else workgroup)["status"].lower(),
        host=address.get("address"),
        port=address.get("port"),
        database=namespace["dbName"],
        admin_user=namespace["adminUsername"],
        secret_arn=namespace.get("adminPasswordSecretArn") or "",
    )


def describe_cluster(target: Target, name: str) -> dict[str, Any] | None:
    """The cluster as Redshift describes it, or None. Raises ClientError."""
    redshift = target.client("redshift")
    try:
        found: dict[str, Any] = redshift.describe_clusters(ClusterIdentifier=name)["Clusters"][0]
    except redshift.exceptions.ClusterNotFoundFault:
        return None
    return found


def describe_serverless(
    target: Target, part: Literal["namespace", "workgroup"], name: str
) -> dict[str, Any] | None:
    """The namespace or workgroup as Redshift Serverless describes it, or None. Raises ClientError."""
    serverless = target.client("redshift-serverless")
    get = serverless.get_namespace if part == "namespace" else serverless.get_workgroup
    try:
        found: dict[str, Any] = get(**{f"{part}Name": name})[part]
    except serverless.exceptions.ResourceNotFoundException:
        return None
    return found
