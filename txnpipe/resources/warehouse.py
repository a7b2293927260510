"""The provisioned warehouse: a Redshift cluster.

Redshift keeps the administrator's password in a secret of its own (ManageMasterPassword); nobody here ever
sees it at creation. A paused cluster is resumed. What would need another cluster (another database or
administrator) is refused by the plan: replacing it would lose every row.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from txnpipe.resources.difference import LOSES_DATA, Difference
from txnpipe.resources.network import SecurityGroup, placement
from txnpipe.resources.node_types import refuse_unorderable
from txnpipe.resources.refusals import coded, once_accepted
from txnpipe.resources.resource import Cloud, Observed, resource_id, tags_of, wait_gone, wait_ready
from txnpipe.resources.warehouse_kind import refuse_other_kind
from txnpipe.warehouse.finding import LEAVING, describe_cluster

READY_TIMEOUT_S = 3600.0
"""A resize or a resume can take most of an hour; a creation takes minutes."""
TAG_PORT = "txnpipe:port"
"""The port that was asked for. It is compared instead of the one in use: a stand-in for Redshift may have had
to take another one, and asking again would not change that."""
_BROKEN = {
    "incompatible-network": "Look at the cluster's subnet group and security group in the console.",
    "incompatible-parameters": "Look at the cluster's parameter group in the console.",
    "hardware-failure": "Restore the cluster from a snapshot, or run txnpipe teardown and setup.",
    "storage-full": "Free space or add nodes (warehouse.nodes), then run the same command again.",
}
"""Statuses that do not pass, and what to do about them."""
_CHANGED_BY_MODIFY = {
    "node_type": "NodeType",
    "port": "Port",
    "encrypted": "Encrypted",
    "publicly_accessible": "PubliclyAccessible",
    "managed_password": "ManageMasterPassword",
}


@dataclass(frozen=True)
class WarehouseState:
    """What a plan compares. `running` is false while the cluster is paused."""

    node_type: str
    nodes: int
    database: str = field(metadata=LOSES_DATA)
    admin_user: str = field(metadata=LOSES_DATA)
    port: int
    encrypted: bool
    publicly_accessible: bool
    managed_password: bool
    security_groups: Any
    running: bool


@dataclass(frozen=True)
class Warehouse:
    """The cluster."""

    cloud: Cloud
    name: str
    group: SecurityGroup
    subnet_group: str
    kind: str = "warehouse"
    inside: str | None = None

    @property
    def requires(self) -> tuple[str, ...]:
        """See Resource."""
        return (
            resource_id(self.group.kind, self.group.name),
            resource_id("subnet group", self.subnet_group),
        )

    def desired(self) -> WarehouseState:
        """See Resource."""
        settings = self.cloud.settings.warehouse
        refuse_other_kind(self.cloud)
        cluster = describe_cluster(self.cloud.target, self.name)
        known = (cluster["NodeType"], cluster["NumberOfNodes"]) if cluster else None
        if known != (settings.node_type, settings.nodes):
            refuse_unorderable(self.cloud, settings.node_type, settings.nodes)
        return WarehouseState(
            node_type=settings.node_type,
            nodes=settings.nodes,
            database=settings.database,
            admin_user=settings.admin_user,
            port=settings.port,
            encrypted=True,
            publicly_accessible=False,
            managed_password=True,
            security_groups=placement(self.cloud, self.group)[1],
            running=True,
        )

    def read(self) -> Observed[WarehouseState] | None:
        """See Resource."""
        cluster = describe_cluster(self.cloud.target, self.name)
        if cluster is None:
            return None
        status = cluster["ClusterStatus"]
        tags = tags_of(cluster.get("Tags", []))
        leaving = status in LEAVING
        if not leaving:
            self.cloud.assert_ours(self.kind, self.name, tags)
        address = cluster.get("Endpoint") or {}
        state = WarehouseState(
            node_type=cluster["NodeType"],
            nodes=cluster["NumberOfNodes"],
            database=cluster["DBName"],
            admin_user=cluster["MasterUsername"],
            port=int(tags.get(TAG_PORT) or address.get("Port") or self.cloud.settings.warehouse.port),
            encrypted=bool(cluster.get("Encrypted")),
            publicly_accessible=bool(cluster.get("PubliclyAccessible")),
            managed_password=bool(cluster.get("MasterPasswordSecretArn")),
            security_groups=tuple(
                sorted(group["VpcSecurityGroupId"] for group in cluster.get("VpcSecurityGroups", []))
            ),
            running=status not in {"paused", "pausing"},
        )
        facts = {"host": address.get("Address"), "port": address.get("Port"), "database": state.database}
        return Observed(state, status, ready=status in {"available", "paused"}, leaving=leaving, facts=facts)

    def create(self, desired: WarehouseState) -> None:
        """See Resource."""
        redshift = self.cloud.client("redshift")
        several = {"NumberOfNodes": desired.nodes} if desired.nodes > 1 else {}
        try:
            redshift.create_cluster(
                ClusterIdentifier=self.name,
                ClusterType="multi-node" if desired.nodes > 1 else "single-node",
                NodeType=desired.node_type,
                DBName=desired.database,
                MasterUsername=desired.admin_user,
                ManageMasterPassword=True,
                Port=desired.port,
                Encrypted=True,
                PubliclyAccessible=False,
                VpcSecurityGroupIds=list(desired.security_groups),
                ClusterSubnetGroupName=self.subnet_group,
                Tags=[*self.cloud.tag_list, {"Key": TAG_PORT, "Value": str(desired.port)}],
                **several,
            )
        except redshift.exceptions.ClusterAlreadyExistsFault:
            return  # made meanwhile, or by a call whose answer was lost; `settle` reads whose it is

    def update(self, desired: WarehouseState, differences: tuple[Difference, ...]) -> None:
        """See Resource. One kind of change at a time: Redshift accepts no other while one is running."""
        redshift = self.cloud.client("redshift")
        fields = {difference.field for difference in differences}
        if "running" in fields:
            redshift.resume_cluster(ClusterIdentifier=self.name)
            self._settle_at("available")
        if "nodes" in fields or "node_type" in fields:
            several = {"NumberOfNodes": desired.nodes} if desired.nodes > 1 else {}
            kind = "multi-node" if desired.nodes > 1 else "single-node"
            redshift.modify_cluster(
                ClusterIdentifier=self.name, ClusterType=kind, NodeType=desired.node_type, **several
            )
            self._settle_at("available")
        if "security_groups" in fields:
            redshift.modify_cluster(
                ClusterIdentifier=self.name, VpcSecurityGroupIds=list(desired.security_groups)
            )
            self._settle_at("available")
        for name, parameter in _CHANGED_BY_MODIFY.items():
            if name in fields and name != "node_type":
                redshift.modify_cluster(**{"ClusterIdentifier": self.name, parameter: getattr(desired, name)})
                self._settle_at("available")
        if "port" in fields:
            redshift.create_tags(
                ResourceName=self.cloud.names.arn("redshift", f"cluster:{self.name}"),
                Tags=[{"Key": TAG_PORT, "Value": str(desired.port)}],
            )

    def settle(self) -> None:
        """See Resource. A paused cluster is ready: resuming it is a change."""
        wait_ready(self.cloud, self, READY_TIMEOUT_S, broken=_BROKEN)

    def _settle_at(self, status: str) -> None:
        def probe() -> bool | None:
            observed = wait_ready(self.cloud, self, READY_TIMEOUT_S, broken=_BROKEN)
            return True if observed.status == status else None

        self.cloud.waiter.until(self, f"warehouse {self.name} to be {status}", probe, READY_TIMEOUT_S)

    def delete(self) -> None:
        """See Resource. Leaves a snapshot where the target says so."""
        once_accepted(
            self.cloud,
            self,
            self._ask_to_delete,
            coded("InvalidClusterState"),
            what=f"warehouse {self.name} to take changes",
            timeout_s=READY_TIMEOUT_S,
        )
        wait_gone(self.cloud, self, READY_TIMEOUT_S)

    def _ask_to_delete(self) -> None:
        """A broken cluster is asked as well: Redshift knows best what it can delete."""
        redshift = self.cloud.client("redshift")
        observed = self.read()
        if observed is None or observed.leaving:
            return
        with suppress(redshift.exceptions.ClusterNotFoundFault):
            redshift.delete_cluster(ClusterIdentifier=self.name, **self._farewell())

    def _farewell(self) -> dict[str, Any]:
        if not self.cloud.target.final_snapshot:
            return {"SkipFinalClusterSnapshot": True}
        days = self.cloud.settings.warehouse.final_snapshot_retention_days
        stamp = datetime.now(UTC).strftime("%Y%m%d%H%M%S")
        return {
            "SkipFinalClusterSnapshot": False,
            "FinalClusterSnapshotIdentifier": f"{self.name}-final-{stamp}",
            "FinalClusterSnapshotRetentionPeriod": days,
        }
