"""Services that take their time, as those of an account do: new things that are not ready yet, roles that
nobody knows yet, changes that are refused while another is going on.

moto makes everything at once; here it is told to be still in motion. What the services of `own_services` take
is set there. The seconds below are of the size that one meets on AWS, which promises none; the proofs hold
for any.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from botocore.awsrequest import AWSResponse

from tests.unit.deploy.remote import Remote
from tests.unit.deploy.wire import Call, Forward, received, under_way
from txnpipe.local.redshift.transitions import Latencies

CLUSTERS = Latencies(create=240, modify=180, delete=120, pause=120, resume=300, reboot=90)
SERVERLESS = Latencies(create=60, modify=60, delete=60)
FLINK = {
    "StartApplication": 90.0,
    "UpdateApplication": 90.0,
    "StopApplication": 30.0,
    "DeleteApplication": 20.0,
}
ROLE_S = 10.0
"""How long the other services do not know a new role (FACTS: some seconds)."""
VPC_FUNCTION_S = 75.0
STREAM_S = 15.0
SECONDS: Mapping[str, float] = {
    "kinesis.CreateStream": STREAM_S,
    **dict.fromkeys(
        (
            *("kinesis.UpdateStreamMode", "kinesis.StartStreamEncryption", "kinesis.StopStreamEncryption"),
            *("kinesis.IncreaseStreamRetentionPeriod", "kinesis.DecreaseStreamRetentionPeriod"),
        ),
        STREAM_S,
    ),
    "lambda.CreateFunction": 5.0,
    "lambda.UpdateFunctionCode": 5.0,
    "lambda.UpdateFunctionConfiguration": 5.0,
    "lambda.CreateEventSourceMapping": 10.0,
    "lambda.UpdateEventSourceMapping": 10.0,
    "ec2.CreateVpcEndpoint": 60.0,
}
"""Operation → how long what it concerns is in motion afterwards."""


@dataclass(frozen=True)
class Kind:
    """How things of a kind are named and how their motion is refused. status: while they are made; changing:
    while they change."""

    name: Callable[[Mapping[str, Any]], str]
    status: str
    changing: str
    refusal: str


_KINDS: Mapping[str, Kind] = {
    "kinesis": Kind(
        lambda given: given.get("StreamName") or given["StreamARN"].rpartition("/")[2],
        "CREATING",
        "UPDATING",
        "ResourceInUseException",
    ),
    "lambda.function": Kind(
        lambda given: given["FunctionName"], "Pending", "InProgress", "ResourceConflictException"
    ),
    "lambda.mapping": Kind(
        lambda given: given.get("UUID") or _mapping(given["EventSourceArn"], given["FunctionName"]),
        "Creating",
        "Updating",
        "ResourceInUseException",
    ),
    "ec2": Kind(lambda given: given["ServiceName"], "pending", "pending", "InvalidVpcEndpoint"),
}
_UNKNOWN_ROLES = {
    "lambda.CreateFunction": (
        "InvalidParameterValueException",
        "The role defined for the function cannot be assumed by Lambda.",
    ),
    "lambda.CreateEventSourceMapping": (
        "InvalidParameterValueException",
        "Cannot access stream. Please ensure the role can perform the GetRecords, GetShardIterator, "
        "DescribeStream, and ListStreams Actions on your stream in IAM.",
    ),
    "kinesisanalyticsv2.CreateApplication": (
        "InvalidArgumentException",
        "Kinesis Analytics service doesn't have sufficient privileges to assume the role",
    ),
}
"""Lambda's and Managed Flink's own words, as `resources.new_roles` cites them."""


def _mapping(source: str, function: str) -> str:
    return f"{source.rpartition('/')[2]} {function.rpartition(':')[2]}"


@dataclass
class Motion:
    """A layer on the wire, and what answers say meanwhile.

    booked: the step (its thread's name) → the seconds that services have asked of it. role_steps: the step
    that made a role → the seconds for which others do not know it.
    """

    remote: Remote
    seconds: Mapping[str, float] = field(default_factory=lambda: dict(SECONDS))
    role_s: float = ROLE_S
    booked: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))
    role_steps: dict[str, float] = field(default_factory=dict)
    _busy: dict[tuple[str, str], tuple[float, str]] = field(default_factory=dict)
    _roles: dict[str, float] = field(default_factory=dict)
    _role_of: dict[str, str] = field(default_factory=dict)

    def start(self) -> Motion:
        """From now on everything takes its time."""
        own = self.remote.own
        own.slow(FLINK, CLUSTERS, SERVERLESS)
        own.later.booked = self._book_background
        self.remote.wire.layers.append(self._between)
        for operation, view in {
            "kinesis.DescribeStreamSummary": self._stream,
            "lambda.GetFunction": self._function,
            "lambda.ListEventSourceMappings": self._mappings,
            "ec2.DescribeVpcEndpoints": self._endpoints,
        }.items():
            self.remote.change_answer(operation, view)
        return self

    def _book(self, seconds: float) -> None:
        self.booked[threading.current_thread().name] += seconds

    def _book_background(self, seconds: float) -> None:
        """A namespace is AVAILABLE at once: what it takes is asked of its workgroup."""
        if under_way().operation != "CreateNamespace":
            self._book(seconds)

    def _between(self, call: Call, forward: Forward) -> AWSResponse:
        name = str(call)
        if name in _UNKNOWN_ROLES and self._is_unknown(call):
            return received(None, call.refusal(*_UNKNOWN_ROLES[name]))
        where = self._where(call)
        if where and self._status(*where):
            return received(None, call.refusal(_KINDS[where[0]].refusal, f"{where[1]} is in motion", 409))
        answer = forward()
        if answer.status_code < 300:
            if name == "iam.CreateRole":
                self._roles[call.parameters["RoleName"]] = self.remote.now + self.role_s
                self.role_steps[threading.current_thread().name] = self.role_s
            if where:
                self._move(call, *where)
        return answer

    def _is_unknown(self, call: Call) -> bool:
        given = call.parameters
        arn = given.get("Role") or given.get("ServiceExecutionRole") or self._role_of[given["FunctionName"]]
        if "FunctionName" in given:
            self._role_of[given["FunctionName"]] = arn
        return self.remote.now < self._roles.get(arn.rpartition("/")[2], 0.0)

    def _where(self, call: Call) -> tuple[str, str] | None:
        """Kind and name of what a call sets in motion."""
        if str(call) not in self.seconds or call.parameters.get("VpcEndpointType") == "Gateway":
            return None
        kind = call.service
        if kind == "lambda":
            kind = "lambda.mapping" if "Mapping" in call.operation else "lambda.function"
        return kind, _KINDS[kind].name(call.parameters)

    def _move(self, call: Call, kind: str, name: str) -> None:
        seconds = self.seconds[str(call)]
        if call.operation == "CreateFunction" and call.parameters.get("VpcConfig", {}).get("SubnetIds"):
            seconds = max(seconds, VPC_FUNCTION_S)
        status = _KINDS[kind].status if call.operation.startswith("Create") else _KINDS[kind].changing
        self._busy[kind, name] = (self.remote.now + seconds, status)
        self._book(seconds)

    def _status(self, kind: str, name: str) -> str | None:
        until, status = self._busy.get((kind, name), (0.0, ""))
        return status if self.remote.now < until else None

    def _stream(self, parsed: dict[str, Any]) -> None:
        summary = parsed.get("StreamDescriptionSummary", {})
        if status := self._status("kinesis", summary.get("StreamName", "")):
            summary["StreamStatus"] = status

    def _function(self, parsed: dict[str, Any]) -> None:
        configuration = parsed.get("Configuration", {})
        if status := self._status("lambda.function", configuration.get("FunctionName", "")):
            configuration["State" if status == "Pending" else "LastUpdateStatus"] = status

    def _mappings(self, parsed: dict[str, Any]) -> None:
        for found in parsed.get("EventSourceMappings", []):
            name = _mapping(found["EventSourceArn"], found["FunctionArn"])
            if status := self._status("lambda.mapping", name) or self._status(
                "lambda.mapping", found["UUID"]
            ):
                found["State"] = status

    def _endpoints(self, parsed: dict[str, Any]) -> None:
        for found in parsed.get("VpcEndpoints", []):
            if status := self._status("ec2", found["ServiceName"]):
                found["State"] = status
