"""A serverless warehouse: what is asked for, one change at a time, and what a kill leaves behind."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from tests.unit.deploy.remote import Remote, changed_fields, settings_of, tear_down
from tests.unit.deploy.wire import Call, Forward, Killed
from txnpipe.config import Settings
from txnpipe.deploy.plan import Action, assess
from txnpipe.deploy.teardown import sweep, take_inventory
from txnpipe.errors import ExitCode, TxnpipeError
from txnpipe.local.redshift.transitions import Latencies
from txnpipe.resources import workgroup
from txnpipe.resources.vpc import Subnet, Vpc
from txnpipe.resources.warehouse_kind import refuse_other_kind

NAME = "transaction-warehouse"
PARTS = ("namespace", "workgroup", "usage limit")
BEFORE = ("role/TransactionLoaderRole", "security group/TransactionLoader", f"security group/{NAME}")
"""What the workgroup's group needs."""


def serverless(**warehouse: Any) -> Settings:
    return settings_of(warehouse={"kind": "serverless", **warehouse})


DEFAULT = serverless()
CHANGED = serverless(
    base_capacity_rpu=64,
    max_capacity_rpu=128,
    port=5440,
    usage_limit_rpu_hours=10,
    usage_limit_action="log",
)
CREATIONS = Counter(["CreateNamespace", "CreateWorkgroup", "CreateUsageLimit"])


@pytest.fixture(autouse=True)
def _slowly(remote: Remote) -> None:
    slowly(remote)


def slowly(remote: Remote, **latencies: float) -> Remote:
    """Everything takes its time, as on AWS."""
    remote.own.slow({}, Latencies(), Latencies(**{"create": 60, "modify": 30, "delete": 10, **latencies}))
    return remote


def client(remote: Remote) -> Any:
    return remote.target.client("redshift-serverless")


def bring(remote: Remote, settings: Settings) -> None:
    """Brings the parts of the warehouse, and nothing else, up to the settings."""
    graph = remote.graph(settings)
    for key in (*BEFORE, *(f"{kind}/{NAME}" for kind in PARTS)):
        resource = graph.resources[key]
        found = assess(resource)
        if found.change.action is Action.CREATE:
            resource.create(found.desired)
        elif found.change.action is Action.REPLACE:
            resource.delete()
            resource.create(found.desired)
        elif found.change.action is not Action.UNCHANGED:
            resource.settle()
            found = assess(resource)
            resource.update(found.desired, found.change.differences)
        resource.settle()


def remove(remote: Remote, settings: Settings) -> None:
    graph = remote.graph(settings)
    for kind in reversed(PARTS):
        graph.resources[f"{kind}/{NAME}"].delete()


def differing(remote: Remote, settings: Settings) -> list[str]:
    """The fields that differ, of all parts."""
    graph = remote.graph(settings)
    changes = [assess(graph.resources[f"{kind}/{NAME}"]).change for kind in PARTS]
    return [difference.field for change in changes for difference in change.differences]


def asked(remote: Remote, operation: str) -> dict[str, Any]:
    found = [call for call in remote.recorder.taken if call.operation == operation]
    return dict(found[-1].parameters)


def changes(remote: Remote) -> Counter[str]:
    """Changing calls of Redshift Serverless that were accepted."""
    calls = [call.partition(".")[::2] for call in remote.recorder.changes]
    return Counter(operation for service, operation in calls if service == "redshift-serverless")


def the_workgroup(remote: Remote) -> dict[str, Any]:
    found: dict[str, Any] = client(remote).get_workgroup(workgroupName=NAME)["workgroup"]
    return found


def assert_empty(remote: Remote) -> None:
    assert client(remote).list_namespaces()["namespaces"] == []
    assert client(remote).list_workgroups()["workgroups"] == []
    assert client(remote).list_usage_limits()["usageLimits"] == []


def test_a_whole_pipeline_has_it_instead_of_a_cluster(remote: Remote) -> None:
    remote.setup(DEFAULT)
    assert changed_fields(remote.plan(DEFAULT)) == {}
    assert remote.target.client("redshift").describe_clusters()["Clusters"] == []
    variables = remote.target.client("lambda").get_function_configuration(FunctionName="TransactionLoader")
    endpoint = the_workgroup(remote)["endpoint"]
    assert variables["Environment"]["Variables"]["WAREHOUSE_HOST"] == endpoint["address"]
    assert variables["Environment"]["Variables"]["WAREHOUSE_PORT"] == str(endpoint["port"])
    tear_down(remote, DEFAULT)
    assert_empty(remote)
    assert sweep(remote.graph(DEFAULT)).empty


def test_it_is_private_small_takes_tls_only_and_costs_no_more_than_its_limit(remote: Remote) -> None:
    bring(remote, DEFAULT)
    tags = [{"key": "txnpipe:pipeline", "value": "default"}]
    assert asked(remote, "CreateNamespace") == {
        "namespaceName": NAME,
        "dbName": "txnpipe",
        "adminUsername": "txnpipe_admin",
        "manageAdminPassword": True,
        "logExports": [],
        "tags": tags,
    }
    made = asked(remote, "CreateWorkgroup")
    assert len(made.pop("subnetIds")) >= 3
    assert len(made.pop("securityGroupIds")) == 1
    assert made == {
        "workgroupName": NAME,
        "namespaceName": NAME,
        "baseCapacity": 4,
        "publiclyAccessible": False,
        "port": 5439,
        "configParameters": [{"parameterKey": "require_ssl", "parameterValue": "true"}],
        "tags": tags,
    }
    limit = asked(remote, "CreateUsageLimit")
    assert limit.pop("resourceArn") == the_workgroup(remote)["workgroupArn"]
    assert limit == {
        "usageType": "serverless-compute",
        "amount": 120,
        "period": "daily",
        "breachAction": "deactivate",
    }
    assert differing(remote, DEFAULT) == []


def test_changes_are_made_one_a_call(remote: Remote) -> None:
    bring(remote, DEFAULT)
    remote.recorder.taken.clear()
    bring(remote, CHANGED)
    assert changes(remote) == Counter({"UpdateWorkgroup": 3, "UpdateUsageLimit": 1})
    assert [field for field in differing(remote, CHANGED) if not field.startswith("ingress")] == []
    bring(remote, DEFAULT)
    assert differing(remote, DEFAULT) == []
    assert "maxCapacity" not in the_workgroup(remote)


def test_what_somebody_opened_is_closed_again_and_his_parameters_stay(remote: Remote) -> None:
    bring(remote, DEFAULT)
    parameters = [
        {"parameterKey": "require_ssl", "parameterValue": "false"},
        {"parameterKey": "max_query_execution_time", "parameterValue": "60"},
    ]
    changes: tuple[dict[str, Any], ...] = ({"publiclyAccessible": True}, {"configParameters": parameters})
    for change in changes:
        client(remote).update_workgroup(workgroupName=NAME, **change)
        remote.clock.sleep(60)
    assert differing(remote, DEFAULT) == ["publicly_accessible", "requires_tls"]
    bring(remote, DEFAULT)
    assert differing(remote, DEFAULT) == []
    found = the_workgroup(remote)["configParameters"]
    assert {each["parameterKey"]: each["parameterValue"] for each in found} == {
        "require_ssl": "true",
        "max_query_execution_time": "60",
    }


def test_an_administrator_s_password_that_somebody_took_over_is_managed_again(remote: Remote) -> None:
    bring(remote, DEFAULT)
    client(remote).update_namespace(
        namespaceName=NAME, adminUsername="txnpipe_admin", adminUserPassword="Password1"
    )
    remote.clock.sleep(60)
    client(remote).update_namespace(namespaceName=NAME, logExports=["userlog"])
    remote.clock.sleep(60)
    assert differing(remote, DEFAULT) == ["managed_password", "log_exports"]
    bring(remote, DEFAULT)
    assert differing(remote, DEFAULT) == []


def test_another_period_of_the_limit_needs_another_limit_and_a_stranger_s_stays(remote: Remote) -> None:
    bring(remote, DEFAULT)
    client(remote).create_usage_limit(
        resourceArn=the_workgroup(remote)["workgroupArn"],
        usageType="serverless-compute",
        amount=7,
        period="weekly",
    )
    bring(remote, serverless(usage_limit_period="monthly"))
    limits = client(remote).list_usage_limits()["usageLimits"]
    assert sorted((limit["period"], limit["amount"], limit["breachAction"]) for limit in limits) == [
        ("monthly", 3720, "deactivate"),
        ("weekly", 7, "log"),
    ]


Command = Callable[[Remote], None]


def killed_everywhere(
    new_remote: Callable[[], Remote], prepare: Command, command: Command, check: Command
) -> None:
    """Kills a command after each of its changes in turn, runs it once more, and checks what came of it."""
    remote = slowly(new_remote())
    prepare(remote)
    remote.recorder.taken.clear()
    command(remote)
    total = len(remote.recorder.changes)
    assert total > 1
    for kill_after in range(1, total + 1):
        remote = slowly(new_remote())
        prepare(remote)
        remote.recorder.taken.clear()
        remote.recorder.kill_after = kill_after
        with pytest.raises(Killed):
            command(remote)
        remote.recorder.revive()
        command(remote)
        check(remote)


def test_a_setup_killed_after_any_change_is_finished_by_the_same_command_and_makes_nothing_twice(
    new_remote: Callable[[], Remote],
) -> None:
    def check(remote: Remote) -> None:
        assert differing(remote, DEFAULT) == []
        made = changes(remote)
        assert {name: count for name, count in made.items() if name.startswith("Create")} == CREATIONS

    killed_everywhere(new_remote, lambda _: None, lambda remote: bring(remote, DEFAULT), check)


def test_an_update_killed_after_any_change_is_finished_by_the_same_command(
    new_remote: Callable[[], Remote],
) -> None:
    def check(remote: Remote) -> None:
        assert differing(remote, CHANGED) == []

    killed_everywhere(
        new_remote, lambda remote: bring(remote, DEFAULT), lambda remote: bring(remote, CHANGED), check
    )


def test_a_teardown_killed_after_any_change_is_finished_by_the_same_command(
    new_remote: Callable[[], Remote],
) -> None:
    killed_everywhere(
        new_remote,
        lambda remote: bring(remote, DEFAULT),
        lambda remote: remove(remote, DEFAULT),
        assert_empty,
    )


def test_where_every_answer_is_lost_and_the_call_repeated_all_is_made_changed_and_removed_once(
    remote: Remote,
) -> None:
    def twice(call: Call, forward: Forward) -> Any:
        if call.service == "redshift-serverless" and call.changes:
            forward()
        return forward()

    remote.wire.layers.append(twice)
    bring(remote, DEFAULT)
    assert differing(remote, DEFAULT) == []
    assert {name: count for name, count in changes(remote).items() if name.startswith("Create")} == CREATIONS
    bring(remote, CHANGED)
    assert differing(remote, CHANGED) == []
    bring(remote, DEFAULT)
    remove(remote, DEFAULT)
    assert_empty(remote)


def test_a_change_under_way_is_waited_for(remote: Remote) -> None:
    bring(remote, DEFAULT)
    client(remote).update_workgroup(workgroupName=NAME, baseCapacity=8)
    found = assess(remote.graph(serverless(base_capacity_rpu=8)).resources[f"workgroup/{NAME}"])
    assert found.change.action is Action.WAIT
    remove(remote, DEFAULT)
    assert_empty(remote)


def test_a_workgroup_that_never_takes_changes_ends_the_wait_with_its_refusal(remote: Remote) -> None:
    bring(remote, DEFAULT)
    slowly(remote, modify=100_000)
    client(remote).update_workgroup(workgroupName=NAME, baseCapacity=8)
    with pytest.raises(TxnpipeError, match="still refused after 1800 s") as caught:
        remove(remote, DEFAULT)
    assert caught.value.exit_code is ExitCode.SERVICE


def test_a_workgroup_that_never_gets_ready_ends_the_wait(remote: Remote) -> None:
    slowly(remote, create=100_000)
    with pytest.raises(TxnpipeError, match=f"Waited 1800 s for workgroup {NAME} to be ready") as caught:
        bring(remote, DEFAULT)
    assert caught.value.exit_code is ExitCode.TIMEOUT


def test_a_workgroup_that_disappears_while_it_is_made_is_an_error_with_a_fix(remote: Remote) -> None:
    def vanish(call: Call, forward: Forward) -> Any:
        answer = forward()
        if call.operation == "ListTagsForResource":
            with remote.own._store.change() as documents:
                documents["workgroups"].clear()
        return answer

    remote.wire.layers.append(vanish)
    with pytest.raises(TxnpipeError, match="was CREATING and is gone now") as caught:
        bring(remote, DEFAULT)
    assert "free addresses" in caught.value.fix


@pytest.mark.parametrize(
    ("region", "zones", "says"),
    [
        ("us-east-1", "ab", "wants subnets in 3 zones, and those of vpc-1 lie in 2"),
        ("us-east-1", "aab", "wants subnets in 3 zones, and those of vpc-1 lie in 2"),
        ("us-west-1", "ab", "wants 3 subnets, and vpc-1 offers 2"),
    ],
)
def test_too_few_subnets_are_refused_with_what_to_do(
    remote: Remote, monkeypatch: pytest.MonkeyPatch, region: str, zones: str, says: str
) -> None:
    placed = tuple(Subnet(f"subnet-{n}", zone, f"zone-{zone}", "") for n, zone in enumerate(zones))
    monkeypatch.setattr(workgroup, "find_vpc", lambda _: Vpc("vpc-1", ("10.0.0.0/16",), placed))
    graph = remote.graph(DEFAULT)
    monkeypatch.setattr(workgroup, "placement", lambda *_: ((), ("sg-1",)))
    object.__setattr__(graph.cloud.names, "region", region)
    with pytest.raises(TxnpipeError, match=says) as caught:
        graph.resources[f"workgroup/{NAME}"].desired()
    assert caught.value.exit_code is ExitCode.ENVIRONMENT
    assert "network.subnet_ids" in caught.value.fix


def test_a_stranger_s_namespace_is_left_alone(remote: Remote) -> None:
    client(remote).create_namespace(namespaceName=NAME)
    with pytest.raises(TxnpipeError, match="does not carry the tag") as caught:
        bring(remote, DEFAULT)
    assert caught.value.exit_code is ExitCode.CONFLICT


def test_the_final_snapshot_is_kept_as_long_as_configured(
    remote: Remote, monkeypatch: pytest.MonkeyPatch
) -> None:
    bring(remote, DEFAULT)
    graph = remote.graph(serverless(final_snapshot_retention_days=9))
    object.__setattr__(graph.cloud.target, "final_snapshot", True)
    for kind in ("usage limit", "workgroup", "namespace"):
        graph.resources[f"{kind}/{NAME}"].delete()
    said = asked(remote, "DeleteNamespace")
    assert said["finalSnapshotName"].startswith(f"{NAME}-final-")
    assert said["finalSnapshotRetentionPeriod"] == 9


def test_a_provisioned_warehouse_is_refused_while_this_one_is_there(remote: Remote) -> None:
    provisioned = remote.graph(settings_of()).cloud
    refuse_other_kind(provisioned)
    bring(remote, DEFAULT)
    with pytest.raises(TxnpipeError, match="has a serverless warehouse") as caught:
        remote.plan(settings_of())
    assert caught.value.exit_code is ExitCode.CONFLICT
    assert "txnpipe teardown" in caught.value.fix
    remove(remote, DEFAULT)
    refuse_other_kind(provisioned)


def test_what_the_tagging_service_still_lists_is_no_leftover_once_it_is_gone(remote: Remote) -> None:
    bring(remote, DEFAULT)
    gone = the_workgroup(remote)["workgroupArn"]
    client(remote).create_namespace(namespaceName="by-hand")
    by_hand = client(remote).get_namespace(namespaceName="by-hand")["namespace"]["namespaceArn"]

    def list_both(answer: dict[str, Any]) -> None:
        answer["ResourceTagMappingList"] = [{"ResourceARN": arn} for arn in (gone, by_hand)]

    remote.change_answer("resource-groups-tagging-api.GetResources", list_both)
    assert take_inventory(remote.graph(DEFAULT)).tagged == (by_hand,)
    remove(remote, DEFAULT)
    assert take_inventory(remote.graph(DEFAULT)).tagged == (by_hand,)
