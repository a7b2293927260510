"""The three parts at work in one process, and how tests talk to them."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

from tests.unit.local.lambda_runtime.doubles import a_function
from tests.waiting import eventually
from txnpipe.local.event_sources.part import EventSourcesPart
from txnpipe.local.kinesis.part import KinesisPart
from txnpipe.local.lambda_runtime.functions import FunctionSpec
from txnpipe.local.lambda_runtime.part import LambdaPart
from txnpipe.local.part import LocalContext, Part
from txnpipe.local.service import Request, ServiceError

REGION = "us-east-1"
STREAM = "arn:aws:kinesis:us-east-1:000000000000:stream/orders"
PATH = "/2015-03-31/event-source-mappings"

RECORDER = """
import base64, json, os, pathlib, time

def line(record):
    kinesis = record["kinesis"]
    data = base64.b64decode(kinesis["data"]).decode()
    shard = record["eventID"].partition(":")[0]
    return json.dumps([shard, kinesis["sequenceNumber"], kinesis["partitionKey"], data]) + "\\n"

def handler(event, context):
    lines = "".join(map(line, event["Records"]))
    if os.environ.get("FAIL_ON") and os.environ["FAIL_ON"] in lines: raise ValueError("bad record")
    if hold := os.environ.get("HOLD"):
        pathlib.Path(hold + ".held").touch()
        while os.path.exists(hold): time.sleep(0.01)
    with open(os.environ["OUTPUT"], "rb") as output: written = len(output.readlines())
    while written >= float(os.environ.get("MOST", "inf")): time.sleep(60)
    with open(os.environ["OUTPUT"], "ab", buffering=0) as output: output.write(lines.encode())
"""
"""Writes what it gets to a file, one line a record: shard, sequence number, key, data.

FAIL_ON: fails where this text is in a batch. HOLD: does not go on as long as this file is there, and makes
HOLD.held once it waits. MOST: hangs once so many lines are written.
"""

PATIENT_S = 60
"""The function's time-out: none that a slow machine could reach, for a batch that ran into it comes twice."""


class Machine:
    """One function, named "f", which can be changed."""

    def __init__(self, home: Path, **variables: str) -> None:
        """`variables`: the environment of the function, which may be invoked before this returns."""
        self.output = home.parent / "output"
        self.output.touch()
        context = LocalContext(
            home=home,
            endpoint_url="http://127.0.0.1:9",
            access_key_id="KEY",
            secret_access_key="SECRET",
            enforce_limits=False,
            flink_heap_mb=512,
            client=self._client,
        )
        self.sent: list[dict[str, Any]] = []
        self.function: FunctionSpec | None = None
        self.define(RECORDER, variables=variables)
        self.kinesis = KinesisPart(context)
        self.functions = LambdaPart(context, find=self._find)
        self.mappings = EventSourcesPart(context, self.kinesis.engine, self.functions.invoke, find=self._find)
        self._parts: list[Part] = [self.kinesis, self.functions, self.mappings]
        for part in self._parts:
            part.start()

    def stop(self) -> None:
        for part in reversed(self._parts):
            part.stop()
        self._parts = []

    def define(self, source: str, **settings: Any) -> None:
        """Replaces the function."""
        variables = {"OUTPUT": str(self.output)} | settings.pop("variables", {})
        settings = {"timeout_s": PATIENT_S} | settings
        self.function = a_function(source, environment=tuple(sorted(variables.items())), **settings)

    def _find(self, _name: str, _region: str, _qualifier: str | None = None) -> FunctionSpec:
        if self.function is None:
            raise ServiceError("ResourceNotFoundException", "Function not found", 404)
        return self.function

    def _client(self, _service: str, _region: str) -> Any:
        """Stands for S3."""
        machine = self

        class Client:
            def put_object(self, **arguments: Any) -> None:
                machine.sent.append(arguments)

        return Client()

    def call_kinesis(self, operation: str, **body: Any) -> dict[str, Any]:
        answer = self.kinesis.service.handle(
            Request(
                "POST",
                "/",
                "",
                f"Kinesis_20131202.{operation}",
                REGION,
                {"content-type": "application/x-amz-json-1.1"},
                json.dumps(body).encode(),
            )
        )
        parsed: dict[str, Any] = json.loads(answer.body or b"{}")
        return parsed

    def create_stream(self, shards: int = 1) -> None:
        self.call_kinesis("CreateStream", StreamName="orders", ShardCount=shards)
        self.until_active()

    def until_active(self) -> None:
        def active() -> bool:
            answer = self.call_kinesis("DescribeStreamSummary", StreamName="orders")
            return bool(answer["StreamDescriptionSummary"]["StreamStatus"] == "ACTIVE")

        eventually(active, "active stream")

    def put(self, *data: str, key: str = "k") -> None:
        """Puts records in one call."""
        answer = self.call_kinesis(
            "PutRecords",
            StreamName="orders",
            Records=[
                {"PartitionKey": key, "Data": base64.b64encode(text.encode()).decode()} for text in data
            ],
        )
        assert answer["FailedRecordCount"] == 0

    def call(self, method: str, path: str = "", body: Any = None) -> dict[str, Any]:
        """The API of event source mappings."""
        raw = b"" if body is None else json.dumps(body).encode()
        answer = self.mappings.handle(Request(method, f"{PATH}{path}", "", "", REGION, {}, raw))
        parsed: dict[str, Any] = json.loads(answer.body)
        return parsed

    def map(self, **settings: Any) -> str:
        """Makes a mapping, waits until it is enabled; its UUID."""
        uuid: str = self.call(
            "POST",
            body={"EventSourceArn": STREAM, "FunctionName": "f", "StartingPosition": "TRIM_HORIZON"}
            | settings,
        )["UUID"]
        self.until_state(uuid, "Enabled")
        return uuid

    def until_state(self, uuid: str, state: str) -> None:
        eventually(lambda: self.call("GET", f"/{uuid}")["State"] == state, f"mapping in state {state}")

    def until_result(self, uuid: str, result: str) -> None:
        """Waits for a LastProcessingResult that begins so."""
        eventually(
            lambda: self.call("GET", f"/{uuid}")["LastProcessingResult"].startswith(result),
            f"last processing result {result!r}",
        )

    @property
    def delivered(self) -> list[list[str]]:
        """[shard, sequence number, key, data] of every record the function was done with, in order."""
        finished, _, _ = self.output.read_text().rpartition("\n")  # a write under way is seen in part
        return [json.loads(line) for line in finished.splitlines()]

    def until_delivered(self, count: int) -> list[list[str]]:
        """Waits until the function is done with so many different records."""
        eventually(
            lambda: len({number for _, number, _, _ in self.delivered}) >= count,
            f"delivery of {count} records",
        )
        return self.delivered
