"""An account of symbols: a Target whose services answer without being asked.

In it the VPC, the groups, the secret and the warehouse exist under symbols, and nothing else does. A state
that is computed in it holds symbols where a real one holds ids. The clients are botocore's own, so requests
are checked and errors are mapped as always, but what would be sent is answered here (a before-call handler,
as botocore's Stubber does it). A question that nobody foresaw is a defect and raises.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

from txnpipe.aws import Credentials, Target
from txnpipe.config.settings import WarehouseSettings
from txnpipe.export.symbols import (
    ROUTE_TABLES,
    SUBNETS,
    VPC,
    VPC_CIDR,
    TemplateNames,
    element,
    elements,
    logical_id,
    symbol,
)
from txnpipe.names import TAG_PIPELINE
from txnpipe.resources.routes import EVERYWHERE

Request = Mapping[str, Any]
Answer = dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Account:
    """What is in the account: a pipeline of these names, whose warehouse is as it should be."""

    names: TemplateNames
    warehouse: WarehouseSettings


class _AbsentError(Exception):
    """What was asked for is not there. Holds the service's code for that."""


_ASKED = "txnpipe_asked"


@dataclasses.dataclass(frozen=True)
class SymbolicTarget(Target):
    """A target in an account of symbols."""

    holds: Account = dataclasses.field(kw_only=True)

    def _make(self, service: str, options: dict[str, Any]) -> Any:
        client: Any = super()._make(service, options)
        client.meta.events.register("before-parameter-build", _remember)
        client.meta.events.register("before-call", self._answer)
        return client

    def _answer(self, model: Any, context: dict[str, Any], **_: Any) -> tuple[Any, Answer]:
        operation = f"{model.service_model.service_name}.{model.name}"
        answer = _ANSWERS.get(operation)
        if answer is None:
            raise NotImplementedError(f"the account of symbols has no answer to {operation}")
        try:
            status, content = 200, answer(self.holds, context[_ASKED])
        except _AbsentError as error:
            status, content = 404, {"Error": {"Code": str(error), "Message": "not in this account"}}
        return _Http(status), {**content, "ResponseMetadata": {"HTTPStatusCode": status}}


@dataclasses.dataclass(frozen=True)
class _Http:
    """What botocore wants to know of an answer besides its content."""

    status_code: int


def symbolic_target(target: Target, account: Account) -> SymbolicTarget:
    """The same target in an account of symbols."""
    fields = {
        field.name: getattr(target, field.name)
        for field in dataclasses.fields(Target)
        if not field.name.startswith("_")
    }
    fields |= {"account": account.names.account, "credentials": Credentials("nobody", "nobody")}
    fields |= {"endpoint_url": None, "profile": None}
    return SymbolicTarget(**fields, holds=account)


def _remember(params: Request, context: dict[str, Any], **_: Any) -> None:
    context[_ASKED] = dict(params)


def _tags(account: Account) -> list[dict[str, str]]:
    return [{"Key": TAG_PIPELINE, "Value": account.names.pipeline}]


def _filters(request: Request) -> dict[str, list[str]]:
    return {item["Name"]: item["Values"] for item in request.get("Filters", [])}


def _vpcs(_: Account, __: Request) -> Answer:
    return {"Vpcs": [{"VpcId": symbol(VPC), "CidrBlock": symbol(VPC_CIDR), "IsDefault": True}]}


def _subnets(account: Account, _: Request) -> Answer:
    """Each in a zone of its own."""
    subnets = [
        {
            "SubnetId": subnet,
            "VpcId": symbol(VPC),
            "AvailabilityZone": f"{account.names.region}{'abc'[index]}",
            "AvailabilityZoneId": f"zone-az{index + 1}",
        }
        for index, subnet in enumerate(elements(SUBNETS))
    ]
    return {"Subnets": subnets}


def _security_groups(account: Account, request: Request) -> Answer:
    """Groups that are asked for by name exist; nobody else's do."""
    groups = [
        {
            "GroupId": symbol(logical_id(account.names, "security group", name), "GroupId"),
            "GroupName": name,
            "VpcId": symbol(VPC),
            "Tags": _tags(account),
            "IpPermissions": [],
            "IpPermissionsEgress": [],
        }
        for name in _filters(request).get("group-name", [])
    ]
    return {"SecurityGroups": groups}


def _attribute(_: Account, request: Request) -> Answer:
    """The VPC has both attributes that names of endpoints need."""
    name = request["Attribute"]
    return {f"{name[0].upper()}{name[1:]}": {"Value": True}}


def _route_tables(_: Account, __: Request) -> Answer:
    """One table for all subnets. It leads out: where a way is demanded, the stack's VPC has it."""
    table = {
        "RouteTableId": element(ROUTE_TABLES, 0),
        "VpcId": symbol(VPC),
        "Associations": [{"Main": True}],
        "Routes": [{"DestinationCidrBlock": EVERYWHERE, "NatGatewayId": "nat", "State": "active"}],
    }
    return {"RouteTables": [table]}


def _no_endpoints(_: Account, __: Request) -> Answer:
    return {"VpcEndpoints": []}


def _secret(account: Account, request: Request) -> Answer:
    name = request["SecretId"]
    return {"Name": name, "ARN": symbol(logical_id(account.names, "secret", name)), "Tags": _tags(account)}


def _cluster(account: Account, request: Request) -> Answer:
    if account.warehouse.kind != "provisioned":
        raise _AbsentError("ClusterNotFound")
    name = request["ClusterIdentifier"]
    cluster = logical_id(account.names, "warehouse", name)
    endpoint = {"Address": symbol(cluster, "Endpoint.Address"), "Port": symbol(cluster, "Endpoint.Port")}
    found = {"ClusterIdentifier": name, "ClusterStatus": "available", "Endpoint": endpoint}
    found |= {"DBName": account.warehouse.database, "MasterUsername": account.warehouse.admin_user}
    found |= {"NodeType": account.warehouse.node_type, "NumberOfNodes": account.warehouse.nodes}
    return {"Clusters": [{**found, "Tags": _tags(account)}]}


def _workgroup(account: Account, request: Request) -> Answer:
    if account.warehouse.kind != "serverless":
        raise _AbsentError("ResourceNotFoundException")
    name = request["workgroupName"]
    made = logical_id(account.names, "workgroup", name)
    endpoint = {
        "address": symbol(made, "Workgroup.Endpoint.Address"),
        "port": symbol(made, "Workgroup.Endpoint.Port"),
    }
    found = {"workgroupName": name, "namespaceName": name, "status": "AVAILABLE", "endpoint": endpoint}
    return {"workgroup": found}


def _namespace(account: Account, request: Request) -> Answer:
    if account.warehouse.kind != "serverless":
        raise _AbsentError("ResourceNotFoundException")
    name = request["namespaceName"]
    found = {"dbName": account.warehouse.database, "adminUsername": account.warehouse.admin_user}
    return {"namespace": {"namespaceName": name, "status": "AVAILABLE", **found}}


_ANSWERS: Mapping[str, Callable[[Account, Request], Answer]] = {
    "ec2.DescribeVpcs": _vpcs,
    "ec2.DescribeSubnets": _subnets,
    "ec2.DescribeSecurityGroups": _security_groups,
    "ec2.DescribeRouteTables": _route_tables,
    "ec2.DescribeVpcEndpoints": _no_endpoints,
    "secretsmanager.DescribeSecret": _secret,
    "redshift.DescribeClusters": _cluster,
    "redshift-serverless.GetWorkgroup": _workgroup,
    "redshift-serverless.GetNamespace": _namespace,
    "ec2.DescribeVpcAttribute": _attribute,
}
"""Operation → its answer."""
