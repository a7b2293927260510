"""A gateway endpoint for S3 in the route tables of the pipeline's subnets. It is free, and off by default.

Nothing of the pipeline reaches S3 from inside the VPC: Lambda itself writes what failed, and Redshift goes
its own way. A warehouse with enhanced VPC routing needs one for COPY and UNLOAD (Redshift guide, "Enhanced
VPC routing"), unless its subnets have a route out.

A route table takes one such endpoint only, so where a stranger's is, it serves and stays. Ours is handed over
at teardown where another pipeline of the VPC lives on, which may need it.
"""

from __future__ import annotations

from dataclasses import dataclass

from txnpipe.names import TAG_PIPELINE
from txnpipe.resources.difference import Difference
from txnpipe.resources.endpoints import (
    S3,
    Endpoint,
    create_endpoint,
    endpoints,
    heir_group,
    is_ours,
    status_of,
)
from txnpipe.resources.network import HTTPS
from txnpipe.resources.resource import Cloud, Observed, tags_of, wait_ready
from txnpipe.resources.routes import route_tables
from txnpipe.resources.secrets_endpoint import NOT_NEEDED
from txnpipe.resources.vpc import find_vpc, vpc_id

READY_TIMEOUT_S = 600.0


@dataclass(frozen=True)
class S3GatewayState:
    """Ids of the route tables, sorted, that lead to S3 by our endpoint. A stranger's do not count."""

    route_tables: tuple[str, ...]


@dataclass(frozen=True)
class S3Gateway:
    """The gateway endpoint."""

    cloud: Cloud
    name: str
    kind: str = "s3 gateway"
    requires: tuple[str, ...] = ()
    inside: str | None = None

    @property
    def _wanted(self) -> bool:
        return self.cloud.settings.network.s3_gateway

    def desired(self) -> S3GatewayState:
        """See Resource. Where none is wanted, ours goes, unless another pipeline of the VPC may need it."""
        if not self._wanted:
            ours = self._ours()
            kept = ours is not None and heir_group(self.cloud, ours["VpcId"], HTTPS)
            return S3GatewayState(_tables(ours) if ours and kept else ())
        vpc = find_vpc(self.cloud)
        tables = {table["RouteTableId"] for table in route_tables(self.cloud, vpc.id, vpc.subnets).values()}
        taken = {table for endpoint in self._others() for table in _tables(endpoint)}
        return S3GatewayState(tuple(sorted(tables - taken)))

    def _others(self) -> list[Endpoint]:
        return [
            endpoint for endpoint in endpoints(self.cloud, S3, "Gateway") if not is_ours(self.cloud, endpoint)
        ]

    def _ours(self) -> Endpoint | None:
        here = vpc_id(self.cloud)
        ours = [
            endpoint
            for endpoint in endpoints(self.cloud, S3, "Gateway")
            if is_ours(self.cloud, endpoint) and (self._wanted or status_of(endpoint) != "deleting")
        ]
        ours.sort(key=lambda item: (status_of(item) == "deleting", item["VpcId"] != here))
        return ours[0] if ours else None

    def read(self) -> Observed[S3GatewayState] | None:
        """See Resource. Where a stranger's serves, or none is wanted, there is something, though not ours."""
        endpoint = self._ours()
        if endpoint is None and (not self._wanted or self._others()):
            status = "available" if self._wanted else NOT_NEEDED
            return Observed(S3GatewayState(()), status, facts={"shared": True})
        if endpoint is None:
            return None
        status = status_of(endpoint)
        return Observed(
            S3GatewayState(_tables(endpoint)),
            status,
            ready=status == "available",
            leaving=status == "deleting",
            facts={"id": endpoint["VpcEndpointId"], "shared": False},
        )

    def create(self, desired: S3GatewayState) -> None:
        """See Resource."""
        request = {
            "VpcEndpointType": "Gateway",
            "VpcId": find_vpc(self.cloud).id,
            "RouteTableIds": list(desired.route_tables),
        }
        create_endpoint(self.cloud, S3, request)

    def update(self, desired: S3GatewayState, differences: tuple[Difference, ...]) -> None:
        """See Resource. Makes ours beside a stranger's, and removes ours once it shall lead nowhere."""
        endpoint = self._ours()
        if endpoint is None:
            self.create(desired)
        elif not desired.route_tables:
            self._remove(endpoint)
        else:
            before, after = set(_tables(endpoint)), set(desired.route_tables)
            self.cloud.client("ec2").modify_vpc_endpoint(
                VpcEndpointId=endpoint["VpcEndpointId"],
                AddRouteTableIds=sorted(after - before),
                RemoveRouteTableIds=sorted(before - after),
            )

    def settle(self) -> None:
        """See Resource."""
        wait_ready(self.cloud, self, READY_TIMEOUT_S)

    def delete(self) -> None:
        """See Resource."""
        endpoint = self._ours()
        if endpoint is None:
            return
        leaving = status_of(endpoint) == "deleting"
        heir = None if leaving else heir_group(self.cloud, endpoint["VpcId"], HTTPS)
        if heir is None:
            self._remove(endpoint)
            return
        owner = [{"Key": TAG_PIPELINE, "Value": tags_of(heir["Tags"])[TAG_PIPELINE]}]
        self.cloud.client("ec2").create_tags(Resources=[endpoint["VpcEndpointId"]], Tags=owner)

    def _remove(self, endpoint: Endpoint) -> None:
        if status_of(endpoint) != "deleting":
            self.cloud.client("ec2").delete_vpc_endpoints(VpcEndpointIds=[endpoint["VpcEndpointId"]])
        self.cloud.waiter.until(
            self,
            f"{self.kind} {self.name} to be gone",
            lambda: True if self._ours() is None else None,
            READY_TIMEOUT_S,
        )


def _tables(endpoint: Endpoint) -> tuple[str, ...]:
    return tuple(sorted(endpoint.get("RouteTableIds", [])))
