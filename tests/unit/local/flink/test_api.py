"""The API around the states: what is kept and described, what is refused, pages."""

from __future__ import annotations

import json
from typing import Any

import botocore.session
import pytest
from botocore.parsers import create_parser
from botocore.validate import ParamValidator

from tests.unit.local.flink.double import NAME, REGION, ROLE, World, new_code
from txnpipe.local.flink.requests import operation_names
from txnpipe.local.flink.service import TARGET
from txnpipe.local.service import Request, ServiceError

MODEL = botocore.session.get_session().get_service_model("kinesisanalyticsv2")


def refused(world: World, code: str, operation: str, **parameters: Any) -> str:
    with pytest.raises(ServiceError) as caught:
        world.call(operation, **parameters)
    assert caught.value.code == code
    return caught.value.message


def parsed(world: World, operation: str, **parameters: Any) -> Any:
    """The answer as boto3 reads it; members that the model does not know would get lost here."""
    body = json.dumps(parameters).encode()
    response = world.service.handle(Request("POST", "/", "", TARGET + operation, REGION, {}, body))
    shape = MODEL.operation_model(operation).output_shape
    assert shape is not None
    answer = create_parser("json").parse(
        {"body": response.body, "headers": {}, "status_code": response.status}, shape
    )
    answer.pop("ResponseMetadata")
    assert not ParamValidator().validate(answer, shape).has_errors()
    assert _names(answer) == _names(json.loads(response.body))
    return answer


def _names(document: Any) -> Any:
    if isinstance(document, dict):
        return {key: _names(value) for key, value in document.items()}
    return [_names(item) for item in document] if isinstance(document, list) else None


def test_answers_fit_the_services_model(world: World) -> None:
    world.create(
        ApplicationDescription="d",
        CloudWatchLoggingOptions=[{"LogStreamARN": "arn:aws:logs:us-east-1:0:log-group:g:log-stream:s"}],
        Tags=[{"Key": "k", "Value": "v"}],
    )
    operation = world.start()
    world.work()
    world.call("CreateApplicationSnapshot", ApplicationName=NAME, SnapshotName="s")
    world.work()
    parsed(world, "DescribeApplication", ApplicationName=NAME, IncludeAdditionalDetails=True)
    parsed(world, "ListApplications")
    parsed(world, "DescribeApplicationOperation", ApplicationName=NAME, OperationId=operation)
    parsed(world, "ListApplicationOperations", ApplicationName=NAME)
    parsed(world, "DescribeApplicationSnapshot", ApplicationName=NAME, SnapshotName="s")
    parsed(world, "ListApplicationSnapshots", ApplicationName=NAME)
    parsed(world, "ListApplicationVersions", ApplicationName=NAME)
    parsed(world, "DescribeApplicationVersion", ApplicationName=NAME, ApplicationVersionId=1)
    arn = world.describe()["ApplicationARN"]
    assert parsed(world, "ListTagsForResource", ResourceARN=arn) == {"Tags": [{"Key": "k", "Value": "v"}]}
    update = {"ApplicationMaintenanceWindowStartTimeUpdate": "20:00"}
    parsed(
        world,
        "UpdateApplicationMaintenanceConfiguration",
        ApplicationName=NAME,
        ApplicationMaintenanceConfigurationUpdate=update,
    )
    parsed(
        world,
        "AddApplicationCloudWatchLoggingOption",
        ApplicationName=NAME,
        CurrentApplicationVersionId=1,
        CloudWatchLoggingOption={"LogStreamARN": "arn:aws:logs:x"},
    )


def test_defaults_are_the_services(world: World) -> None:
    flink = world.create()["ApplicationConfigurationDescription"]["FlinkApplicationConfigurationDescription"]
    assert flink["CheckpointConfigurationDescription"] == {
        "ConfigurationType": "DEFAULT",
        "CheckpointingEnabled": True,
        "CheckpointInterval": 60_000,
        "MinPauseBetweenCheckpoints": 5_000,
    }
    assert flink["ParallelismConfigurationDescription"]["CurrentParallelism"] == 1


def test_an_update_changes_what_it_names_and_keeps_the_rest(world: World) -> None:
    world.create()
    change = {"ParallelismConfigurationUpdate": {"ConfigurationTypeUpdate": "CUSTOM", "ParallelismUpdate": 4}}
    world.update(ApplicationConfigurationUpdate={"FlinkApplicationConfigurationUpdate": change})
    description = world.describe()["ApplicationConfigurationDescription"]
    flink = description["FlinkApplicationConfigurationDescription"]
    assert flink["ParallelismConfigurationDescription"]["Parallelism"] == 4
    assert flink["CheckpointConfigurationDescription"]["CheckpointInterval"] == 60_000
    code = description["ApplicationCodeConfigurationDescription"]["CodeContentDescription"]
    assert code["S3ApplicationCodeLocationDescription"]["FileKey"] == "code/v1.zip"
    group = description["EnvironmentPropertyDescriptions"]["PropertyGroupDescriptions"][0]
    assert group["PropertyMap"] == {"python": "main.py"}


def test_the_sql_runtime_is_refused_with_an_explanation(world: World) -> None:
    with pytest.raises(ServiceError) as caught:
        world.create(RuntimeEnvironment="SQL-1_0")
    assert caught.value.code == "UnsupportedOperationException"
    assert "2026-01-27" in caught.value.message


def test_an_old_runtime_is_refused_and_there_is_no_way_back_from_2_to_1(world: World) -> None:
    with pytest.raises(ServiceError, match="FLINK-1_8 is not available"):
        world.create(RuntimeEnvironment="FLINK-1_8")
    world.create()
    with pytest.raises(ServiceError, match="cannot be changed"):
        world.update(RuntimeEnvironmentUpdate="FLINK-1_20")


def test_the_code_must_be_in_s3_before(world: World) -> None:
    world.code_is_there = False
    with pytest.raises(ServiceError) as caught:
        world.create()
    assert caught.value.code == "InvalidArgumentException"
    assert world.call("ListApplications")["ApplicationSummaries"] == []


def test_a_name_is_taken_once_in_a_region(world: World) -> None:
    world.create()
    with pytest.raises(ServiceError) as caught:
        world.create()
    assert caught.value.code == "ResourceInUseException"


@pytest.mark.parametrize(
    "parameters",
    [{"CurrentApplicationVersionId": 7}, {"ConditionalToken": "stale"}],
    ids=["version", "token"],
)
def test_who_has_not_seen_the_last_change_cannot_make_one(world: World, parameters: dict[str, Any]) -> None:
    world.create()
    refused(world, "ConcurrentModificationException", "UpdateApplication", ApplicationName=NAME, **parameters)


def test_a_change_needs_a_version_or_a_token(world: World) -> None:
    token = world.create()["ConditionalToken"]
    refused(world, "InvalidArgumentException", "UpdateApplication", ApplicationName=NAME)
    world.call(
        "UpdateApplication",
        ApplicationName=NAME,
        ConditionalToken=token,
        ApplicationConfigurationUpdate=new_code(),
    )
    assert world.describe()["ConditionalToken"] != token


@pytest.mark.parametrize(
    ("parameters", "what"),
    [
        ({}, "ApplicationName"),
        ({"ApplicationName": 7}, "ApplicationName"),
        ({"ApplicationName": "a/b"}, "pattern"),
        ({"ApplicationName": "a" * 129}, "128"),
        ({"ApplicationName": "a", "RuntimeEnvironment": "FLINK-9"}, "enum"),
    ],
)
def test_requests_that_break_the_model_are_refused(
    world: World, parameters: dict[str, Any], what: str
) -> None:
    complete = {"RuntimeEnvironment": "FLINK-2_3", "ServiceExecutionRole": ROLE, **parameters}
    assert what in refused(world, "InvalidArgumentException", "CreateApplication", **complete)


def test_values_beside_the_type_default_are_refused(world: World) -> None:
    checkpoint = {"ConfigurationType": "DEFAULT", "CheckpointInterval": 1}
    with pytest.raises(ServiceError, match="CUSTOM"):
        world.create(configuration={"FlinkApplicationConfiguration": {"CheckpointConfiguration": checkpoint}})


def test_every_operation_of_the_service_gets_a_typed_answer(world: World) -> None:
    for operation in operation_names():
        try:
            world.call(operation)
        except ServiceError as error:
            assert error.code in {"InvalidArgumentException", "UnsupportedOperationException"}


def test_an_operation_that_the_service_does_not_know_is_named(world: World) -> None:
    assert "Frobnicate" in refused(world, "UnknownOperationException", "Frobnicate")


def test_lists_come_in_pages(world: World) -> None:
    for number in range(5):
        world.create(ApplicationName=f"App{number}")
    first = world.call("ListApplications", Limit=3)
    second = world.call("ListApplications", Limit=3, NextToken=first["NextToken"])
    names = [s["ApplicationName"] for page in (first, second) for s in page["ApplicationSummaries"]]
    assert names == [f"App{number}" for number in range(5)]
    assert "NextToken" not in second


def test_a_snapshot_is_deleted_with_its_files(world: World) -> None:
    world.running()
    world.call("CreateApplicationSnapshot", ApplicationName=NAME, SnapshotName="s")
    world.work()
    [snapshot] = world.snapshots()
    created = snapshot["SnapshotCreationTimestamp"]
    wrong = {"SnapshotName": "s", "SnapshotCreationTimestamp": created + 9}
    refused(world, "InvalidArgumentException", "DeleteApplicationSnapshot", ApplicationName=NAME, **wrong)
    world.call(
        "DeleteApplicationSnapshot", ApplicationName=NAME, SnapshotName="s", SnapshotCreationTimestamp=created
    )
    assert world.snapshots() == []
    assert list(world.directory.glob("*/*/snapshots/*")) == []


def test_tags_are_added_replaced_and_removed(world: World) -> None:
    arn = world.create(Tags=[{"Key": "a", "Value": "1"}])["ApplicationARN"]
    world.call("TagResource", ResourceARN=arn, Tags=[{"Key": "a", "Value": "2"}, {"Key": "b"}])
    world.call("UntagResource", ResourceARN=arn, TagKeys=["b"])
    assert world.call("ListTagsForResource", ResourceARN=arn)["Tags"] == [{"Key": "a", "Value": "2"}]
    many = [{"Key": f"k{number}"} for number in range(50)]
    refused(world, "TooManyTagsException", "TagResource", ResourceARN=arn, Tags=many)


def test_everything_is_there_after_a_crash(world: World) -> None:
    world.create(Tags=[{"Key": "a", "Value": "1"}], ApplicationDescription="kept")
    before = world.describe()
    world.open()
    assert world.describe() == before


def test_a_name_of_dots_stays_in_its_directory(world: World) -> None:
    world.create(ApplicationName="..")
    assert [path.parent.name for path in world.directory.rglob("application.json")] == ["app-.."]
