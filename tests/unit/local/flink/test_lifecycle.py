"""The states of an application: what leads from one to the next, and what it does to the job."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.local.flink.double import LATENCIES, NAME, World, new_code
from txnpipe.local.service import ServiceError


def refused(world: World, code: str, operation: str, **parameters: object) -> str:
    with pytest.raises(ServiceError) as caught:
        world.call(operation, ApplicationName=NAME, **parameters)
    assert caught.value.code == code
    return caught.value.message


def test_a_created_application_stays_ready_until_it_is_started(world: World) -> None:
    assert world.create()["ApplicationStatus"] == "READY"
    world.work()
    assert world.status == "READY"
    assert world.history == []


def test_start_goes_through_starting_to_running(world: World) -> None:
    world.create()
    operation = world.start()
    assert world.status == "STARTING"
    assert world.operation(operation)["OperationStatus"] == "IN_PROGRESS"
    world.work()
    assert world.status == "RUNNING"
    assert world.operation(operation)["OperationStatus"] == "SUCCESSFUL"
    assert world.history == ["run v1 from nothing"]


def test_states_last_as_long_as_on_the_service_where_asked(slow_world: World) -> None:
    slow_world.create()
    began = slow_world.now
    operation = slow_world.start()
    slow_world.work()
    assert slow_world.now - began == LATENCIES["STARTING"]
    details = slow_world.operation(operation)
    assert details["EndTime"] - details["StartTime"] == LATENCIES["STARTING"]


def test_a_start_that_fails_falls_back_to_ready_and_the_operation_says_why(world: World) -> None:
    world.create()
    world.broken_versions = {1}
    operation = world.start()
    world.work()
    assert world.status == "READY"
    details = world.operation(operation)
    assert details["OperationStatus"] == "FAILED"
    assert "SQL is wrong" in details["OperationFailureDetails"]["ErrorInfo"]["ErrorString"]


def test_without_its_run_options_an_application_does_not_start(world: World) -> None:
    world.create(configuration={"EnvironmentProperties": {"PropertyGroups": []}})
    operation = world.start()
    world.work()
    assert world.status == "READY"
    error = world.operation(operation)["OperationFailureDetails"]["ErrorInfo"]["ErrorString"]
    assert "kinesis.analytics.flink.run.options" in error


def test_only_a_ready_application_can_be_started(world: World) -> None:
    world.running()
    assert "RUNNING" in refused(world, "ResourceInUseException", "StartApplication")


def test_stop_takes_a_snapshot_and_the_next_start_restores_it(world: World) -> None:
    world.running()
    world.call("StopApplication", ApplicationName=NAME)
    assert world.status == "STOPPING"
    world.work()
    assert world.status == "READY"
    [snapshot] = world.snapshots()
    assert snapshot["SnapshotStatus"] == "READY"
    world.start()
    world.work()
    [path] = list(world.directory.glob("*/*/snapshots/*"))
    assert world.history == ["savepoint", f"run v1 from {path}"]


def test_a_start_can_skip_the_snapshot_or_choose_one(world: World) -> None:
    world.running()
    world.call("CreateApplicationSnapshot", ApplicationName=NAME, SnapshotName="first")
    world.work()
    world.call("StopApplication", ApplicationName=NAME)
    world.work()
    world.start(ApplicationRestoreConfiguration={"ApplicationRestoreType": "SKIP_RESTORE_FROM_SNAPSHOT"})
    world.work()
    assert world.history[-1] == "run v1 from nothing"
    world.call("StopApplication", ApplicationName=NAME, Force=True)
    world.work()
    restore = {"ApplicationRestoreType": "RESTORE_FROM_CUSTOM_SNAPSHOT", "SnapshotName": "first"}
    world.start(ApplicationRestoreConfiguration=restore)
    world.work()
    first = world.applications.get("us-east-1", NAME).snapshot("first")
    assert first is not None
    assert world.history[-1] == f"run v1 from {first.path}"


def test_a_snapshot_that_is_not_there_cannot_be_restored(world: World) -> None:
    world.create()
    restore = {"ApplicationRestoreType": "RESTORE_FROM_CUSTOM_SNAPSHOT", "SnapshotName": "none"}
    configuration = {"ApplicationRestoreConfiguration": restore}
    refused(world, "InvalidArgumentException", "StartApplication", RunConfiguration=configuration)
    assert world.status == "READY"


def test_a_stop_whose_snapshot_fails_leaves_the_application_running(world: World) -> None:
    world.running()
    world.cannot_snapshot = True
    operation = world.call("StopApplication", ApplicationName=NAME)["OperationId"]
    world.work()
    assert world.status == "RUNNING"
    assert world.operation(operation)["OperationStatus"] == "FAILED"
    assert world.jobs[-1].alive


def test_a_forced_stop_takes_no_snapshot_and_ends_whatever_was_under_way(world: World) -> None:
    world.create()
    operation = world.start()
    world.call("StopApplication", ApplicationName=NAME, Force=True)
    assert world.status == "FORCE_STOPPING"
    world.work()
    assert world.status == "READY"
    assert world.snapshots() == []
    assert world.operation(operation)["OperationStatus"] == "CANCELLED"
    assert not any(job.alive for job in world.jobs)


def test_without_force_only_a_running_application_can_be_stopped(world: World) -> None:
    world.create()
    refused(world, "ResourceInUseException", "StopApplication")


def test_new_code_restarts_a_running_application_from_a_snapshot(world: World) -> None:
    world.running()
    answer = world.update(ApplicationConfigurationUpdate=new_code())
    assert answer["ApplicationDetail"]["ApplicationStatus"] == "UPDATING"
    assert answer["ApplicationDetail"]["ApplicationVersionId"] == 2
    world.work()
    assert world.status == "RUNNING"
    [path] = list(world.directory.glob("*/*/snapshots/*"))
    assert world.history == ["savepoint", f"run v2 from {path}"]
    change = world.operation(answer["OperationId"])["ApplicationVersionChangeDetails"]
    assert change == {"ApplicationVersionUpdatedFrom": 1, "ApplicationVersionUpdatedTo": 2}


def test_an_update_of_a_failing_job_continues_from_its_newest_checkpoint(world: World) -> None:
    world.running()
    world.cannot_snapshot = True
    world.checkpoint = Path("/checkpoints/chk-7")
    world.update(ApplicationConfigurationUpdate=new_code())
    world.work()
    assert world.history == ["kill", "run v2 from /checkpoints/chk-7"]
    assert world.status == "RUNNING"


def test_what_needs_no_restart_takes_effect_at_once(world: World) -> None:
    world.running()
    change = {"ApplicationSnapshotConfigurationUpdate": {"SnapshotsEnabledUpdate": False}}
    answer = world.update(ApplicationConfigurationUpdate=change)
    assert "OperationId" not in answer
    assert world.status == "RUNNING"
    assert world.describe()["ApplicationVersionId"] == 2
    assert world.history == []


def test_a_failed_update_leaves_the_application_ready_with_its_snapshot(world: World) -> None:
    world.running()
    world.broken_versions = {2}
    operation = world.update(ApplicationConfigurationUpdate=new_code())["OperationId"]
    world.work()
    assert world.status == "READY"
    assert world.operation(operation)["OperationStatus"] == "FAILED"
    assert [snapshot["SnapshotStatus"] for snapshot in world.snapshots()] == ["READY"]


def test_with_system_rollback_a_failed_update_brings_the_former_version_back(world: World) -> None:
    world.create(configuration={"ApplicationSystemRollbackConfiguration": {"RollbackEnabled": True}})
    world.start()
    world.work()
    world.broken_versions = {2}
    world.update(ApplicationConfigurationUpdate=new_code())
    world.work()
    detail = world.describe()
    assert detail["ApplicationStatus"] == "RUNNING"
    assert detail["ApplicationVersionId"] == 3
    assert detail["ApplicationVersionRolledBackTo"] == 1
    assert world.jobs[-1].version == 3


def test_a_rollback_on_request_makes_the_former_version_current_again(world: World) -> None:
    world.running()
    world.update(ApplicationConfigurationUpdate=new_code())
    world.work()
    answer = world.call("RollbackApplication", ApplicationName=NAME, CurrentApplicationVersionId=2)
    world.work()
    assert answer["ApplicationDetail"]["ApplicationVersionRolledBackTo"] == 1
    code = world.describe()["ApplicationConfigurationDescription"]["ApplicationCodeConfigurationDescription"]
    location = code["CodeContentDescription"]["S3ApplicationCodeLocationDescription"]
    assert location["FileKey"] == "code/v1.zip"
    assert world.status == "RUNNING"


def test_a_rollback_wants_an_app_that_runs_and_has_a_snapshot(world: World) -> None:
    world.create()
    refused(world, "ResourceInUseException", "RollbackApplication", CurrentApplicationVersionId=1)
    world.start()
    world.work()
    refused(world, "InvalidRequestException", "RollbackApplication", CurrentApplicationVersionId=1)


def test_delete_ends_the_job_and_leaves_no_file(world: World) -> None:
    world.running()
    created = world.describe()["CreateTimestamp"]
    world.call("DeleteApplication", ApplicationName=NAME, CreateTimestamp=created)
    assert world.status == "DELETING"
    world.work()
    refused(world, "ResourceNotFoundException", "DescribeApplication")
    assert world.history == ["kill"]
    assert list(world.directory.glob("*/app-*")) == []


def test_delete_wants_the_applications_own_creation_time(world: World) -> None:
    created = world.create()["CreateTimestamp"]
    refused(world, "InvalidArgumentException", "DeleteApplication", CreateTimestamp=created - 5)
    assert world.status == "READY"


@pytest.mark.parametrize("operation", ["StartApplication", "CreateApplicationSnapshot"])
def test_what_is_being_started_can_neither_be_started_nor_snapshotted(world: World, operation: str) -> None:
    world.create()
    world.start()
    parameters = {"SnapshotName": "s"} if operation == "CreateApplicationSnapshot" else {}
    refused(world, "ResourceInUseException", operation, **parameters)


class TestAfterACrash:
    """A daemon that was killed comes back; nothing is remembered but what lies on disk."""

    def test_what_was_running_is_resumed(self, world: World) -> None:
        world.running()
        world.open()
        assert world.status == "RUNNING"
        assert world.history == ["resume v1 from nothing"]

    def test_a_start_that_was_cut_short_is_completed(self, world: World) -> None:
        world.create()
        operation = world.start()
        world.open()
        assert world.status == "RUNNING"
        assert world.operation(operation)["OperationStatus"] == "SUCCESSFUL"
        assert world.jobs[-1].resumed

    def test_an_update_that_was_cut_short_continues_what_the_former_version_had_reached(
        self, world: World
    ) -> None:
        world.running()
        world.update(ApplicationConfigurationUpdate=new_code())
        world.checkpoint = Path("/checkpoints/chk-9")
        world.open()
        assert world.status == "RUNNING"
        assert world.history == ["resume v2 from /checkpoints/chk-9"]

    @pytest.mark.parametrize("force", [True, False])
    def test_a_stop_that_was_cut_short_is_completed(self, world: World, force: bool) -> None:
        world.running()
        world.call("StopApplication", ApplicationName=NAME, Force=force)
        world.open()
        assert world.status == "READY"
        assert world.history == []

    def test_a_deletion_that_was_cut_short_is_completed(self, world: World) -> None:
        created = world.create()["CreateTimestamp"]
        world.call("DeleteApplication", ApplicationName=NAME, CreateTimestamp=created)
        world.open()
        assert world.status == "DELETING"
        world.work()
        refused(world, "ResourceNotFoundException", "DescribeApplication")

    def test_a_snapshot_that_was_cut_short_has_failed(self, world: World) -> None:
        world.running()
        world.call("CreateApplicationSnapshot", ApplicationName=NAME, SnapshotName="s")
        world.open()
        assert [snapshot["SnapshotStatus"] for snapshot in world.snapshots()] == ["FAILED"]

    def test_an_orderly_end_of_the_daemon_is_no_failure_of_what_it_interrupts(self, world: World) -> None:
        world.create()
        operation = world.start()
        world.applications.shut_down()
        world.broken_versions = {1}
        world.work()
        world.broken_versions = set()
        world.open()
        assert world.status == "RUNNING"
        assert world.operation(operation)["OperationStatus"] == "SUCCESSFUL"
