"""Where we reach into moto's Redshift. Contract tests hold every place.

Calls that change a cluster check what Redshift checks and hand over to `Clusters`; calls that moto lacks are
added; a cluster's endpoint is that of its PostgreSQL.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from txnpipe.local.postgres.server import HOST
from txnpipe.local.redshift import rules, temporary_credentials
from txnpipe.local.redshift.clusters import RUNNING, Clusters, snapshot_name
from txnpipe.local.redshift.instances import Instances

_ABSENT = object()


def install(clusters: Clusters, instances: Instances) -> Callable[[], None]:
    """Puts the hooks in place; returns what takes them out again."""
    from moto.redshift.models import Cluster
    from moto.redshift.responses import RedshiftResponse

    undo: list[tuple[Any, str, Any]] = []

    def patch(owner: Any, name: str, value: Any) -> None:
        undo.append((owner, name, owner.__dict__.get(name, _ABSENT)))
        setattr(owner, name, value)

    calls = _calls(clusters, instances, dict(RedshiftResponse.__dict__))
    for name, call in calls.items():
        patch(RedshiftResponse, name, _typed(call))
    patch(Cluster, "endpoint", property(lambda cluster: _endpoint(clusters, cluster)))
    patch(Cluster, "cluster_availability_status", property(lambda cluster: _availability(cluster.status)))
    # What clusters have beyond moto's; instances of a cluster overrule it.
    patch(Cluster, "master_password_secret_arn", None)
    patch(Cluster, "manage_master_password", False)
    patch(Cluster, "restored_from", None)
    patch(Cluster, "told_port", 0)
    patch(Cluster, "final_snapshot", None)
    instance_name = functools.cached_property(_instance_name)
    instance_name.__set_name__(Cluster, "instance_name")
    patch(Cluster, "instance_name", instance_name)

    def uninstall() -> None:
        for owner, name, value in reversed(undo):
            if value is _ABSENT:
                delattr(owner, name)
            else:
                setattr(owner, name, value)

    return uninstall


def _instance_name(cluster: Any) -> str:
    """Fixed when it is first asked for, at creation: a cluster may be renamed later."""
    return f"{cluster.region}.{cluster.cluster_identifier}"


def _endpoint(clusters: Clusters, cluster: Any) -> dict[str, str | int] | None:
    if cluster.status == "creating":
        return None
    return {"Address": HOST, "Port": clusters.port(cluster)}


def _availability(status: str) -> str:
    named = {"available": "Available", "paused": "Unavailable", "hardware-failure": "Failed"}
    return named.get(status, "Modifying")


@contextmanager
def _moto_errors() -> Iterator[None]:
    from moto.redshift.exceptions import RedshiftClientError

    try:
        yield
    except rules.RefusedError as refused:
        raise RedshiftClientError(refused.code, refused.message) from refused


def _typed(call: Callable[[Any], Any]) -> Callable[[Any], Any]:
    @functools.wraps(call)
    def typed(response: Any) -> Any:
        with _moto_errors():
            return call(response)

    return typed


def _calls(
    clusters: Clusters, instances: Instances, moto: dict[str, Callable[[Any], Any]]
) -> dict[str, Callable[[Any], Any]]:
    from moto.core.responses import ActionResult

    def the_cluster(response: Any) -> Any:
        return response.redshift_backend.describe_clusters(response._get_param("ClusterIdentifier"))[0]

    def create_cluster(response: Any) -> Any:
        get = response._get_param
        managed = bool(response._get_bool_param("ManageMasterPassword", False))
        password = get("MasterUserPassword")
        rules.check_identifier(get("ClusterIdentifier"))
        rules.check_nodes(get("NodeType"), get("ClusterType"), response._get_int_param("NumberOfNodes"))
        rules.check_admin(get("MasterUsername"))
        rules.check_database(get("DBName") or "dev")
        if get("Port"):
            rules.check_port(int(get("Port")))
        if response._get_bool_param("Encrypted", True) is False:
            raise rules.RefusedError(
                "InvalidParameterCombination", "Unencrypted clusters can no longer be created."
            )
        if managed == (password is not None):
            raise rules.RefusedError(
                "InvalidParameterCombination",
                "Specify either MasterUserPassword or ManageMasterPassword.",
            )
        if password is not None:
            rules.check_password(password)
        result = moto["create_cluster"](response)
        clusters.created(the_cluster(response), manage_password=managed)
        return result

    def modify_cluster(response: Any) -> Any:
        get = response._get_param
        cluster = the_cluster(response)
        if cluster.status != "available":
            clusters.refuse(cluster)
        password = get("MasterUserPassword")
        managed = response._get_bool_param("ManageMasterPassword")
        if password is not None:
            rules.check_password(password)
            if managed:
                raise rules.RefusedError(
                    "InvalidParameterCombination",
                    "Specify either MasterUserPassword or ManageMasterPassword.",
                )
        if get("NodeType") or get("NumberOfNodes"):
            nodes = response._get_int_param("NumberOfNodes") or cluster.number_of_nodes
            rules.check_nodes(get("NodeType") or cluster.node_type, get("ClusterType"), nodes)
        if managed is False and password is None:
            raise rules.RefusedError(
                "InvalidParameterCombination",
                "MasterUserPassword is required to stop managing the password in Secrets Manager.",
            )
        result = moto["modify_cluster"](response)
        clusters.modified(cluster, password, managed)
        return result

    def delete_cluster(response: Any) -> Any:
        cluster = the_cluster(response)
        skip = bool(response._get_bool_param("SkipFinalClusterSnapshot", False))
        snapshot = response._get_param("FinalClusterSnapshotIdentifier")
        if skip and snapshot:
            raise rules.RefusedError(
                "InvalidParameterCombination",
                "FinalClusterSnapshotIdentifier cannot be specified when SkipFinalClusterSnapshot is true.",
            )
        if not skip and not snapshot:
            raise rules.RefusedError(
                "InvalidParameterCombination",
                "FinalClusterSnapshotIdentifier is required unless SkipFinalClusterSnapshot is specified.",
            )
        clusters.delete(cluster, snapshot)
        return ActionResult({"Cluster": cluster})

    def create_cluster_snapshot(response: Any) -> Any:
        cluster = the_cluster(response)
        if cluster.status != "available":
            clusters.refuse(cluster)
        result = moto["create_cluster_snapshot"](response)
        name = response._get_param("SnapshotIdentifier")
        clusters.snapshot(cluster, response.redshift_backend.snapshots[name])
        return result

    def delete_cluster_snapshot(response: Any) -> Any:
        snapshot = response.redshift_backend.snapshots.get(response._get_param("SnapshotIdentifier"))
        result = moto["delete_cluster_snapshot"](response)
        clusters.snapshot_deleted(snapshot)
        return result

    def restore_from_cluster_snapshot(response: Any) -> Any:
        backend = response.redshift_backend
        name = response._get_param("SnapshotIdentifier")
        snapshot = backend.describe_cluster_snapshots(snapshot_identifier=name)[0]
        if snapshot.status != "available" or not instances.snapshots.has(snapshot_name(snapshot)):
            raise rules.RefusedError(
                "InvalidClusterSnapshotState", f"The snapshot {name} holds no data to restore."
            )
        rules.check_identifier(response._get_param("ClusterIdentifier"))
        result = moto["restore_from_cluster_snapshot"](response)
        managed = bool(response._get_bool_param("ManageMasterPassword", False))
        clusters.restored(the_cluster(response), snapshot, manage_password=managed)
        return result

    def change(begin: Callable[[Any], None]) -> Callable[[Any], Any]:
        def call(response: Any) -> Any:
            cluster = the_cluster(response)
            begin(cluster)
            return ActionResult({"Cluster": cluster})

        return call

    def credentials(response: Any, user: str, auto_create: bool) -> Any:
        cluster = the_cluster(response)
        duration = response._get_int_param("DurationSeconds") or temporary_credentials.DEFAULT_S
        if not temporary_credentials.SHORTEST_S <= duration <= temporary_credentials.LONGEST_S:
            raise rules.RefusedError(
                "InvalidParameterValue", "Token duration must be between 900 and 3600 seconds"
            )
        server = instances.server(cluster.instance_name)
        if cluster.status not in RUNNING or server is None:
            clusters.refuse(cluster)
        now = temporary_credentials.utc_now()
        try:
            issued = temporary_credentials.issue(server, user, now, duration, auto_create=auto_create)
        except temporary_credentials.NoSuchUserError as error:
            raise rules.RefusedError(
                "InvalidParameterValue", f"Database user {user} does not exist."
            ) from error
        return ActionResult(
            {
                "DbUser": issued.user,
                "DbPassword": issued.password,
                "Expiration": issued.expires_at,
                "NextRefreshTime": issued.expires_at,
            }
        )

    def get_cluster_credentials(response: Any) -> Any:
        user = response._get_param("DbUser")
        return credentials(response, user, bool(response._get_bool_param("AutoCreate", False)))

    def get_cluster_credentials_with_iam(response: Any) -> Any:
        # The local cloud has one identity, its root user; the database user is made when first asked for.
        return credentials(response, "root", True)

    def describe_orderable_cluster_options(response: Any) -> Any:
        wanted = response._get_param("NodeType")
        zones = [{"Name": f"{response.region}{letter}"} for letter in "abc"]
        options = [
            {
                "ClusterVersion": "1.0",
                "ClusterType": cluster_type,
                "NodeType": node.name,
                "AvailabilityZones": zones,
            }
            for node in rules.NODE_TYPES.values()
            if wanted in (None, node.name)
            for cluster_type in (("single-node", "multi-node") if node.single else ("multi-node",))
        ]
        return ActionResult({"OrderableClusterOptions": options})

    def modify_cluster_subnet_group(response: Any) -> Any:
        from moto.redshift.exceptions import InvalidSubnetError

        name, subnets = response._get_param("ClusterSubnetGroupName"), response._get_param("SubnetIds", [])
        group = response.redshift_backend.describe_cluster_subnet_groups(name)[0]
        before, group.subnet_ids = group.subnet_ids, subnets
        if len(group.subnets) != len(subnets):
            group.subnet_ids = before
            raise InvalidSubnetError(subnets)
        return ActionResult({"ClusterSubnetGroup": group})

    return {
        "modify_cluster_subnet_group": modify_cluster_subnet_group,
        "create_cluster": create_cluster,
        "modify_cluster": modify_cluster,
        "delete_cluster": delete_cluster,
        "create_cluster_snapshot": create_cluster_snapshot,
        "delete_cluster_snapshot": delete_cluster_snapshot,
        "restore_from_cluster_snapshot": restore_from_cluster_snapshot,
        "pause_cluster": change(clusters.pause),
        "resume_cluster": change(clusters.resume),
        "reboot_cluster": change(clusters.reboot),
        "get_cluster_credentials": get_cluster_credentials,
        "get_cluster_credentials_with_iam": get_cluster_credentials_with_iam,
        "describe_orderable_cluster_options": describe_orderable_cluster_options,
    }
