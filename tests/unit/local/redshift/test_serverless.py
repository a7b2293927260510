"""Redshift Serverless as its clients see it: states, one change at a time, what is refused, what survives."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import pytest

from txnpipe.errors import ExitCode, TxnpipeError
from txnpipe.local.redshift import managed_secrets
from txnpipe.local.redshift.instances import Instances
from txnpipe.local.redshift.serverless.limits import Tags, UsageLimits
from txnpipe.local.redshift.serverless.service import ServerlessService
from txnpipe.local.redshift.serverless.store import Store
from txnpipe.local.redshift.serverless.warehouses import Warehouses
from txnpipe.local.redshift.transitions import Latencies, Transitions
from txnpipe.local.service import Request, ServiceError

NOW = datetime(2026, 11, 24, 5, 30, tzinfo=UTC)
ZONES = {"subnet-1": "a", "subnet-2": "b", "subnet-3": "c", "subnet-4": "c"}


class Servers:
    """Stands for the PostgreSQL servers: which run, and what happened to them."""

    def __init__(self) -> None:
        self.running: dict[str, int] = {}
        self.events: list[tuple[Any, ...]] = []
        self.failing = False

    def start(self, name: str, database: str, admin: str, password: str | None, port: int = 5439) -> int:
        if self.failing:
            raise TxnpipeError("The disk is full.", "Free some space.", ExitCode.ENVIRONMENT)
        self.running[name] = port
        self.events.append(("start", name, database, admin, password is not None))
        return port

    def stop(self, name: str) -> None:
        self.running.pop(name, None)
        self.events.append(("stop", name))

    def remove(self, name: str) -> None:
        self.running.pop(name, None)
        self.events.append(("remove", name))

    def keep(self, name: str, snapshot: str) -> None:
        self.events.append(("keep", name, snapshot))

    def move(self, name: str, port: int) -> int:
        self.running[name] = port
        return port

    def port(self, name: str) -> int:
        return self.running.get(name, 0)


class HeldTransitions(Transitions):
    """Transitions that happen when the test says so."""

    def __init__(self) -> None:
        super().__init__()
        self.waiting: list[Any] = []
        self.latencies: list[float] = []

    def begin(self, resource: str, latency_s: float, work: Any) -> None:
        self.latencies.append(latency_s)
        self.waiting.append(work)

    def finish(self) -> None:
        waiting, self.waiting = self.waiting, []
        for work in waiting:
            work()


class Serverless:
    """The service in a test's hands."""

    def __init__(self, directory: Path, servers: Servers | None = None) -> None:
        self.servers = servers or Servers()
        self.transitions = HeldTransitions()
        self.store = Store(directory / "serverless.json")
        self.store.load()
        self.warehouses = Warehouses(
            self.store,
            cast(Instances, self.servers),
            self.transitions,
            Latencies(create=60, modify=30, delete=10),
            nullcontext,
            lambda _region, ids: {ZONES[each] for each in ids},
            lambda: NOW,
        )
        self.service = ServerlessService(self.warehouses, UsageLimits(self.store), Tags(self.store))

    def call(self, operation: str, region: str = "us-east-1", **request: Any) -> dict[str, Any]:
        body = json.dumps(request).encode()
        wire = Request("POST", "/", "", f"RedshiftServerless.{operation}", region, {}, body)
        assert self.service.claims("POST", "/", wire.target)
        answer: dict[str, Any] = json.loads(self.service.handle(wire).body)
        return answer

    def refused(self, operation: str, **request: Any) -> ServiceError:
        with pytest.raises(ServiceError) as raised:
            self.call(operation, **request)
        return raised.value

    def with_workgroup(self) -> Serverless:
        self.call(
            "CreateNamespace", namespaceName="space", adminUsername="adm", adminUserPassword="Secret123"
        )
        self.call("CreateWorkgroup", workgroupName="group", namespaceName="space", baseCapacity=4)
        self.transitions.finish()
        return self


@pytest.fixture
def serverless(tmp_path: Path) -> Serverless:
    return Serverless(tmp_path)


@pytest.fixture(autouse=True)
def secrets(monkeypatch: pytest.MonkeyPatch) -> dict[str, dict[str, str]]:
    """Secrets Manager, in a dictionary by ARN."""
    kept: dict[str, dict[str, str]] = {}

    def put(_region: str, resource: str, user: str, password: str) -> str:
        arn = f"arn:secret:{managed_secrets.secret_name(resource, user)}"
        kept[arn] = {"username": user, "password": password}
        return arn

    monkeypatch.setattr(managed_secrets, "put", put)
    monkeypatch.setattr(managed_secrets, "read", lambda _region, arn: kept.get(arn))
    monkeypatch.setattr(
        managed_secrets,
        "remove",
        lambda _region, resource, user: kept.pop(
            f"arn:secret:{managed_secrets.secret_name(resource, user)}", None
        ),
    )
    return kept


def test_a_workgroup_goes_from_creating_to_available_with_an_endpoint(serverless: Serverless) -> None:
    serverless.call("CreateNamespace", namespaceName="space", manageAdminPassword=True)
    serverless.transitions.finish()
    made = serverless.call("CreateWorkgroup", workgroupName="group", namespaceName="space")["workgroup"]
    assert made["status"] == "CREATING"
    assert "endpoint" not in made
    assert made["baseCapacity"] == 128
    assert serverless.transitions.latencies == [60, 60]
    serverless.transitions.finish()
    found = serverless.call("GetWorkgroup", workgroupName="group")["workgroup"]
    assert found["status"] == "AVAILABLE"
    assert found["endpoint"] == {"address": "127.0.0.1", "port": 5439, "vpcEndpoints": []}
    assert found["creationDate"] == "2026-11-24T05:30:00.000000Z"


def test_the_database_runs_only_while_there_is_a_workgroup(serverless: Serverless) -> None:
    serverless.call(
        "CreateNamespace", namespaceName="space", adminUsername="adm", adminUserPassword="Secret123"
    )
    serverless.transitions.finish()
    assert serverless.servers.running == {}
    serverless.call("CreateWorkgroup", workgroupName="group", namespaceName="space")
    serverless.transitions.finish()
    assert list(serverless.servers.running) == ["serverless.us-east-1.space"]
    assert serverless.call("DeleteWorkgroup", workgroupName="group")["workgroup"]["status"] == "DELETING"
    serverless.transitions.finish()
    assert serverless.servers.running == {}
    assert serverless.refused("GetWorkgroup", workgroupName="group").code == "ResourceNotFoundException"
    assert serverless.call("GetNamespace", namespaceName="space")["namespace"]["status"] == "AVAILABLE"


def test_a_managed_password_is_in_a_secret_of_redshifts_name(
    serverless: Serverless, secrets: dict[str, dict[str, str]]
) -> None:
    made = serverless.call(
        "CreateNamespace", namespaceName="space", adminUsername="adm", manageAdminPassword=True
    )["namespace"]
    assert made["adminPasswordSecretArn"] == "arn:secret:redshift!space-adm"
    assert secrets["arn:secret:redshift!space-adm"]["username"] == "adm"
    serverless.transitions.finish()
    serverless.call("DeleteNamespace", namespaceName="space")
    serverless.transitions.finish()
    assert secrets == {}


def test_no_password_leaves_through_the_api_or_stays_in_the_file(
    serverless: Serverless, tmp_path: Path
) -> None:
    made = serverless.call("CreateNamespace", namespaceName="space", adminUserPassword="Secret123")
    assert "Secret123" not in json.dumps(made)
    serverless.transitions.finish()
    assert "Secret123" not in (tmp_path / "serverless.json").read_text()


def test_an_update_changes_one_setting_at_a_time(serverless: Serverless) -> None:
    serverless.with_workgroup()
    both = serverless.refused("UpdateWorkgroup", workgroupName="group", baseCapacity=8, port=5440)
    assert both.code == "ValidationException"
    assert serverless.refused("UpdateWorkgroup", workgroupName="group").code == "ValidationException"
    changing = serverless.call("UpdateWorkgroup", workgroupName="group", baseCapacity=8)["workgroup"]
    assert changing["status"] == "MODIFYING"
    meanwhile = serverless.refused("UpdateWorkgroup", workgroupName="group", baseCapacity=16)
    assert meanwhile.code == "ConflictException"
    serverless.transitions.finish()
    assert serverless.call("GetWorkgroup", workgroupName="group")["workgroup"]["baseCapacity"] == 8


def test_an_update_of_the_port_moves_the_database(serverless: Serverless) -> None:
    serverless.with_workgroup().call("UpdateWorkgroup", workgroupName="group", port=5441)
    serverless.transitions.finish()
    assert serverless.call("GetWorkgroup", workgroupName="group")["workgroup"]["endpoint"]["port"] == 5441


@pytest.mark.parametrize("capacity", [0, 1, 5, 12, 520, -8])
def test_capacities_that_do_not_exist(serverless: Serverless, capacity: int) -> None:
    serverless.call("CreateNamespace", namespaceName="space")
    error = serverless.refused(
        "CreateWorkgroup", workgroupName="group", namespaceName="space", baseCapacity=capacity or 1
    )
    assert error.code == "ValidationException"


@pytest.mark.parametrize("subnets", [[], ["subnet-1", "subnet-2"], ["subnet-1", "subnet-3", "subnet-4"]])
def test_subnets_must_be_three_in_three_zones(serverless: Serverless, subnets: Sequence[str]) -> None:
    serverless.call("CreateNamespace", namespaceName="space")
    error = serverless.refused(
        "CreateWorkgroup", workgroupName="group", namespaceName="space", subnetIds=subnets
    )
    assert error.code == "ValidationException"


def test_names_are_taken_once_and_a_namespace_has_one_workgroup(serverless: Serverless) -> None:
    serverless.with_workgroup()
    assert serverless.refused("CreateNamespace", namespaceName="space").code == "ConflictException"
    again = serverless.refused("CreateWorkgroup", workgroupName="group", namespaceName="space")
    assert again.code == "ConflictException"
    second = serverless.refused("CreateWorkgroup", workgroupName="other", namespaceName="space")
    assert second.code == "ConflictException"
    unknown = serverless.refused("CreateWorkgroup", workgroupName="other", namespaceName="nowhere")
    assert unknown.code == "ResourceNotFoundException"
    assert serverless.refused("DeleteNamespace", namespaceName="space").code == "ConflictException"


def test_regions_do_not_see_each_other(serverless: Serverless) -> None:
    serverless.with_workgroup()
    assert serverless.call("ListWorkgroups", region="eu-west-1") == {"workgroups": []}
    assert len(serverless.call("ListWorkgroups")["workgroups"]) == 1
    serverless.call("CreateNamespace", region="eu-west-1", namespaceName="space")


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"iamRoles": [], "logExports": ["userlog"]},
        {"manageAdminPassword": True, "adminUserPassword": "Secret123"},
        {"adminUserPassword": "Secret123"},
        {"adminUsername": "adm", "adminUserPassword": "weak"},
    ],
)
def test_namespace_updates_that_are_refused(serverless: Serverless, change: dict[str, Any]) -> None:
    serverless.with_workgroup()
    assert (
        serverless.refused("UpdateNamespace", namespaceName="space", **change).code == "ValidationException"
    )


def test_turning_on_the_managed_password_gives_the_database_a_new_one(
    serverless: Serverless, secrets: dict[str, dict[str, str]]
) -> None:
    serverless.with_workgroup()
    serverless.servers.events.clear()
    changing = serverless.call("UpdateNamespace", namespaceName="space", manageAdminPassword=True)[
        "namespace"
    ]
    assert changing["status"] == "MODIFYING"
    serverless.transitions.finish()
    assert serverless.servers.events == [("start", "serverless.us-east-1.space", "dev", "adm", True)]
    assert secrets[changing["adminPasswordSecretArn"]]["username"] == "adm"


def test_what_was_under_way_when_the_daemon_died_is_finished_by_the_next(tmp_path: Path) -> None:
    first = Serverless(tmp_path)
    first.call("CreateNamespace", namespaceName="space", adminUserPassword="Secret123")
    first.call("CreateWorkgroup", workgroupName="group", namespaceName="space")
    first.call("CreateNamespace", namespaceName="doomed")
    first.call("DeleteNamespace", namespaceName="doomed", finalSnapshotName="last")
    second = Serverless(tmp_path)  # none of the four transitions had happened
    assert second.warehouses.reconcile() == {"serverless.us-east-1.space", "serverless.us-east-1.doomed"}
    assert second.call("GetWorkgroup", workgroupName="group")["workgroup"]["status"] == "AVAILABLE"
    assert second.refused("GetNamespace", namespaceName="doomed").code == "ResourceNotFoundException"
    assert ("keep", "serverless.us-east-1.doomed", "serverless.us-east-1.last") in second.servers.events
    assert ("start", "serverless.us-east-1.space", "dev", "admin", True) in second.servers.events


def test_usage_limits(serverless: Serverless) -> None:
    serverless.with_workgroup()
    arn = serverless.call("GetWorkgroup", workgroupName="group")["workgroup"]["workgroupArn"]
    wanted = {"resourceArn": arn, "usageType": "serverless-compute", "amount": 10}
    made = serverless.call("CreateUsageLimit", **wanted)["usageLimit"]
    assert (made["period"], made["breachAction"]) == ("monthly", "log")
    assert serverless.refused("CreateUsageLimit", **wanted).code == "ConflictException"
    assert serverless.refused("CreateUsageLimit", **wanted | {"amount": 0}).code == "ValidationException"
    changed = serverless.call("UpdateUsageLimit", usageLimitId=made["usageLimitId"], amount=20)["usageLimit"]
    assert changed["amount"] == 20
    assert serverless.call("ListUsageLimits", resourceArn=arn)["usageLimits"] == [changed]
    serverless.call("DeleteUsageLimit", usageLimitId=made["usageLimitId"])
    gone = serverless.refused("GetUsageLimit", usageLimitId=made["usageLimitId"])
    assert gone.code == "ResourceNotFoundException"


def test_tags(serverless: Serverless) -> None:
    made = serverless.call("CreateNamespace", namespaceName="space", tags=[{"key": "a", "value": "1"}])
    arn = made["namespace"]["namespaceArn"]
    serverless.call("TagResource", resourceArn=arn, tags=[{"key": "b", "value": "2"}])
    serverless.call("UntagResource", resourceArn=arn, tagKeys=["a"])
    assert serverless.call("ListTagsForResource", resourceArn=arn) == {"tags": [{"key": "b", "value": "2"}]}
    many = [{"key": str(number), "value": ""} for number in range(50)]
    assert serverless.refused("TagResource", resourceArn=arn, tags=many).code == "TooManyTagsException"
    assert serverless.refused("ListTagsForResource", resourceArn="arn:x").code == "ResourceNotFoundException"


def test_a_call_that_is_missing_says_so(serverless: Serverless) -> None:
    assert serverless.refused("CreateSnapshot").code == "UnknownOperationException"
    assert serverless.refused("GetWorkgroup").code == "ValidationException"


def test_what_cannot_be_made_now_is_tried_again(serverless: Serverless) -> None:
    serverless.servers.failing = True
    serverless.with_workgroup()
    assert serverless.call("GetWorkgroup", workgroupName="group")["workgroup"]["status"] == "CREATING"
    assert serverless.transitions.latencies[-2:] == [10.0, 10.0]

    serverless.servers.failing = False
    for _ in range(2):  # the pause, then the work in its turn
        serverless.transitions.finish()

    assert serverless.call("GetWorkgroup", workgroupName="group")["workgroup"]["status"] == "AVAILABLE"
    assert ("start", "serverless.us-east-1.space", "dev", "adm", True) in serverless.servers.events


def test_what_was_deleted_meanwhile_is_not_tried_again(serverless: Serverless) -> None:
    serverless.servers.failing = True
    serverless.call("CreateNamespace", namespaceName="space")
    serverless.transitions.finish()
    serverless.servers.failing = False
    serverless.call("DeleteNamespace", namespaceName="space")
    retry, delete = serverless.transitions.waiting
    serverless.transitions.waiting = []
    retry()
    serverless.transitions.finish()
    assert serverless.call("GetNamespace", namespaceName="space")["namespace"]["status"] == "DELETING"
    delete()
    retry()
    serverless.transitions.finish()
    assert serverless.servers.running == {}
    assert serverless.refused("GetNamespace", namespaceName="space").code == "ResourceNotFoundException"
