"""What services do to those who wait: slow, stuck, falling back. Every command ends within a bound."""

from __future__ import annotations

import pytest

from tests.unit.deploy.motion import Motion
from tests.unit.deploy.remote import Remote, changed_fields, settings_of, tear_down
from txnpipe.errors import ExitCode, TxnpipeError
from txnpipe.local.redshift.transitions import Latencies

DEFAULT = settings_of()
FOR_EVER = 1e9
APP = "analytics app/TransactionAnalytics"
WAREHOUSE = "warehouse/transaction-warehouse"


def slow(remote: Remote, *, role_s: float = 0.0, **seconds: float) -> None:
    """Lets the operations named ("lambda_CreateFunction") take so long, and nothing else any time."""
    Motion(remote, {name.replace("_", "."): taken for name, taken in seconds.items()}, role_s).start()
    remote.own.slow({}, Latencies(), Latencies())


def seconds_of(remote: Remote, command: str = "setup") -> float:
    started = remote.now
    remote.setup(DEFAULT) if command == "setup" else tear_down(remote, DEFAULT)
    return remote.now - started


def failure(remote: Remote, settings: object = DEFAULT) -> tuple[TxnpipeError, float]:
    started = remote.now
    with pytest.raises(TxnpipeError) as caught:
        remote.setup(settings)  # type: ignore[arg-type]
    return caught.value, remote.now - started


def test_roles_that_nobody_knows_for_a_while_are_awaited(remote: Remote) -> None:
    slow(remote, role_s=20)
    assert 20 <= seconds_of(remote) <= 26
    assert remote.plan(DEFAULT).empty


def test_roles_that_nobody_ever_knows_are_an_error_after_five_minutes(remote: Remote) -> None:
    slow(remote, role_s=FOR_EVER)
    error, seconds = failure(remote)
    assert seconds <= 301
    causes = [error.cause, *error.details]
    for name in ("TransactionLoader", "TransactionNotifier", "TransactionAnalytics"):
        assert any(f"The role of {name} is still refused after 300 s" in cause for cause in causes)
    assert "service control policy" in error.fix


def test_mappings_wait_for_a_role_s_permissions(remote: Remote) -> None:
    remote.refuse(
        "lambda.CreateEventSourceMapping",
        "InvalidParameterValueException",
        "Cannot access stream. Please ensure the role can perform the GetRecords Actions on your stream.",
        times=9,
    )
    assert seconds_of(remote) <= 60
    assert remote.plan(DEFAULT).empty


def test_a_function_that_stays_pending_while_its_interfaces_are_made_is_awaited(remote: Remote) -> None:
    slow(remote, lambda_CreateFunction=90)
    assert 90 <= seconds_of(remote) <= 92


def test_a_function_that_is_pending_for_ever_is_named(remote: Remote) -> None:
    slow(remote, lambda_CreateFunction=FOR_EVER)
    error, seconds = failure(remote)
    assert error.exit_code is ExitCode.TIMEOUT
    assert "Waited 600 s for function Transaction" in error.cause
    assert seconds <= 601


def test_a_paused_warehouse_is_resumed_in_the_time_that_takes(remote: Remote) -> None:
    remote.setup(DEFAULT)
    remote.target.client("redshift").pause_cluster(ClusterIdentifier="transaction-warehouse")
    Motion(remote).start()
    assert changed_fields(remote.plan(DEFAULT))[WAREHOUSE] == ["running"]
    assert 300 <= seconds_of(remote) <= 302
    assert remote.plan(DEFAULT).empty


def test_a_warehouse_that_is_modifying_for_ever_is_named(remote: Remote) -> None:
    remote.setup(DEFAULT)
    remote.own.cluster("transaction-warehouse").status = "modifying"
    error, seconds = failure(remote)
    assert error.exit_code is ExitCode.TIMEOUT
    assert "warehouse transaction-warehouse" in error.cause
    assert seconds <= 3601


def test_a_start_that_never_ends_is_named_and_continued(remote: Remote) -> None:
    remote.own.flink_latencies = {"StartApplication": FOR_EVER}
    error, seconds = failure(remote)
    assert error.exit_code is ExitCode.TIMEOUT
    assert "Waited 1200 s for analytics app TransactionAnalytics" in error.cause
    assert seconds <= 1201
    remote.own.later.entries.clear()
    remote.own.application("TransactionAnalytics").status = "RUNNING"
    remote.setup(DEFAULT)
    assert remote.plan(DEFAULT).empty


def test_an_app_that_falls_back_to_ready_says_why(remote: Remote) -> None:
    remote.own.flink_latencies = {"StartApplication": 60.0}
    remote.own.fail_start = "the code has no main.py"
    error, seconds = failure(remote)
    assert "StartApplication of TransactionAnalytics failed: the code has no main.py" in error.cause
    assert seconds <= 62
    remote.own.fail_start = ""
    assert changed_fields(remote.plan(DEFAULT)) == {APP: ["running"]}
    assert seconds_of(remote) <= 62


def test_an_app_that_falls_back_while_it_is_updated_is_started_again_by_the_next_setup(
    remote: Remote,
) -> None:
    remote.setup(DEFAULT)
    remote.own.fail_start = "not enough slots"
    changed = settings_of(analytics={"parallelism": 2})
    error, _ = failure(remote, changed)
    assert "UpdateApplication of TransactionAnalytics failed: not enough slots" in error.cause
    remote.own.fail_start = ""
    remote.setup(changed)
    assert remote.plan(changed).empty
    assert remote.own.application("TransactionAnalytics").status == "RUNNING"


def test_a_stream_that_is_updating_for_ever_is_named(remote: Remote) -> None:
    remote.setup(DEFAULT)
    slow(remote, kinesis_IncreaseStreamRetentionPeriod=FOR_EVER)
    error, seconds = failure(remote, settings_of(stream={"retention_hours": 48}))
    assert error.exit_code is ExitCode.TIMEOUT
    assert "Waited 600 s for stream Transaction" in error.cause
    assert seconds <= 601


def test_an_app_in_the_middle_of_its_start_is_torn_down(remote: Remote) -> None:
    remote.own.flink_latencies = {"StartApplication": FOR_EVER, "StopApplication": 30.0}
    failure(remote)
    assert seconds_of(remote, "teardown") <= 40


def test_a_workgroup_that_somebody_is_modifying_is_awaited_and_put_right(remote: Remote) -> None:
    settings = settings_of(warehouse={"kind": "serverless", "max_capacity_rpu": 64})
    remote.setup(settings)
    Motion(remote).start()
    serverless = remote.target.client("redshift-serverless")
    serverless.update_workgroup(workgroupName="transaction-warehouse", baseCapacity=16)
    started = remote.now
    remote.setup(settings)
    assert remote.now - started <= 125  # one wait for the stranger's change, one for ours
    assert remote.plan(settings).empty


def test_a_workgroup_takes_its_changes_one_by_one(remote: Remote) -> None:
    remote.setup(settings_of(warehouse={"kind": "serverless"}))
    Motion(remote).start()
    changed = settings_of(
        warehouse={"kind": "serverless", "base_capacity_rpu": 8, "max_capacity_rpu": 64, "port": 5440}
    )
    started = remote.now
    remote.setup(changed)
    assert remote.now - started <= 3 * 60 * 1.1 + 10
    assert remote.plan(changed).empty
