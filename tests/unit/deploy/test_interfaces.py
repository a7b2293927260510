"""A security group cannot go before its network interfaces have, and they take their time."""

from __future__ import annotations

from itertools import groupby
from typing import Any

import pytest
from moto.ec2.models import ec2_backends

from tests.unit.deploy.places import ACCOUNT, REGION
from tests.unit.deploy.remote import Remote, settings_of
from tests.unit.deploy.wire import Call, Forward, received
from txnpipe.deploy.events import Event, Phase
from txnpipe.deploy.teardown import sweep, take_inventory, teardown
from txnpipe.errors import ExitCode, TxnpipeError

DEFAULT = settings_of()
LOADER_GROUP = "security group/TransactionLoader"
ENDPOINT_GROUP = "security group/transaction-endpoint"
NEVER = float("inf")
OF_LAMBDA = "AWS Lambda VPC ENI-TransactionLoader-b7c1"
OF_ENDPOINT = "VPC Endpoint Interface vpce-0a1b2c3d"


class Interfaces:
    """The network interfaces of one group: each goes by itself once its time has come."""

    def __init__(self, remote: Remote, group_name: str) -> None:
        self._remote = remote
        self._status: dict[str, str] = {}
        self._ec2 = remote.target.client("ec2")
        group = self._ec2.describe_security_groups(Filters=[{"Name": "group-name", "Values": [group_name]}])[
            "SecurityGroups"
        ][0]
        self._group = group["GroupId"]
        self._subnet = self._ec2.describe_subnets(Filters=[{"Name": "vpc-id", "Values": [group["VpcId"]]}])[
            "Subnets"
        ][0]["SubnetId"]
        remote.change_answer("ec2.DescribeNetworkInterfaces", self._tell_status)
        remote.wire.layers.append(self._hold)

    def add(self, description: str, *, gone_after: float, status: str = "in-use") -> str:
        """An interface that is there for so many seconds from now. Returns its id."""
        made = self._ec2.create_network_interface(
            SubnetId=self._subnet, Groups=[self._group], Description=description
        )
        identifier: str = made["NetworkInterface"]["NetworkInterfaceId"]
        self._status[identifier] = status
        if gone_after != NEVER:
            self._remote.own.later.begin(gone_after, lambda: self._there().pop(identifier, None))
        return identifier

    def _there(self) -> dict[str, Any]:
        found: dict[str, Any] = ec2_backends[ACCOUNT][REGION].enis
        return found

    def left(self) -> set[str]:
        """Those that are there now."""
        return set(self._there()) & set(self._status)

    @property
    def removed(self) -> list[str]:
        """Those that were removed by a call."""
        return [
            call.parameters["NetworkInterfaceId"]
            for call in self._remote.recorder.taken
            if call.operation == "DeleteNetworkInterface"
        ]

    def _hold(self, call: Call, forward: Forward) -> Any:
        """moto deletes a group that is in use."""
        deleting = str(call) == "ec2.DeleteSecurityGroup" and call.parameters["GroupId"] == self._group
        if deleting and self.left():
            return received(
                None, call.refusal("DependencyViolation", f"{self._group} has a dependent object")
            )
        return forward()

    def _tell_status(self, parsed: dict[str, Any]) -> None:
        for interface in parsed["NetworkInterfaces"]:
            interface["Status"] = self._status.get(interface["NetworkInterfaceId"], interface["Status"])


@pytest.fixture
def of_loader(remote: Remote) -> Interfaces:
    remote.setup(DEFAULT)
    return Interfaces(remote, "TransactionLoader")


def told_while_deleting(remote: Remote, key: str) -> list[str]:
    """What the user is told while a resource is deleted, each text once."""
    graph, told = remote.graph(DEFAULT), []
    graph.cloud.waiter.listener = lambda resource, what, _: told.append(what)
    graph.resources[key].delete()
    return [what for what, _ in groupby(told)]


def test_a_teardown_says_how_many_interfaces_are_still_there(remote: Remote, of_loader: Interfaces) -> None:
    for minutes in (5, 12, 20):
        of_loader.add(OF_LAMBDA, gone_after=60 * minutes)
    graph = remote.graph(DEFAULT)
    events: list[Event] = []
    teardown(graph, take_inventory(graph), events.append, lock=lambda: remote.lock(graph, "teardown"))
    waited = [
        event.detail for event in events if event.resource == LOADER_GROUP and event.phase is Phase.WAITING
    ]
    assert [what for what, _ in groupby(waited)] == [
        "3 network interfaces of Lambda in TransactionLoader to go",
        "2 network interfaces of Lambda in TransactionLoader to go",
        "1 network interface of Lambda in TransactionLoader to go",
    ]
    assert sweep(graph).empty
    assert of_loader.removed == []


def test_the_loaders_role_goes_after_the_interfaces_that_lambda_removes_by_it(
    remote: Remote, of_loader: Interfaces
) -> None:
    of_loader.add(OF_LAMBDA, gone_after=1200)
    left: dict[str, int] = {}

    def look(call: Call, forward: Forward) -> Any:
        if str(call) == "iam.DeleteRole":
            left[call.parameters["RoleName"]] = len(of_loader.left())
        return forward()

    remote.wire.layers.append(look)
    graph = remote.graph(DEFAULT)
    teardown(graph, take_inventory(graph), lock=lambda: remote.lock(graph, "teardown"))
    assert left["TransactionLoaderRole"] == 0


def test_after_45_minutes_the_interfaces_are_named_with_what_to_do(
    remote: Remote, of_loader: Interfaces
) -> None:
    first = of_loader.add(OF_LAMBDA, gone_after=NEVER)
    gone = of_loader.add(OF_LAMBDA, gone_after=60)
    before = remote.now
    with pytest.raises(TxnpipeError) as caught:
        told_while_deleting(remote, LOADER_GROUP)
    assert caught.value.exit_code is ExitCode.TIMEOUT
    assert remote.now - before == pytest.approx(2700, abs=20)
    assert f"by network interfaces: {first} (in-use; {OF_LAMBDA})." in caught.value.cause
    assert gone not in caught.value.cause
    assert f"--network-interface-id {first}" in caught.value.fix


def test_an_interface_that_lambda_has_abandoned_is_removed(remote: Remote, of_loader: Interfaces) -> None:
    graph = remote.graph(DEFAULT)
    graph.resources["warehouse/transaction-warehouse"].delete()
    graph.resources["security group/transaction-warehouse"].delete()
    abandoned = of_loader.add(OF_LAMBDA, gone_after=NEVER, status="available")
    of_loader.add("made by hand", gone_after=30, status="available")
    of_loader.add(OF_LAMBDA, gone_after=30)
    assert told_while_deleting(remote, LOADER_GROUP) == [
        "2 network interfaces of Lambda and others in TransactionLoader to go"
    ]
    assert of_loader.removed == [abandoned]


def test_why_an_abandoned_interface_could_not_be_removed_is_told(
    remote: Remote, of_loader: Interfaces
) -> None:
    stays = of_loader.add(OF_LAMBDA, gone_after=NEVER, status="available")
    remote.refuse("ec2.DeleteNetworkInterface", "OperationNotPermitted", "not yours", times=10_000)
    with pytest.raises(TxnpipeError) as caught:
        told_while_deleting(remote, LOADER_GROUP)
    (detail,) = caught.value.details
    assert detail.startswith(f"{stays} could not be removed")
    assert "OperationNotPermitted" in detail


def test_an_interface_of_the_endpoint_is_waited_for_and_never_removed(remote: Remote) -> None:
    remote.setup(DEFAULT)
    interfaces = Interfaces(remote, "transaction-endpoint")
    interfaces.add(OF_ENDPOINT, gone_after=90, status="available")
    assert told_while_deleting(remote, ENDPOINT_GROUP) == [
        "1 network interface of a VPC endpoint in transaction-endpoint to go"
    ]
    assert interfaces.removed == []


def test_a_group_that_another_group_s_rule_names_says_so(remote: Remote) -> None:
    remote.setup(DEFAULT)
    remote.refuse("ec2.DeleteSecurityGroup", "DependencyViolation", "has a dependent object", times=10_000)
    ec2 = remote.target.client("ec2")
    warehouse = ec2.describe_security_groups(
        Filters=[{"Name": "group-name", "Values": ["transaction-warehouse"]}]
    )["SecurityGroups"][0]["GroupId"]
    with pytest.raises(TxnpipeError) as caught:
        told_while_deleting(remote, LOADER_GROUP)
    assert caught.value.exit_code is ExitCode.TIMEOUT
    assert warehouse in caught.value.cause
    assert "Remove those rules" in caught.value.fix
