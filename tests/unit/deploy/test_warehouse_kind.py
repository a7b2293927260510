"""The provisioned warehouse in a pipeline: what can be ordered, one kind at a time, and one loader user."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.unit.deploy.remote import Remote, changed_fields, count_changes, settings_of
from tests.unit.deploy.wire import Killed
from txnpipe.deploy.graph import assemble
from txnpipe.deploy.inspection import inspect
from txnpipe.errors import ExitCode, TxnpipeError
from txnpipe.names import Names
from txnpipe.resources.resource import tags_of

DEFAULT = settings_of()
SERVERLESS = settings_of(warehouse={"kind": "serverless"})
OTHER_USER = settings_of(warehouse={"loader_user": "other_loader"})


def refused(remote: Remote, **warehouse: Any) -> TxnpipeError:
    with pytest.raises(TxnpipeError) as caught:
        remote.plan(settings_of(warehouse=warehouse))
    return caught.value


@pytest.mark.parametrize(
    ("node_type", "nodes", "cause", "fix"),
    [
        ("rg.tiny", 1, "offers no rg.tiny nodes in us-east-1", "ra3.large, ra3.xlplus, rg.large, rg.xlarge"),
        ("ra3.4xlarge", 1, "ra3.4xlarge has at least two nodes", "ra3.large"),
        ("dc2.large", 2, "no longer creates dc2.large", "rg.large"),
    ],
)
def test_a_cluster_that_cannot_be_ordered_is_refused_by_the_plan_with_what_can_be(
    remote: Remote, node_type: str, nodes: int, cause: str, fix: str
) -> None:
    error = refused(remote, node_type=node_type, nodes=nodes)
    assert error.exit_code is ExitCode.USAGE
    assert cause in error.cause
    assert fix in error.fix
    assert remote.recorder.changes == []


def test_a_cluster_that_can_no_longer_be_ordered_stays_as_it_is(remote: Remote) -> None:
    remote.setup(DEFAULT)
    remote.change_answer(
        "redshift.DescribeOrderableClusterOptions", lambda answer: answer.update(OrderableClusterOptions=[])
    )
    assert remote.plan(DEFAULT).empty


def test_another_kind_is_refused_while_the_cluster_is_there_and_nothing_is_changed(remote: Remote) -> None:
    remote.setup(DEFAULT)
    before = list(remote.recorder.changes)
    error = refused(remote, kind="serverless")
    assert error.exit_code is ExitCode.CONFLICT
    assert "The pipeline has a provisioned warehouse" in error.cause
    assert "warehouse.kind to provisioned" in error.fix
    assert "txnpipe teardown" in error.fix
    assert remote.recorder.changes == before


def test_a_stranger_s_cluster_of_that_name_is_no_reason_to_refuse(remote: Remote) -> None:
    remote.target.client("redshift").create_cluster(
        ClusterIdentifier="transaction-warehouse",
        NodeType="rg.large",
        MasterUsername="adm",
        MasterUserPassword="Password1",
    )
    assert "namespace/transaction-warehouse" in changed_fields(remote.plan(SERVERLESS))


def test_whatever_looks_and_removes_sees_both_kinds(remote: Remote) -> None:
    remote.setup(DEFAULT)
    names = Names("default", remote.target.account, remote.target.region)
    graph = assemble(remote.target, SERVERLESS, names, every_warehouse=True)
    found = {f"{finding.kind}/{finding.name}": finding.present for finding in inspect(graph)}
    assert found["warehouse/transaction-warehouse"]
    assert found["subnet group/transaction-warehouse"]
    assert not found["workgroup/transaction-warehouse"]
    graph = assemble(remote.target, DEFAULT, names, every_warehouse=True)
    assert "workgroup" not in {finding.kind for finding in inspect(graph)}


def test_the_former_loader_user_goes_when_another_is_configured(remote: Remote) -> None:
    remote.setup(DEFAULT)
    assert list(remote.warehouse.users) == ["txnpipe_loader"]
    remote.setup(OTHER_USER)
    assert list(remote.warehouse.users) == ["other_loader"]
    assert remote.plan(OTHER_USER).empty
    variables = remote.target.client("lambda").get_function_configuration(FunctionName="TransactionLoader")
    assert variables["Environment"]["Variables"]["WAREHOUSE_USER"] == "other_loader"


def test_a_change_of_the_loader_user_killed_anywhere_leaves_one_user(
    new_remote: Callable[[], Remote],
) -> None:
    remote = new_remote()
    remote.setup(DEFAULT)
    bring_back = remote.keep()
    total = count_changes(remote, lambda account: account.setup(OTHER_USER))
    for kill_after in range(1, total):
        bring_back()
        remote.recorder.kill_after = kill_after
        with pytest.raises(Killed):
            remote.setup(OTHER_USER)
        remote.recorder.revive()
        remote.setup(OTHER_USER)
        assert list(remote.warehouse.users) == ["other_loader"], f"killed after {kill_after}"
        secret = remote.target.client("secretsmanager").describe_secret(SecretId="txnpipe/default/loader")
        assert tags_of(secret["Tags"])["txnpipe:users-made"] == "other_loader"


def test_a_former_user_that_was_not_removed_yet_is_a_difference(remote: Remote) -> None:
    remote.setup(DEFAULT)
    remote.target.client("secretsmanager").tag_resource(
        SecretId="txnpipe/default/loader",
        Tags=[{"Key": "txnpipe:users-made", "Value": "older txnpipe_loader"}],
    )
    remote.warehouse.users["older"] = ""
    assert changed_fields(remote.plan(DEFAULT)) == {"database user/txnpipe_loader": ["former"]}
    remote.setup(DEFAULT)
    assert list(remote.warehouse.users) == ["txnpipe_loader"]
