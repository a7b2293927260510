"""The API of event source mappings: requests, answers, states, errors."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import botocore.session
import pytest
from botocore.parsers import create_parser

from tests.unit.local.event_sources.doubles import FUNCTION, NOW, STREAM, Function, MemoryEngine, outside
from tests.waiting import eventually
from txnpipe.local.event_sources.lane import Outside
from txnpipe.local.event_sources.registry import Registry
from txnpipe.local.event_sources.service import EventSourceService
from txnpipe.local.service import Request, Response, ServiceError

ROOT = "/2015-03-31/event-source-mappings"
MINIMAL = {"EventSourceArn": STREAM, "FunctionName": "loader", "StartingPosition": "TRIM_HORIZON"}


class Api:
    """The service over doubles; functions named "loader..." exist."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.engine = MemoryEngine()
        self.engine.on_wait = lambda: time.sleep(0.002)  # waiting lanes must let others run
        self.function = Function()
        self.told: list[dict[str, int]] = []
        self.open()

    def open(self) -> None:
        self.outside: Outside = outside(self.engine, self.function, self.directory)[0]
        self.registry = Registry(
            self.outside, lambda arn, _region: ":function:loader" in arn, self.told.append
        )
        self.service = EventSourceService(self.registry)
        self.registry.start()

    def close(self) -> None:
        self.registry.stop(1_000_000)  # seconds of the engine's clock, which waiting lanes advance
        self.outside.store.close()

    def call(self, method: str, path: str, body: Any = None, query: str = "") -> Response:
        raw = b"" if body is None else json.dumps(body).encode()
        assert self.service.claims(method, path, "")
        return self.service.handle(Request(method, path, query, "", "us-east-1", {}, raw))

    def json(self, method: str, path: str, body: Any = None, query: str = "") -> dict[str, Any]:
        answer: dict[str, Any] = json.loads(self.call(method, path, body, query).body)
        return answer

    def create(self, **fields: Any) -> dict[str, Any]:
        return self.json("POST", ROOT, MINIMAL | fields)

    def settled(self, uuid: str) -> dict[str, Any]:
        def look() -> dict[str, Any] | None:
            shown = self.json("GET", f"{ROOT}/{uuid}")
            return shown if shown["State"] in ("Enabled", "Disabled") else None

        return eventually(look, "mapping that has settled", interval_s=0.002)

    def until_delivered(self, count: int) -> list[int]:
        """The sequence numbers that reached the function, once there are so many."""
        eventually(lambda: len(self.function.delivered) >= count, f"{count} records", interval_s=0.002)
        return self.function.delivered

    def error(self, method: str, path: str, body: Any = None, query: str = "") -> ServiceError:
        with pytest.raises(ServiceError) as caught:
            self.call(method, path, body, query)
        return caught.value


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Api]:
    made = Api(tmp_path)
    yield made
    made.close()


def test_a_new_mapping_has_awss_defaults(api: Api) -> None:
    answer = api.call("POST", ROOT, MINIMAL)
    shown = json.loads(answer.body)
    assert answer.status == 202
    uuid = shown.pop("UUID")
    assert shown == {
        "EventSourceMappingArn": f"arn:aws:lambda:us-east-1:000000000000:event-source-mapping:{uuid}",
        "EventSourceArn": STREAM,
        "FunctionArn": FUNCTION,
        "StartingPosition": "TRIM_HORIZON",
        "State": "Creating",
        "StateTransitionReason": "User action",
        "LastModified": NOW,
        "LastProcessingResult": "No records processed",
        "BatchSize": 100,
        "MaximumBatchingWindowInSeconds": 0,
        "ParallelizationFactor": 1,
        "MaximumRecordAgeInSeconds": -1,
        "MaximumRetryAttempts": -1,
        "BisectBatchOnFunctionError": False,
        "TumblingWindowInSeconds": 0,
        "FunctionResponseTypes": [],
        "DestinationConfig": {"OnFailure": {}},
    }


def test_botocore_understands_the_answer(api: Api) -> None:
    answer = api.call("POST", ROOT, MINIMAL | {"Tags": {"a": "b"}})
    model: Any = botocore.session.get_session().get_service_model("lambda")
    shape = model.operation_model("CreateEventSourceMapping").output_shape
    parsed = create_parser("rest-json").parse({"status_code": 202, "headers": {}, "body": answer.body}, shape)
    assert parsed["LastModified"].timestamp() == NOW
    assert set(json.loads(answer.body)) <= set(shape.members)


def test_a_mapping_becomes_enabled_and_delivers(api: Api) -> None:
    put = api.engine.put()
    uuid = api.create()["UUID"]
    assert api.settled(uuid)["State"] == "Enabled"
    assert api.until_delivered(1) == [put]
    # Counted once the function has answered.
    eventually(lambda: api.registry.counters()[0].records, "record that is counted", interval_s=0.002)
    counters = api.registry.counters()[0]
    assert (counters.uuid, counters.records, counters.state) == (uuid, 1, "Enabled")


def test_a_disabled_mapping_rests_and_continues_where_it_was(api: Api) -> None:
    uuid = api.create(Enabled=False)["UUID"]
    assert api.settled(uuid)["State"] == "Disabled"
    put = api.engine.put()
    assert api.function.events == []
    assert api.json("PUT", f"{ROOT}/{uuid}", {"Enabled": True})["State"] == "Enabling"
    assert api.settled(uuid)["State"] == "Enabled"
    assert api.until_delivered(1) == [put]
    assert api.json("PUT", f"{ROOT}/{uuid}", {"Enabled": False})["State"] == "Disabling"
    assert api.settled(uuid)["State"] == "Disabled"


def test_an_update_changes_what_it_names_only(api: Api) -> None:
    uuid = api.create(BatchSize=10, BisectBatchOnFunctionError=True)["UUID"]
    api.settled(uuid)
    changed = api.json(
        "PUT",
        f"{ROOT}/{uuid}",
        {
            "MaximumRetryAttempts": 2,
            "FunctionResponseTypes": ["ReportBatchItemFailures"],
            "DestinationConfig": {"OnFailure": {"Destination": "arn:aws:s3:::bucket"}},
            "FilterCriteria": {"Filters": [{"Pattern": '{"partitionKey":["a"]}'}]},
        },
    )
    assert changed["State"] == "Updating"
    shown = api.settled(uuid)
    assert (shown["BatchSize"], shown["BisectBatchOnFunctionError"], shown["MaximumRetryAttempts"]) == (
        10,
        True,
        2,
    )
    assert shown["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
    assert shown["DestinationConfig"] == {"OnFailure": {"Destination": "arn:aws:s3:::bucket"}}
    assert shown["FilterCriteria"] == {"Filters": [{"Pattern": '{"partitionKey":["a"]}'}]}
    api.json("PUT", f"{ROOT}/{uuid}", {"DestinationConfig": {"OnFailure": {}}, "FilterCriteria": {}})
    shown = api.settled(uuid)
    assert shown["DestinationConfig"] == {"OnFailure": {}}
    assert "FilterCriteria" not in shown


def test_a_deleted_mapping_goes_through_deleting_and_is_gone(api: Api) -> None:
    uuid = api.create()["UUID"]
    api.settled(uuid)
    assert api.json("DELETE", f"{ROOT}/{uuid}")["State"] == "Deleting"
    eventually(lambda: not api.registry.mappings(), "deletion", interval_s=0.002)
    error = api.error("GET", f"{ROOT}/{uuid}")
    assert (error.code, error.status) == ("ResourceNotFoundException", 404)
    assert api.outside.store.shards(uuid) == {}
    api.create()  # the pair is free again


def test_a_mapping_in_transition_is_in_use(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api.registry, "_settle_later", lambda _uuid: None)
    uuid = api.create()["UUID"]
    assert api.error("PUT", f"{ROOT}/{uuid}", {"BatchSize": 1}).code == "ResourceInUseException"
    assert api.error("DELETE", f"{ROOT}/{uuid}").code == "ResourceInUseException"


def test_one_mapping_per_stream_and_function(api: Api) -> None:
    uuid = api.create()["UUID"]
    error = api.error("POST", ROOT, MINIMAL)
    assert (error.code, error.status) == ("ResourceConflictException", 409)
    assert uuid in error.message
    api.create(FunctionName="loader:prod")


def test_everything_is_there_after_a_restart(api: Api) -> None:
    first = api.engine.put()
    uuid = api.create(BatchSize=7, Tags={"team": "data"})["UUID"]
    api.settled(uuid)
    api.until_delivered(1)
    api.close()
    second = api.engine.put()
    api.open()
    assert api.settled(uuid)["BatchSize"] == 7
    assert api.until_delivered(2) == [first, second]
    arn = f"arn:aws:lambda:us-east-1:000000000000:event-source-mapping:{uuid}"
    assert api.json("GET", f"/2017-03-31/tags/{arn}") == {"Tags": {"team": "data"}}


@pytest.mark.parametrize(
    ("left_in", "becomes"),
    [("Creating", "Enabled"), ("Updating", "Enabled"), ("Disabling", "Disabled"), ("Deleting", None)],
)
def test_a_transition_cut_short_by_a_kill_is_completed(
    api: Api, monkeypatch: pytest.MonkeyPatch, left_in: str, becomes: str | None
) -> None:
    uuid = api.create()["UUID"]
    api.settled(uuid)
    monkeypatch.setattr(api.registry, "_settle_later", lambda _uuid: None)  # the kill
    if left_in == "Deleting":
        api.json("DELETE", f"{ROOT}/{uuid}")
    elif left_in != "Creating":
        api.json("PUT", f"{ROOT}/{uuid}", {"Enabled": left_in != "Disabling"})
    api.close()
    api.open()
    if becomes is None:
        assert api.error("GET", f"{ROOT}/{uuid}").code == "ResourceNotFoundException"
    else:
        assert api.settled(uuid)["State"] == becomes


def test_lists_are_filtered_and_come_in_pages(api: Api) -> None:
    names = [f"loader-{number}" for number in range(5)]
    for name in names:
        api.engine.clock.advance(1)
        api.create(FunctionName=name)
    everything = api.json("GET", ROOT)
    assert [m["FunctionArn"].rpartition(":")[2] for m in everything["EventSourceMappings"]] == names
    assert "NextMarker" not in everything
    (one,) = api.json("GET", ROOT + "/", query="FunctionName=loader-3")["EventSourceMappings"]
    assert one["FunctionArn"].endswith(":loader-3")
    by_arn = api.json("GET", ROOT, query=f"FunctionName={FUNCTION}-1&EventSourceArn={STREAM}")
    assert len(by_arn["EventSourceMappings"]) == 1
    assert api.json("GET", ROOT, query=f"EventSourceArn={STREAM}-other") == {"EventSourceMappings": []}
    seen: list[str] = []
    page: dict[str, Any] = {"NextMarker": ""}
    while "NextMarker" in page:
        page = api.json("GET", ROOT, query=f"MaxItems=2&Marker={page['NextMarker']}")
        seen += [m["FunctionArn"].rpartition(":")[2] for m in page["EventSourceMappings"]]
    assert seen == names


def test_tags_can_be_changed(api: Api) -> None:
    arn = api.create(Tags={"a": "1"})["EventSourceMappingArn"]
    assert api.call("POST", f"/2017-03-31/tags/{arn}", {"Tags": {"b": "2", "c": "3"}}).status == 204
    assert api.call("DELETE", f"/2017-03-31/tags/{arn}", query="tagKeys=a&tagKeys=c").status == 204
    assert api.json("GET", f"/2017-03-31/tags/{arn}") == {"Tags": {"b": "2"}}


def test_only_its_own_paths_are_claimed(api: Api) -> None:
    assert not api.service.claims("GET", "/2015-03-31/functions", "")
    assert not api.service.claims("GET", f"/2017-03-31/tags/{FUNCTION}", "")
    assert api.service.claims(
        "GET", "/2017-03-31/tags/arn%3Aaws%3Alambda%3Ar%3A0%3Aevent-source-mapping%3Ax", ""
    )


@pytest.mark.parametrize(
    ("fields", "code", "message"),
    [
        ({"BatchSize": 0}, "ValidationException", "greater than or equal to 1"),
        ({"BatchSize": 10_001}, "ValidationException", "less than or equal to 10000"),
        ({"BatchSize": "10"}, "ValidationException", "be a integer"),
        ({"BatchSize": True}, "ValidationException", "be a integer"),
        ({"MaximumBatchingWindowInSeconds": 301}, "ValidationException", "less than or equal to 300"),
        ({"ParallelizationFactor": 11}, "ValidationException", "less than or equal to 10"),
        ({"MaximumRetryAttempts": -2}, "ValidationException", "greater than or equal to -1"),
        ({"MaximumRecordAgeInSeconds": 604_801}, "ValidationException", "less than or equal to 604800"),
        ({"MaximumRecordAgeInSeconds": 59}, "InvalidParameterValueException", "at least 60"),
        ({"FunctionResponseTypes": ["Other"]}, "ValidationException", "enum value set"),
        ({"StartingPosition": "NOW"}, "ValidationException", "enum value set"),
        ({"StartingPosition": None}, "InvalidParameterValueException", "startingPosition"),
        ({"StartingPosition": "AT_TIMESTAMP"}, "InvalidParameterValueException", "AT_TIMESTAMP"),
        ({"StartingPositionTimestamp": NOW}, "InvalidParameterValueException", "AT_TIMESTAMP"),
        (
            {"StartingPosition": "AT_TIMESTAMP", "StartingPositionTimestamp": NOW + 60},
            "InvalidParameterValueException",
            "future",
        ),
        ({"FunctionName": "no spaces allowed"}, "ValidationException", "pattern"),
        ({"FunctionName": "missing"}, "InvalidParameterValueException", "Function does not exist"),
        ({"FunctionName": None}, "InvalidParameterValueException", "FunctionName is required"),
        ({"EventSourceArn": None}, "InvalidParameterValueException", "EventSourceArn is required"),
        (
            {"EventSourceArn": "arn:aws:sqs:us-east-1:000000000000:queue"},
            "InvalidParameterValueException",
            "Kinesis data streams only",
        ),
        ({"EventSourceArn": STREAM + "-other"}, "InvalidParameterValueException", "Stream not found"),
        (
            {"EventSourceArn": STREAM.replace("us-east-1", "eu-west-1")},
            "InvalidParameterValueException",
            "region",
        ),
        ({"TumblingWindowInSeconds": 30}, "InvalidParameterValueException", "TumblingWindowInSeconds"),
        ({"Topics": ["orders"]}, "InvalidParameterValueException", "Topics"),
        (
            {"DestinationConfig": {"OnFailure": {"Destination": "arn:aws:lambda:us-east-1:000000000000:x"}}},
            "InvalidParameterValueException",
            "S3 bucket",
        ),
        (
            {"DestinationConfig": {"OnSuccess": {"Destination": "arn:aws:s3:::bucket"}}},
            "InvalidParameterValueException",
            "OnSuccess",
        ),
        (
            {"FilterCriteria": {"Filters": [{"Pattern": "{"}]}},
            "InvalidParameterValueException",
            "Invalid filter pattern",
        ),
        (
            {"FilterCriteria": {"Filters": [{"Pattern": '{"partitionKey":["a"]}'}] * 6}},
            "InvalidParameterValueException",
            "5 filters",
        ),
    ],
)
def test_a_request_that_aws_would_refuse_is_refused_and_changes_nothing(
    api: Api, fields: dict[str, Any], code: str, message: str
) -> None:
    error = api.error("POST", ROOT, MINIMAL | fields)
    assert error.code == code
    assert message in error.message
    assert api.registry.mappings() == []


def test_a_body_that_is_not_json_is_refused(api: Api) -> None:
    with pytest.raises(ServiceError, match="InvalidRequestContentException"):
        api.service.handle(Request("POST", ROOT, "", "", "us-east-1", {}, b"{"))


def test_another_region_does_not_see_the_mapping(api: Api) -> None:
    uuid = api.create()["UUID"]
    for method in ("GET", "PUT", "DELETE"):
        with pytest.raises(ServiceError, match="ResourceNotFoundException"):
            api.service.handle(Request(method, f"{ROOT}/{uuid}", "", "", "eu-west-1", {}, b"{}"))


def test_it_is_told_how_many_enabled_mappings_feed_each_function(api: Api) -> None:
    other = FUNCTION.replace("loader", "loader-2")
    first, second = (api.create(FunctionName=name)["UUID"] for name in (FUNCTION, other))
    api.settled(first)
    api.settled(second)
    assert api.told[-1] == {FUNCTION: 1, other: 1}
    api.json("PUT", f"{ROOT}/{first}", {"Enabled": False})
    api.settled(first)
    assert api.told[-1] == {other: 1}
    api.close()
    api.open()
    assert api.told[-1] == {other: 1}
    api.json("DELETE", f"{ROOT}/{second}")
    eventually(lambda: api.registry.mappings() == [api.registry.get(first)], "deletion", interval_s=0.002)
    assert api.told[-1] == {}
