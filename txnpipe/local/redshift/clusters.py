"""Puts a PostgreSQL behind every cluster that moto knows, and keeps the two in step.

What a cluster is and what happens to it next is written in moto's cluster object (its status, its secret, the
instance's name), which moto's persistence saves with everything else. The work itself happens in the
background; after a kill, `reconcile` takes each cluster from the state it was saved in to where it was going.
Every step may be done twice.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any, NoReturn

from txnpipe.errors import TxnpipeError
from txnpipe.local.part import ACCOUNT
from txnpipe.local.postgres import database
from txnpipe.local.redshift import managed_secrets, moves, rules
from txnpipe.local.redshift.instances import Instances
from txnpipe.local.redshift.transitions import RETRY_S, Latencies, Transitions

_log = logging.getLogger(__name__)

RUNNING = frozenset({"available", "modifying"})
"""States in which a cluster takes connections."""


class Clusters:
    """The clusters of all regions.

    moto_state: held while moto's objects are touched from our own threads.
    """

    def __init__(
        self,
        instances: Instances,
        transitions: Transitions,
        latencies: Latencies,
        moto_state: Callable[[], AbstractContextManager[Any]],
        retry_s: float = RETRY_S,
    ) -> None:
        self._retry_s = retry_s
        self._instances = instances
        self._transitions = transitions
        self._latencies = latencies
        self._moto_state = moto_state

    # From moto's request threads

    def created(self, cluster: Any, *, manage_password: bool) -> None:
        """moto has made the cluster: gives it its secret and begins to create its PostgreSQL."""
        cluster.status = "creating"
        cluster.encrypted = True
        cluster.manage_master_password = manage_password
        if manage_password:
            self._give_secret(cluster, rules.new_password())
        self._transitions.begin(
            cluster.instance_name, self._latencies.create, lambda: self._create(cluster, fresh=True)
        )

    def pause(self, cluster: Any) -> None:
        """Begins to stop an available cluster."""
        self._require(cluster, "available")
        cluster.status = "pausing"
        self._transitions.begin(cluster.instance_name, self._latencies.pause, lambda: self._pause(cluster))

    def resume(self, cluster: Any) -> None:
        """Begins to start a paused cluster."""
        self._require(cluster, "paused")
        cluster.status = "resuming"
        self._transitions.begin(cluster.instance_name, self._latencies.resume, lambda: self._create(cluster))

    def reboot(self, cluster: Any) -> None:
        """Begins to restart an available cluster."""
        self._require(cluster, "available")
        cluster.status = "rebooting"
        self._transitions.begin(cluster.instance_name, self._latencies.reboot, lambda: self._reboot(cluster))

    def restored(self, cluster: Any, snapshot: Any, *, manage_password: bool) -> None:
        """moto has made the cluster from a snapshot: begins to bring back the snapshot's data."""
        cluster.restored_from = snapshot_name(snapshot)
        cluster.status = "creating"
        cluster.manage_master_password = manage_password
        if manage_password:
            self._give_secret(cluster, rules.new_password())
        self._transitions.begin(
            cluster.instance_name, self._latencies.create, lambda: self._create(cluster, fresh=True)
        )

    def snapshot(self, cluster: Any, snapshot: Any) -> None:
        """moto has made a snapshot: begins to copy the data into it."""
        self._require(cluster, "available")
        snapshot.status = "creating"
        self._transitions.begin(
            cluster.instance_name, self._latencies.create, lambda: self._snapshot(cluster, snapshot)
        )

    def snapshot_deleted(self, snapshot: Any) -> None:
        """moto has deleted a snapshot: deletes its data."""
        self._instances.snapshots.remove(snapshot_name(snapshot))

    def modified(self, cluster: Any, password: str | None, manage_password: bool | None) -> None:
        """moto has changed the cluster's description: changes the administrator's password where asked to."""
        if manage_password:
            if not managed_secrets.exists(cluster.region, cluster.master_password_secret_arn):
                password = rules.new_password()
                self._give_secret(cluster, password)
            cluster.manage_master_password = True
        elif password is not None:
            managed_secrets.remove(cluster.region, cluster.cluster_identifier, cluster.master_username)
            cluster.manage_master_password = False
            cluster.master_password_secret_arn = None
            cluster.master_user_password = password
        cluster.status = "modifying"
        self._transitions.begin(cluster.instance_name, self._latencies.modify, lambda: self._modify(cluster))

    def delete(self, cluster: Any, final_snapshot: str | None) -> None:
        """Begins to delete a cluster; its data go into the final snapshot, or for good."""
        if cluster.status in ("deleting", "creating", "resuming", "rebooting", "pausing"):
            self.refuse(cluster)
        if final_snapshot:
            backend = _backend(cluster.region)
            snapshot = backend.create_cluster_snapshot(
                cluster.cluster_identifier, final_snapshot, cluster.region, cluster.tags
            )
            snapshot.status = "creating"
            cluster.final_snapshot = final_snapshot
        cluster.status = "deleting"
        self._transitions.begin(cluster.instance_name, self._latencies.delete, lambda: self._delete(cluster))

    def port(self, cluster: Any) -> int:
        """The port its PostgreSQL listens on, or listened on last."""
        return self._instances.port(cluster.instance_name) or int(cluster.port)

    def find(self, region: str, identifier: str) -> Any:
        """moto's cluster of that name, None where there is none."""
        with self._moto_state():
            return _backend(region).clusters.get(identifier)

    # At start

    def reconcile(self) -> set[str]:
        """Takes every cluster to the state it was on its way to; returns the instances that clusters use.

        Clusters that were available are so again when this returns, and functions know their addresses.
        """
        used: set[str] = set()
        with self._moto_state():
            clusters = list(_all_clusters())
        for cluster in clusters:
            used.add(cluster.instance_name)
            _log.info("cluster %s was %s", cluster.cluster_identifier, cluster.status)
            if cluster.status == "deleting":
                self._transitions.begin(cluster.instance_name, 0, functools.partial(self._delete, cluster))
            elif cluster.status == "pausing":
                self._pause(cluster)
            elif cluster.status != "paused":
                self._start(cluster)
        self._tell_functions()
        return used

    # In the background

    def _create(self, cluster: Any, *, fresh: bool = False) -> None:
        """Starts the PostgreSQL, and says where it is."""
        self._start(cluster, fresh=fresh)
        self._tell_functions()

    def _start(self, cluster: Any, *, fresh: bool = False) -> None:
        """Starts the PostgreSQL. fresh: nothing can be there yet, and what is there is nobody's."""
        try:
            if fresh:
                self._instances.remove(cluster.instance_name)
            if cluster.restored_from:
                self._instances.restore(cluster.restored_from, cluster.instance_name)
            port = self._instances.start(
                cluster.instance_name,
                cluster.db_name,
                cluster.master_username,
                self._password(cluster),
                preferred_port=int(cluster.port),
            )
        except (TxnpipeError, OSError) as error:
            _log.error("cluster %s cannot run: %s", cluster.cluster_identifier, error)
            self._set(cluster, "hardware-failure")
            self._transitions.again(cluster.instance_name, lambda: self._try_again(cluster), self._retry_s)
            return
        cluster.port = port
        self._set(cluster, "available")

    def _tell_functions(self) -> None:
        """Tells functions which clusters have moved, and notes what they know: a kill may come in between."""
        with self._moto_state():
            clusters = list(_all_clusters())
            running = [cluster for cluster in clusters if cluster.status in RUNNING]
            moved = moves.moved_ports(
                [(cluster.told_port, int(cluster.port)) for cluster in running],
                [cluster.told_port for cluster in clusters],
            )
            if moved:
                moves.tell_functions(moved)
            for cluster in running:
                if cluster.told_port != cluster.port:
                    _backend(cluster.region)  # gets it saved
                    cluster.told_port = int(cluster.port)

    def _try_again(self, cluster: Any) -> None:
        if cluster.status == "hardware-failure":
            self._create(cluster)

    def _pause(self, cluster: Any) -> None:
        self._instances.stop(cluster.instance_name)
        self._set(cluster, "paused")

    def _reboot(self, cluster: Any) -> None:
        self._instances.stop(cluster.instance_name)
        self._create(cluster)

    def _modify(self, cluster: Any) -> None:
        server = self._instances.server(cluster.instance_name)
        password = self._password(cluster)
        if server is not None and password is not None:
            database.set_password(server, cluster.master_username, password)
        self._set(cluster, "available")

    def _snapshot(self, cluster: Any, snapshot: Any) -> None:
        server = self._instances.server(cluster.instance_name)
        try:
            if server is None:
                raise FileNotFoundError(f"no server for {cluster.cluster_identifier}")
            self._instances.snapshots.copy(server, snapshot_name(snapshot))
        except (TxnpipeError, OSError) as error:
            _log.error("snapshot %s failed: %s", snapshot.snapshot_identifier, error)
            self._set(snapshot, "failed")
            return
        self._set(snapshot, "available")

    def _delete(self, cluster: Any) -> None:
        with self._moto_state():
            snapshot = _backend(cluster.region).snapshots.get(cluster.final_snapshot)
        if snapshot is not None:
            self._instances.keep(cluster.instance_name, snapshot_name(snapshot))
            self._set(snapshot, "available")
        self._instances.remove(cluster.instance_name)
        with self._moto_state():
            backend = _backend(cluster.region)
            managed_secrets.remove(cluster.region, cluster.cluster_identifier, cluster.master_username)
            if backend.clusters.get(cluster.cluster_identifier) is cluster:
                backend.delete_automated_snapshots(cluster.cluster_identifier)
                backend.clusters.pop(cluster.cluster_identifier)

    def _set(self, resource: Any, status: str) -> None:
        """Changes the status of a cluster or snapshot; looking the backend up is what gets it saved."""
        with self._moto_state():
            _backend(resource.region)
            resource.status = status

    def _password(self, cluster: Any) -> str | None:
        """The administrator's password; None where only the database knows it (restored from a snapshot).

        Redshift's own secret is its only home where Redshift manages it.
        """
        if not cluster.manage_master_password:
            return str(cluster.master_user_password) if cluster.master_user_password else None
        with self._moto_state():
            value = managed_secrets.read(cluster.region, cluster.master_password_secret_arn)
            if value is None:
                # Killed between the cluster's being saved and the secret's.
                self._give_secret(cluster, rules.new_password())
                value = managed_secrets.read(cluster.region, cluster.master_password_secret_arn)
            assert value is not None
            return value["password"]

    def _give_secret(self, cluster: Any, password: str) -> None:
        cluster.master_password_secret_arn = managed_secrets.put(
            cluster.region, cluster.cluster_identifier, cluster.master_username, password
        )

    def _require(self, cluster: Any, status: str) -> None:
        if cluster.status != status:
            self.refuse(cluster)

    def refuse(self, cluster: Any) -> NoReturn:
        """Says that a cluster is in no state for what was asked."""
        raise rules.RefusedError(
            "InvalidClusterState",
            f"There is an operation running on the Cluster, or it is not in the right state: it is"
            f" {cluster.status}. Please try to execute the operation at a later time.",
        )


def snapshot_name(snapshot: Any) -> str:
    """The name of a snapshot's data."""
    return f"{snapshot.region}.{snapshot.snapshot_identifier}"


def _backend(region: str) -> Any:
    from moto.redshift.models import redshift_backends

    return redshift_backends[ACCOUNT][region]


def _all_clusters() -> Iterator[Any]:
    from moto.redshift.models import redshift_backends

    for backend in redshift_backends[ACCOUNT].values():
        yield from backend.clusters.values()
