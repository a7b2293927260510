"""The loader's way to its secret: an interface endpoint of the VPC for Secrets Manager.

An endpoint with private DNS exists once per VPC and service. Where somebody else's is there it serves us as
well and stays his; ours is handed over at teardown when another pipeline of the VPC still needs it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from txnpipe.names import TAG_PIPELINE
from txnpipe.resources.difference import REPLACES, Difference
from txnpipe.resources.network import SecurityGroup
from txnpipe.resources.resource import Cloud, Observed, resource_id, tags_of, wait_gone, wait_ready
from txnpipe.resources.vpc import find_vpc, vpc_id

READY_TIMEOUT_S = 600.0
_ENDED = {"deleted", "failed", "rejected", "expired"}


@dataclass(frozen=True)
class EndpointState:
    """Where the endpoint is. A stranger's endpoint that serves us counts as it is."""

    vpc: str = field(metadata=REPLACES)
    private_dns: bool


@dataclass(frozen=True)
class SecretsEndpoint:
    """The VPC's way to Secrets Manager."""

    cloud: Cloud
    name: str
    group: SecurityGroup
    kind: str = "vpc endpoint"
    inside: str | None = None

    @property
    def requires(self) -> tuple[str, ...]:
        """See Resource."""
        return (resource_id(self.group.kind, self.group.name),)

    @property
    def _service(self) -> str:
        suffix = "cn." if self.cloud.names.partition == "aws-cn" else ""
        return f"{suffix}com.amazonaws.{self.cloud.names.region}.secretsmanager"

    def desired(self) -> EndpointState:
        """See Resource."""
        return EndpointState(find_vpc(self.cloud).id, True)

    def _find(self) -> dict[str, Any] | None:
        vpc = vpc_id(self.cloud)
        if vpc is None:
            return None
        filters = [
            {"Name": "vpc-id", "Values": [vpc]},
            {"Name": "service-name", "Values": [self._service]},
        ]
        pages = self.cloud.client("ec2").get_paginator("describe_vpc_endpoints").paginate(Filters=filters)
        found = [
            endpoint
            for page in pages
            for endpoint in page["VpcEndpoints"]
            # Filtered again: what a service ignores in a filter must not make a stranger's endpoint ours.
            if endpoint["ServiceName"] == self._service
            and endpoint["State"].lower() not in _ENDED
            and (endpoint.get("PrivateDnsEnabled") or self._is_ours(endpoint))
        ]
        # One that is leaving keeps its private DNS name from a new one until it is gone.
        found.sort(
            key=lambda endpoint: (endpoint["State"].lower() == "deleting", not self._is_ours(endpoint))
        )
        return found[0] if found else None

    def _is_ours(self, endpoint: dict[str, Any]) -> bool:
        return tags_of(endpoint.get("Tags", [])).get(TAG_PIPELINE) == self.cloud.names.pipeline

    def read(self) -> Observed[EndpointState] | None:
        """See Resource."""
        endpoint = self._find()
        if endpoint is None:
            return None
        status = endpoint["State"].lower()
        return Observed(
            EndpointState(endpoint["VpcId"], bool(endpoint.get("PrivateDnsEnabled"))),
            status,
            ready=status == "available",
            leaving=status == "deleting",
            facts={"id": endpoint["VpcEndpointId"], "shared": not self._is_ours(endpoint)},
        )

    def create(self, desired: EndpointState) -> None:
        """See Resource. One subnet is enough: the whole VPC reaches it, and it costs per zone."""
        group = self.group.find()
        vpc = find_vpc(self.cloud)
        self.cloud.client("ec2").create_vpc_endpoint(
            VpcEndpointType="Interface",
            VpcId=vpc.id,
            ServiceName=self._service,
            SubnetIds=list(vpc.open_subnets[:1]),
            SecurityGroupIds=[group["GroupId"]] if group else [],
            PrivateDnsEnabled=True,
            TagSpecifications=[{"ResourceType": "vpc-endpoint", "Tags": self.cloud.tag_list}],
        )

    def update(self, desired: EndpointState, differences: tuple[Difference, ...]) -> None:
        """See Resource."""
        endpoint = self._find()
        if endpoint is not None:
            self.cloud.client("ec2").modify_vpc_endpoint(
                VpcEndpointId=endpoint["VpcEndpointId"], PrivateDnsEnabled=True
            )

    def settle(self) -> None:
        """See Resource."""
        wait_ready(self.cloud, self, READY_TIMEOUT_S)

    def delete(self) -> None:
        """See Resource. Hands the endpoint over where another pipeline of this VPC lives on."""
        ec2 = self.cloud.client("ec2")
        endpoint = self._find()
        if endpoint is None or not self._is_ours(endpoint):
            return
        identifier = endpoint["VpcEndpointId"]
        leaving = endpoint["State"].lower() == "deleting"
        heir = None if leaving else self._heir(endpoint["VpcId"])
        if heir is None:
            if not leaving:
                ec2.delete_vpc_endpoints(VpcEndpointIds=[identifier])
            wait_gone(self.cloud, self, READY_TIMEOUT_S)
            return
        groups = {group["GroupId"] for group in endpoint.get("Groups", [])}
        if groups != {heir["GroupId"]}:
            ec2.modify_vpc_endpoint(
                VpcEndpointId=identifier,
                AddSecurityGroupIds=sorted({heir["GroupId"]} - groups),
                RemoveSecurityGroupIds=sorted(groups - {heir["GroupId"]}),
            )
        owner = tags_of(heir["Tags"])[TAG_PIPELINE]
        ec2.create_tags(Resources=[identifier], Tags=[{"Key": TAG_PIPELINE, "Value": owner}])

    def _heir(self, vpc: str) -> dict[str, Any] | None:
        filters = [
            {"Name": "vpc-id", "Values": [vpc]},
            {"Name": "tag-key", "Values": [TAG_PIPELINE]},
        ]
        for group in self.cloud.client("ec2").describe_security_groups(Filters=filters)["SecurityGroups"]:
            if tags_of(group.get("Tags", [])).get(TAG_PIPELINE) not in {None, self.cloud.names.pipeline}:
                found: dict[str, Any] = group
                return found
        return None
