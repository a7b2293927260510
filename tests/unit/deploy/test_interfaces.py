"""A security group cannot go before its network interfaces have, and they take their time."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import groupby
from typing import Any

import pytest

from tests.unit.deploy.analytics_double import FakeAnswer
from tests.unit.deploy.remote import Remote, settings_of
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
        self._there: dict[str, tuple[str, str, float]] = {}
        self.removed: list[str] = []
        self.group = remote.target.client("ec2").describe_security_groups(
            Filters=[{"Name": "group-name", "Values": [group_name]}]
        )["SecurityGroups"][0]["GroupId"]
        remote.answer("ec2.DescribeNetworkInterfaces", self._describe)
        remote.answer("ec2.DeleteSecurityGroup", self._delete_group)
        remote.answer("ec2.DeleteNetworkInterface", self._delete_interface)

    def add(self, name: str, description: str, *, gone_after: float, status: str = "in-use") -> None:
        """An interface that is there until so many seconds from now."""
        self._there[name] = (description, status, self._remote.now + gone_after)

    def left(self) -> dict[str, tuple[str, str, float]]:
        """Those that are there now."""
        return {name: item for name, item in self._there.items() if item[2] > self._remote.now}

    def _describe(self, params: Mapping[str, Any], **_: Any) -> tuple[FakeAnswer, dict[str, Any]]:
        found = self.left() if params["body"]["Filter.1.Value.1"] == self.group else {}
        described = [
            {"NetworkInterfaceId": name, "Description": description, "Status": status}
            for name, (description, status, _) in found.items()
        ]
        return FakeAnswer(200), {"NetworkInterfaces": described}

    def _delete_group(self, params: Mapping[str, Any], **_: Any) -> tuple[FakeAnswer, dict[str, Any]] | None:
        if params["body"]["GroupId"] != self.group or not self.left():
            return None
        return _error("DependencyViolation", f"resource {self.group} has a dependent object")

    def _delete_interface(self, params: Mapping[str, Any], **_: Any) -> tuple[FakeAnswer, dict[str, Any]]:
        name = params["body"]["NetworkInterfaceId"]
        if self._there[name][2] == NEVER:
            return _error("OperationNotPermitted", "You are not allowed to manage this interface")
        del self._there[name]
        self.removed.append(name)
        return FakeAnswer(200), {}


def _error(code: str, message: str) -> tuple[FakeAnswer, dict[str, Any]]:
    answer = {"Error": {"Code": code, "Message": message}, "ResponseMetadata": {"HTTPStatusCode": 400}}
    return FakeAnswer(400), answer


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
    for number, minutes in enumerate((5, 12, 20)):
        of_loader.add(f"eni-{number}", OF_LAMBDA, gone_after=60 * minutes)
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
    of_loader.add("eni-0", OF_LAMBDA, gone_after=1200)
    left: dict[str, int] = {}

    def deleted(params: Mapping[str, Any], **_: Any) -> None:
        left[params["body"]["RoleName"]] = len(of_loader.left())

    remote.answer("iam.DeleteRole", deleted)
    graph = remote.graph(DEFAULT)
    teardown(graph, take_inventory(graph), lock=lambda: remote.lock(graph, "teardown"))
    assert left["TransactionLoaderRole"] == 0


def test_after_45_minutes_the_interfaces_are_named_with_what_to_do(
    remote: Remote, of_loader: Interfaces
) -> None:
    of_loader.add("eni-0", OF_LAMBDA, gone_after=NEVER)
    of_loader.add("eni-1", OF_LAMBDA, gone_after=60)
    of_loader.add("eni-2", "", gone_after=NEVER)
    before = remote.now
    with pytest.raises(TxnpipeError) as caught:
        told_while_deleting(remote, LOADER_GROUP)
    assert caught.value.exit_code is ExitCode.TIMEOUT
    assert remote.now - before == pytest.approx(2700, abs=20)
    assert f"eni-0 (in-use; {OF_LAMBDA}), eni-2 (in-use)" in caught.value.cause
    assert "eni-1" not in caught.value.cause
    assert "--network-interface-id eni-0" in caught.value.fix


def test_an_interface_that_lambda_has_abandoned_is_removed(remote: Remote, of_loader: Interfaces) -> None:
    graph = remote.graph(DEFAULT)
    graph.resources["warehouse/transaction-warehouse"].delete()
    graph.resources["security group/transaction-warehouse"].delete()
    of_loader.add("eni-0", OF_LAMBDA, gone_after=9_000, status="available")
    of_loader.add("eni-1", "made by hand", gone_after=30, status="available")
    of_loader.add("eni-2", OF_LAMBDA, gone_after=30)
    assert told_while_deleting(remote, LOADER_GROUP) == [
        "2 network interfaces of Lambda and others in TransactionLoader to go"
    ]
    assert of_loader.removed == ["eni-0"]


def test_why_an_abandoned_interface_could_not_be_removed_is_told(
    remote: Remote, of_loader: Interfaces
) -> None:
    of_loader.add("eni-0", OF_LAMBDA, gone_after=NEVER, status="available")
    with pytest.raises(TxnpipeError) as caught:
        told_while_deleting(remote, LOADER_GROUP)
    (detail,) = caught.value.details
    assert detail.startswith("eni-0 could not be removed")
    assert "OperationNotPermitted" in detail


def test_an_interface_of_the_endpoint_is_waited_for_and_never_removed(remote: Remote) -> None:
    remote.setup(DEFAULT)
    interfaces = Interfaces(remote, "transaction-endpoint")
    interfaces.add("eni-0", OF_ENDPOINT, gone_after=90, status="available")
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
