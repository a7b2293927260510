"""Where the Data API finds databases and secrets: clusters, workgroups, moto's Secrets Manager."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any

from txnpipe.local.part import ACCOUNT
from txnpipe.local.postgres.server import PostgresServer
from txnpipe.local.redshift import managed_secrets
from txnpipe.local.redshift.clusters import RUNNING, Clusters
from txnpipe.local.redshift.instances import Instances
from txnpipe.local.redshift.serverless.warehouses import Warehouses
from txnpipe.local.service import ServiceError


class RedshiftEndpoints:
    """Endpoints of everything that this local cloud runs."""

    def __init__(
        self,
        clusters: Clusters,
        warehouses: Warehouses,
        instances: Instances,
        moto_state: Callable[[], AbstractContextManager[Any]],
    ) -> None:
        self._clusters = clusters
        self._warehouses = warehouses
        self._instances = instances
        self._moto_state = moto_state

    def server(self, region: str, cluster: str | None, workgroup: str | None) -> PostgresServer:
        """See `Endpoints`."""
        if workgroup:
            try:
                return self._warehouses.server(region, workgroup)[1]
            except ServiceError as error:
                raise ServiceError("ValidationException", error.message) from error
        found = self._clusters.find(region, str(cluster))
        if found is None:
            raise ServiceError("ValidationException", "Redshift endpoint doesn't exist in this region.")
        server = self._instances.server(found.instance_name)
        if server is None or found.status not in RUNNING:
            raise ServiceError("ValidationException", f"The cluster {cluster} is {found.status}.")
        return server

    def secret(self, region: str, secret_id: str) -> dict[str, str]:
        """See `Endpoints`."""
        try:
            with self._moto_state():
                value = managed_secrets.read(region, secret_id)
        except ValueError as error:
            raise ServiceError("ValidationException", f"{secret_id}: {error}.") from error
        if value is None:
            raise ServiceError("ValidationException", "Secrets Manager can't find the specified secret.")
        return value


def zones_of(
    moto_state: Callable[[], AbstractContextManager[Any]], region: str, subnet_ids: Sequence[str]
) -> set[str]:
    """The availability zones of subnets in moto's EC2. Raises ServiceError (ValidationException)."""
    from moto.core.exceptions import ServiceException
    from moto.ec2.models import ec2_backends

    with moto_state():
        try:
            subnets = ec2_backends[ACCOUNT][region].describe_subnets(subnet_ids=list(subnet_ids))
        except ServiceException as error:
            raise ServiceError("ValidationException", str(error)) from error
        return {str(subnet.availability_zone) for subnet in subnets}
