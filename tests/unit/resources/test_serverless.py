"""A serverless warehouse: what is asked for, one change at a time, and what a kill leaves behind."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.unit.local.redshift.test_serverless import secrets
from tests.unit.resources.serverless_account import NAME, Account, Killed, changing_calls
from txnpipe.config import Settings
from txnpipe.deploy.plan import Action
from txnpipe.errors import ExitCode, TxnpipeError
from txnpipe.resources import workgroup

__all__ = ["secrets"]

SUBNETS = ["subnet-1", "subnet-2", "subnet-3"]
CHANGES = {
    "base_capacity_rpu": 64,
    "max_capacity_rpu": 128,
    "port": 5440,
    "usage_limit_rpu_hours": 10,
    "usage_limit_action": "log",
}


def settings_of(**warehouse: Any) -> Settings:
    return msgspec.convert({"warehouse": {"kind": "serverless", **warehouse}}, Settings)


DEFAULT, CHANGED = settings_of(), settings_of(**CHANGES)
Maker = Callable[[], Account]


@pytest.fixture
def new_account(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Maker:
    """Makes empty accounts."""
    numbers = iter(range(1000))
    monkeypatch.setattr(workgroup, "placement", lambda *_: (SUBNETS, ("sg-1",)))

    def make() -> Account:
        directory = tmp_path / str(next(numbers))
        directory.mkdir()
        return Account(directory)

    return make


@pytest.fixture
def account(new_account: Maker) -> Account:
    return new_account()


def test_it_is_private_small_takes_tls_only_and_costs_no_more_than_its_limit(account: Account) -> None:
    account.setup(DEFAULT)
    asked = dict(account.calls)
    tags = [{"key": "txnpipe:pipeline", "value": "default"}]
    assert asked["CreateNamespace"] == {
        "namespaceName": NAME,
        "dbName": "txnpipe",
        "adminUsername": "txnpipe_admin",
        "manageAdminPassword": True,
        "logExports": [],
        "tags": tags,
    }
    assert asked["CreateWorkgroup"] == {
        "workgroupName": NAME,
        "namespaceName": NAME,
        "baseCapacity": 4,
        "subnetIds": SUBNETS,
        "securityGroupIds": ["sg-1"],
        "publiclyAccessible": False,
        "port": 5439,
        "configParameters": [{"parameterKey": "require_ssl", "parameterValue": "true"}],
        "tags": tags,
    }
    del asked["CreateUsageLimit"]["resourceArn"]
    assert asked["CreateUsageLimit"] == {
        "usageType": "serverless-compute",
        "amount": 120,
        "period": "daily",
        "breachAction": "deactivate",
    }
    assert account.plan(DEFAULT) == []


def test_changes_are_made_one_a_call(account: Account) -> None:
    account.setup(DEFAULT)
    account.calls.clear()
    account.setup(CHANGED)
    assert Counter(account.changes) == Counter({"UpdateWorkgroup": 3, "UpdateUsageLimit": 1})
    assert account.plan(CHANGED) == []
    account.setup(DEFAULT)
    assert account.plan(DEFAULT) == []
    assert "maxCapacity" not in account.serverless.call("GetWorkgroup", workgroupName=NAME)["workgroup"]


def test_what_somebody_opened_is_closed_again_and_his_parameters_stay(account: Account) -> None:
    account.setup(DEFAULT)
    parameters = [
        {"parameterKey": "require_ssl", "parameterValue": "false"},
        {"parameterKey": "max_query_execution_time", "parameterValue": "60"},
    ]
    for change in ({"publiclyAccessible": True}, {"configParameters": parameters}):
        account.serverless.call("UpdateWorkgroup", workgroupName=NAME, **change)
        account.serverless.transitions.finish()
    fields = [difference.field for change in account.plan(DEFAULT) for difference in change.differences]
    assert fields == ["publicly_accessible", "requires_tls"]
    account.setup(DEFAULT)
    assert account.plan(DEFAULT) == []
    found = account.serverless.call("GetWorkgroup", workgroupName=NAME)["workgroup"]
    assert {each["parameterKey"]: each["parameterValue"] for each in found["configParameters"]} == {
        "require_ssl": "true",
        "max_query_execution_time": "60",
    }


def test_another_period_of_the_limit_needs_another_limit_and_a_stranger_s_stays(account: Account) -> None:
    account.setup(DEFAULT)
    arn = account.serverless.call("GetWorkgroup", workgroupName=NAME)["workgroup"]["workgroupArn"]
    account.serverless.call(
        "CreateUsageLimit", resourceArn=arn, usageType="serverless-compute", amount=7, period="weekly"
    )
    account.setup(settings_of(usage_limit_period="monthly"))
    limits = account.serverless.call("ListUsageLimits")["usageLimits"]
    assert sorted((limit["period"], limit["amount"], limit["breachAction"]) for limit in limits) == [
        ("monthly", 3720, "deactivate"),
        ("weekly", 7, "log"),
    ]


def test_a_setup_killed_after_any_change_is_finished_by_the_same_command_and_makes_nothing_twice(
    new_account: Maker,
) -> None:
    for kill_after in range(1, changing_calls(new_account, lambda account: account.setup(DEFAULT)) + 1):
        account = new_account()
        account.kill_after = kill_after
        with pytest.raises(Killed):
            account.setup(DEFAULT)
        account.kill_after = None
        account.setup(DEFAULT)
        assert account.plan(DEFAULT) == [], f"killed after {kill_after}"
        made = Counter(operation for operation in account.changes if operation.startswith("Create"))
        assert made == CREATIONS


CREATIONS = Counter(["CreateNamespace", "CreateWorkgroup", "CreateUsageLimit"])


def test_where_every_answer_is_lost_and_the_call_repeated_all_is_made_changed_and_removed_once(
    account: Account,
) -> None:
    account.loses_answers = True
    account.setup(DEFAULT)
    assert account.plan(DEFAULT) == []
    assert Counter(operation for operation in account.changes if operation.startswith("Create")) == CREATIONS
    account.setup(CHANGED)
    assert account.plan(CHANGED) == []
    account.tear_down(CHANGED)
    assert_empty(account)


def test_an_update_killed_after_any_change_is_finished_by_the_same_command(new_account: Maker) -> None:
    def made() -> Account:
        account = new_account()
        account.setup(DEFAULT)
        account.calls.clear()
        return account

    for kill_after in range(1, changing_calls(made, lambda account: account.setup(CHANGED)) + 1):
        account = made()
        account.kill_after = kill_after
        with pytest.raises(Killed):
            account.setup(CHANGED)
        account.kill_after = None
        account.setup(CHANGED)
        assert account.plan(CHANGED) == [], f"killed after {kill_after}"


def test_a_teardown_killed_after_any_change_is_finished_by_the_same_command(new_account: Maker) -> None:
    def made() -> Account:
        account = new_account()
        account.setup(DEFAULT)
        account.calls.clear()
        return account

    for kill_after in range(1, changing_calls(made, lambda account: account.tear_down(DEFAULT)) + 1):
        account = made()
        account.kill_after = kill_after
        with pytest.raises(Killed):
            account.tear_down(DEFAULT)
        account.kill_after = None
        account.tear_down(DEFAULT)
        assert_empty(account)


def assert_empty(account: Account) -> None:
    for kind in ("Namespaces", "Workgroups", "UsageLimits"):
        assert account.serverless.call(f"List{kind}") == {kind[0].lower() + kind[1:]: []}


def test_a_change_under_way_is_waited_for(account: Account) -> None:
    account.setup(DEFAULT)
    account.serverless.call("UpdateWorkgroup", workgroupName=NAME, baseCapacity=8)
    assert account.plan(settings_of(base_capacity_rpu=8))[0].action is Action.WAIT
    account.tear_down(DEFAULT)
    assert account.serverless.call("ListNamespaces") == {"namespaces": []}


def test_a_workgroup_that_never_takes_changes_ends_the_wait_with_its_refusal(account: Account) -> None:
    account.setup(DEFAULT)
    account.serverless.call("UpdateWorkgroup", workgroupName=NAME, baseCapacity=8)
    account.serverless.transitions.waiting.clear()
    with pytest.raises(TxnpipeError, match="still refused after 1800 s") as caught:
        account.tear_down(DEFAULT)
    assert caught.value.exit_code is ExitCode.SERVICE


def test_a_workgroup_that_disappears_while_it_is_made_is_an_error_with_a_fix(account: Account) -> None:
    namespace, made, _ = account.resources(DEFAULT)
    for resource in (namespace, made):
        resource.create(resource.desired())
        if resource is namespace:
            resource.settle()

    def vanish() -> None:
        with account.serverless.store.change() as documents:
            documents["workgroups"].clear()

    account.serverless.transitions.waiting = [vanish]
    with pytest.raises(TxnpipeError, match="was CREATING and is gone now") as caught:
        made.settle()
    assert "free addresses" in caught.value.fix


@pytest.mark.parametrize(
    ("subnets", "says"),
    [(["subnet-1", "subnet-2"], "has 2 in 2"), (["subnet-1", "subnet-3", "subnet-4"], "has 3 in 2")],
)
def test_too_few_zones_are_refused_with_what_to_do(
    account: Account, monkeypatch: pytest.MonkeyPatch, subnets: list[str], says: str
) -> None:
    monkeypatch.setattr(workgroup, "placement", lambda *_: (subnets, ("sg-1",)))
    monkeypatch.setattr(workgroup, "find_vpc", lambda _: type("Vpc", (), {"id": "vpc-1"}))
    with pytest.raises(TxnpipeError, match=says) as caught:
        account.plan(DEFAULT)
    assert caught.value.exit_code is ExitCode.ENVIRONMENT
    assert "create-default-subnet" in caught.value.fix


def test_a_stranger_s_namespace_is_left_alone(account: Account) -> None:
    account.serverless.call("CreateNamespace", namespaceName=NAME)
    with pytest.raises(TxnpipeError, match="does not carry the tag") as caught:
        account.setup(DEFAULT)
    assert caught.value.exit_code is ExitCode.CONFLICT


def test_the_final_snapshot_is_kept_as_long_as_configured(account: Account) -> None:
    account.final_snapshot = True
    account.setup(DEFAULT)
    account.tear_down(settings_of(final_snapshot_retention_days=9))
    asked = dict(account.calls)["DeleteNamespace"]
    assert asked["finalSnapshotName"].startswith(f"{NAME}-final-")
    assert asked["finalSnapshotRetentionPeriod"] == 9


def test_a_provisioned_warehouse_is_refused_while_this_one_is_there(account: Account) -> None:
    from txnpipe.resources.warehouse_kind import refuse_other_kind

    provisioned = account.cloud(settings_of(kind="provisioned"))
    refuse_other_kind(provisioned)
    account.setup(DEFAULT)
    with pytest.raises(TxnpipeError, match="has a serverless warehouse") as caught:
        refuse_other_kind(provisioned)
    assert caught.value.exit_code is ExitCode.CONFLICT
    assert "txnpipe teardown" in caught.value.fix
