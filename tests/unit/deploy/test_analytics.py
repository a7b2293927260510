"""The analytics app against the service's states: drift, operations that fail or hang, lost answers."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ReadTimeoutError

from tests.unit.deploy.remote import Remote, changed_fields, make_zip, settings_of
from tests.unit.deploy.wire import Call, Forward
from txnpipe.errors import ExitCode, TxnpipeError
from txnpipe.resources.analytics_operations import OPERATION_TIMEOUT_S
from txnpipe.resources.analytics_state import RUN_OPTIONS

DEFAULT = settings_of()
NAME = "TransactionAnalytics"
APP = f"analytics app/{NAME}"


def client(remote: Remote) -> Any:
    return remote.target.client("kinesisanalyticsv2")


def detail(remote: Remote) -> Any:
    return client(remote).describe_application(ApplicationName=NAME)["ApplicationDetail"]


def by_hand(remote: Remote, **update: Any) -> None:
    """Somebody changes the application, and it has settled."""
    version = detail(remote)["ApplicationVersionId"]
    client(remote).update_application(
        ApplicationName=NAME, CurrentApplicationVersionId=version, ApplicationConfigurationUpdate=update
    )
    assert detail(remote)["ApplicationStatus"] == "RUNNING"


def lose_answer(remote: Remote, operation: str) -> list[str]:
    """The next call of an operation is carried out, and its answer never arrives."""
    lost: list[str] = []

    def between(call: Call, forward: Forward) -> Any:
        answer = forward()
        if call.operation == operation and not lost:
            lost.append(operation)
            raise ReadTimeoutError(endpoint_url="https://kinesisanalytics")
        return answer

    remote.wire.layers.insert(0, between)
    return lost


def taken(remote: Remote, operation: str) -> list[Call]:
    return [call for call in remote.recorder.taken if call.operation == operation]


def flink(section: str, **values: Any) -> dict[str, Any]:
    update = {
        "ConfigurationTypeUpdate": "CUSTOM",
        **{f"{name}Update": value for name, value in values.items()},
    }
    return {"FlinkApplicationConfigurationUpdate": {f"{section}Update": update}}


def test_all_that_somebody_changed_by_hand_shows_and_is_put_right(remote: Remote) -> None:
    remote.setup(DEFAULT)
    changes: list[tuple[dict[str, Any], list[str]]] = [
        (
            flink("ParallelismConfiguration", Parallelism=8, ParallelismPerKPU=4, AutoScalingEnabled=True),
            ["parallelism", "parallelism_per_kpu", "auto_scaling"],
        ),
        (
            flink("CheckpointConfiguration", CheckpointingEnabled=False, MinPauseBetweenCheckpoints=7),
            ["checkpoints", "checkpoint_pause_ms"],
        ),
        (
            flink("MonitoringConfiguration", MetricsLevel="TASK", LogLevel="DEBUG"),
            ["metrics_level", "log_level"],
        ),
        ({"ApplicationSnapshotConfigurationUpdate": {"SnapshotsEnabledUpdate": False}}, ["snapshots"]),
        (
            {"ApplicationSystemRollbackConfigurationUpdate": {"RollbackEnabledUpdate": False}},
            ["system_rollback"],
        ),
        (
            {
                "EnvironmentPropertyUpdates": {
                    "PropertyGroups": [{"PropertyGroupId": "mine", "PropertyMap": {"a": "b"}}]
                }
            },
            [f"properties.{RUN_OPTIONS}.python", f"properties.{RUN_OPTIONS}.jarfile", "properties.mine.a"],
        ),
    ]
    drifted: set[str] = set()
    for update, fields in changes:
        by_hand(remote, **update)
        drifted |= set(fields)
        plan = changed_fields(remote.plan(DEFAULT))
        assert {key: set(found) for key, found in plan.items()} == {APP: drifted}
    remote.setup(DEFAULT)
    assert changed_fields(remote.plan(DEFAULT)) == {}
    assert detail(remote)["ApplicationStatus"] == "RUNNING"


def test_what_the_settings_ask_for_is_what_the_service_has(remote: Remote) -> None:
    remote.setup(settings_of(analytics={"auto_scaling": True, "parallelism_per_kpu": 2, "log_level": "WARN"}))
    configuration = detail(remote)["ApplicationConfigurationDescription"]
    found = configuration["FlinkApplicationConfigurationDescription"]
    parallelism = found["ParallelismConfigurationDescription"]
    assert (parallelism["AutoScalingEnabled"], parallelism["ParallelismPerKPU"]) == (True, 2)
    assert found["MonitoringConfigurationDescription"]["LogLevel"] == "WARN"
    assert configuration["ApplicationSnapshotConfigurationDescription"] == {"SnapshotsEnabled": True}
    assert configuration["ApplicationSystemRollbackConfigurationDescription"] == {"RollbackEnabled": True}


def test_an_update_that_fails_is_rolled_back_and_the_next_setup_brings_the_mended_one(remote: Remote) -> None:
    remote.setup(DEFAULT)
    remote.zips["analytics"] = make_zip("analytics", "broken")
    remote.own.broken_versions[2] = "SQL validation failed"
    with pytest.raises(TxnpipeError) as caught:
        remote.setup(DEFAULT)
    assert "UpdateApplication of TransactionAnalytics failed: SQL validation failed" in caught.value.cause
    assert "brought the version before it back, and that runs" in caught.value.cause
    assert "/aws/kinesis-analytics/TransactionAnalytics" in caught.value.fix
    assert detail(remote)["ApplicationStatus"] == "RUNNING"
    remote.zips["analytics"] = make_zip("analytics", "mended")
    assert changed_fields(remote.plan(DEFAULT))[APP] == ["code_key"]
    remote.setup(DEFAULT)
    assert changed_fields(remote.plan(DEFAULT)) == {}


def test_an_update_whose_rollback_fails_as_well_says_that_nothing_runs(remote: Remote) -> None:
    remote.setup(DEFAULT)
    remote.zips["analytics"] = make_zip("analytics", "broken")
    remote.own.broken_versions = {2: "SQL validation failed", 3: "the snapshot does not fit"}
    with pytest.raises(TxnpipeError, match="It does not run now") as caught:
        remote.setup(DEFAULT)
    assert "SQL validation failed" in caught.value.cause
    assert detail(remote)["ApplicationStatus"] == "READY"
    remote.own.broken_versions = {}
    remote.setup(DEFAULT)
    assert changed_fields(remote.plan(DEFAULT)) == {}


@pytest.mark.parametrize("operation", ["StartApplication", "CreateApplication"])
def test_a_lost_answer_at_its_creation_is_absorbed(remote: Remote, operation: str) -> None:
    remote.own.flink_latencies = {"StartApplication": 90.0}
    lost = lose_answer(remote, operation)
    remote.setup(DEFAULT)
    assert lost == [operation]
    assert len(taken(remote, operation)) == 1
    assert detail(remote)["ApplicationStatus"] == "RUNNING"


@pytest.mark.parametrize("latency_s", [0.0, 120.0])
def test_a_lost_answer_of_an_update_is_absorbed(remote: Remote, latency_s: float) -> None:
    remote.setup(DEFAULT)
    remote.own.flink_latencies = {"UpdateApplication": latency_s}
    lost = lose_answer(remote, "UpdateApplication")
    remote.setup(settings_of(analytics={"parallelism": 2}))
    assert lost == ["UpdateApplication"]
    assert len(taken(remote, "UpdateApplication")) == 1
    assert detail(remote)["ApplicationStatus"] == "RUNNING"
    assert changed_fields(remote.plan(settings_of(analytics={"parallelism": 2}))) == {}


def test_a_start_whose_answer_is_lost_and_that_fails_tells_why(remote: Remote) -> None:
    remote.own.flink_latencies = {"StartApplication": 90.0}
    remote.own.fail_start = "no main.py"
    lose_answer(remote, "StartApplication")
    with pytest.raises(TxnpipeError, match=r"StartApplication .* failed: no main\.py"):
        remote.setup(DEFAULT)


def test_an_operation_that_hangs_ends_with_what_is_awaited_and_how_to_free_the_app(remote: Remote) -> None:
    remote.setup(DEFAULT)
    remote.own.flink_latencies = {"UpdateApplication": 10 * OPERATION_TIMEOUT_S}
    with pytest.raises(TxnpipeError) as caught:
        remote.setup(settings_of(analytics={"parallelism": 2}))
    assert caught.value.exit_code is ExitCode.TIMEOUT
    assert f"stop-application --force --application-name {NAME}" in caught.value.fix


@pytest.mark.parametrize("status", ["MAINTENANCE", "AUTOSCALING", "ROLLING_BACK"])
def test_a_state_that_passes_by_itself_is_waited_for(remote: Remote, status: str) -> None:
    remote.setup(DEFAULT)
    application = remote.own.application(NAME)
    application.status = status
    remote.own.later.begin(300.0, lambda: setattr(application, "status", "RUNNING"))
    began = remote.now
    remote.setup(settings_of(analytics={"parallelism": 2}))
    assert remote.now - began >= 300
    assert changed_fields(remote.plan(settings_of(analytics={"parallelism": 2}))) == {}


def test_an_app_that_is_being_stopped_by_force_is_started_once_it_has_stopped(remote: Remote) -> None:
    remote.setup(DEFAULT)
    remote.own.flink_latencies = {"StopApplication": 60.0}
    client(remote).stop_application(ApplicationName=NAME, Force=True)
    assert detail(remote)["ApplicationStatus"] == "FORCE_STOPPING"
    remote.setup(DEFAULT)
    assert detail(remote)["ApplicationStatus"] == "RUNNING"


def test_an_app_that_falls_back_once_it_ran_is_told(remote: Remote) -> None:
    remote.own.flink_latencies = {"StartApplication": 90.0}

    def between(call: Call, forward: Forward) -> Any:
        answer = forward()
        if call.operation == "DescribeApplicationOperation" and b"SUCCESSFUL" in answer.content:
            # Started, and on its way up; then the job fails.
            application = remote.own.application(NAME)
            application.status = "STARTING"
            remote.own.later.begin(5.0, lambda: setattr(application, "status", "READY"))
        return answer

    remote.wire.layers.insert(0, between)
    with pytest.raises(TxnpipeError, match="is READY again"):
        remote.setup(DEFAULT)


def test_flink_goes_from_1_to_2_and_never_back(remote: Remote) -> None:
    old, new = (
        settings_of(analytics={"runtime": "FLINK-1_20"}),
        settings_of(analytics={"runtime": "FLINK-2_3"}),
    )
    remote.setup(old)
    assert changed_fields(remote.plan(new)) == {APP: ["runtime"]}
    remote.setup(new)
    with pytest.raises(TxnpipeError, match="cannot change its runtime") as caught:
        remote.plan(old)
    assert caught.value.exit_code is ExitCode.CONFLICT
    assert "Keep the old value" in caught.value.fix
    assert changed_fields(remote.plan(settings_of(analytics={"runtime": "FLINK-2_2"}))) == {APP: ["runtime"]}


def test_status_and_teardown_need_no_connector(remote: Remote) -> None:
    remote.setup(DEFAULT)
    graph = remote.graph(DEFAULT)
    code = graph.resources["code/analytics"]

    def unknown() -> Any:
        raise TxnpipeError("no connector", "name one", ExitCode.USAGE)

    object.__setattr__(code, "artifact", unknown)
    observed = code.read()
    assert observed is not None
    assert (observed.status, observed.state) == ("available", None)
