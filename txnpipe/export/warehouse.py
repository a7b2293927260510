"""Renders the warehouse: a cluster, or a namespace and a workgroup."""

from __future__ import annotations

from txnpipe.export.pieces import DROP, Context, Piece
from txnpipe.export.symbols import symbol
from txnpipe.resources.namespace import Namespace, NamespaceState
from txnpipe.resources.warehouse import TAG_PORT, Warehouse, WarehouseState
from txnpipe.resources.workgroup import REQUIRES_TLS, Workgroup, WorkgroupState

SNAPSHOT = {"DeletionPolicy": "Snapshot", "UpdateReplacePolicy": "Snapshot"}


def warehouse(resource: Warehouse, state: WarehouseState, context: Context) -> list[Piece]:
    """AWS::Redshift::Cluster. It leaves a snapshot where a teardown would."""
    several = {"NumberOfNodes": state.nodes} if state.nodes > 1 else {}
    properties = {
        "ClusterIdentifier": resource.name,
        "ClusterType": "multi-node" if state.nodes > 1 else "single-node",
        "NodeType": state.node_type,
        "DBName": state.database,
        "MasterUsername": state.admin_user,
        "ManageMasterPassword": state.managed_password,
        "Port": state.port,
        "Encrypted": state.encrypted,
        "PubliclyAccessible": state.publicly_accessible,
        "VpcSecurityGroupIds": state.security_groups,
        "ClusterSubnetGroupName": symbol(context.id("subnet group", resource.subnet_group)),
        "Tags": [*context.tag_list, {"Key": TAG_PORT, "Value": str(state.port)}],
        **several,
    }
    attributes = SNAPSHOT if context.final_snapshot else DROP
    return [Piece("AWS::Redshift::Cluster", properties, attributes=attributes)]


def namespace(resource: Namespace, state: NamespaceState, context: Context) -> list[Piece]:
    """AWS::RedshiftServerless::Namespace. It leaves a snapshot where a teardown would."""
    properties = {
        "NamespaceName": resource.name,
        "DbName": state.database,
        "AdminUsername": state.admin_user,
        "ManageAdminPassword": state.managed_password,
        "Tags": context.tag_list,
    }
    if state.log_exports:
        properties["LogExports"] = list(state.log_exports)
    if context.final_snapshot:
        days = resource.cloud.settings.warehouse.final_snapshot_retention_days
        properties |= {"FinalSnapshotName": f"{resource.name}-final", "FinalSnapshotRetentionPeriod": days}
    return [Piece("AWS::RedshiftServerless::Namespace", properties, attributes=DROP)]


def workgroup(resource: Workgroup, state: WorkgroupState, context: Context) -> list[Piece]:
    """AWS::RedshiftServerless::Workgroup."""
    properties = {
        "WorkgroupName": resource.name,
        "NamespaceName": symbol(context.id("namespace", state.namespace)),
        "BaseCapacity": state.base_capacity,
        "Port": state.port,
        "SubnetIds": state.subnets,
        "SecurityGroupIds": state.security_groups,
        "PubliclyAccessible": state.publicly_accessible,
        "ConfigParameters": [
            {"ParameterKey": REQUIRES_TLS, "ParameterValue": "true" if state.requires_tls else "false"}
        ],
        "Tags": context.tag_list,
    }
    if state.max_capacity is not None:
        properties["MaxCapacity"] = state.max_capacity
    return [Piece("AWS::RedshiftServerless::Workgroup", properties)]
