"""The resources of a warehouse: which there are depends on its kind."""

from __future__ import annotations

from typing import Any

from txnpipe.config.settings import WarehouseSettings
from txnpipe.resources.namespace import Namespace
from txnpipe.resources.network import SecurityGroup, SubnetGroup
from txnpipe.resources.node_types import refuse_ended_nodes
from txnpipe.resources.resource import Cloud, Resource
from txnpipe.resources.usage_limit import UsageLimit
from txnpipe.resources.warehouse import Warehouse
from txnpipe.resources.workgroup import Workgroup, refuse_capacity
from txnpipe.warehouse.finding import Kind


def refuse_warehouse(settings: WarehouseSettings, region: str) -> None:
    """Raises USAGE for what cannot be made, as far as that is known without asking anybody."""
    if settings.kind == "provisioned":
        refuse_ended_nodes(settings.node_type)
    else:
        refuse_capacity(settings, region)


def warehouse_parts(
    cloud: Cloud, kind: Kind, group: SecurityGroup
) -> tuple[Resource[Any], list[Resource[Any]]]:
    """The resource that answers SQL once it is ready, and those that belong to it."""
    name = cloud.names.cluster
    if kind == "provisioned":
        subnets = SubnetGroup(cloud, name)
        return Warehouse(cloud, name, group, subnets.name), [subnets]
    namespace = Namespace(cloud, name)
    workgroup = Workgroup(cloud, name, group, namespace)
    return workgroup, [namespace, UsageLimit(cloud, name, workgroup)]


def unwanted_parts(cloud: Cloud, group: SecurityGroup) -> list[Resource[Any]]:
    """All resources of the kind that the settings do not name."""
    other: Kind = "serverless" if cloud.settings.warehouse.kind == "provisioned" else "provisioned"
    warehouse, beside = warehouse_parts(cloud, other, group)
    return [warehouse, *beside]
