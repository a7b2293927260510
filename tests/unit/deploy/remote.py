"""A remote state in memory, and a record of every call.

The clients are real. What they send is answered by the local cloud's own state machines and by moto (`wire`,
`own_services`), so a request that AWS would refuse to parse fails here as well. Time is virtual (`clock`).
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
from moto.backends import get_backend

from tests.unit.deploy import moto_gaps
from tests.unit.deploy.clock import Later, VirtualClock
from tests.unit.deploy.own_services import OwnServices
from tests.unit.deploy.places import ACCOUNT, REGION
from tests.unit.deploy.wire import Call, Forward, Killed, Recorder, Wire, attach, received
from txnpipe.aws import Credentials, FunctionPlatform, Target
from txnpipe.config import Settings
from txnpipe.deploy.apply import Applied, apply
from txnpipe.deploy.artifacts import Artifacts
from txnpipe.deploy.graph import Graph, assemble
from txnpipe.deploy.lock import SetupLock
from txnpipe.deploy.plan import Plan, make_plan
from txnpipe.deploy.teardown import take_inventory, teardown
from txnpipe.local.service import Response
from txnpipe.names import Names
from txnpipe.resources.resource import Waiter

MOTO_SERVICES: tuple[Any, ...] = (
    *("cloudwatch", "ec2", "iam", "kinesis", "lambda", "logs"),
    *("redshift", "s3", "secretsmanager", "sns", "sqs"),
)
WITHOUT_REGION = {"iam", "s3"}
__all__ = ["Killed", "Recorder", "Remote"]


@dataclass(frozen=True)
class Zip:
    """A built artifact."""

    name: str
    content: bytes
    sha256: str


def make_zip(name: str, text: str) -> Zip:
    """A real, tiny zip."""
    import hashlib
    import io
    import zipfile

    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(zipfile.ZipInfo("main.py"), text)
    return Zip(name, buffer.getvalue(), hashlib.sha256(buffer.getvalue()).hexdigest())


@dataclass(frozen=True)
class Rows:
    """What a query answers."""

    rows: list[tuple[Any, ...]]


@dataclass(frozen=True)
class Migration:
    """What is pending."""

    name: str


MIGRATIONS = ("transactions", "alerts")


@dataclass
class WarehouseDouble:
    """What is inside the cluster. It goes when the cluster goes."""

    pending: list[str] = field(default_factory=lambda: list(MIGRATIONS))
    users: dict[str, str] = field(default_factory=dict)

    def __enter__(self) -> WarehouseDouble:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def query(self, sql: str, parameters: Mapping[str, object] | None = None) -> Rows:
        """Only the question whether a user is there."""
        assert "pg_user" in sql
        assert parameters
        return Rows([(1,)] if parameters["name"] in self.users else [])


_hooks: list[tuple[str, Callable[..., Any]]] = []
"""What changes answers in the current test's account: event name, handler."""
_current: list[Remote] = []
"""The current test's account, once there is one."""
_made: dict[str, Any] = {}
"""Clients live as long as the tests: making them costs more than most tests do."""


class RecordedTarget(Target):
    """A Target whose clients talk to the current account."""

    def _make(self, service: str, options: dict[str, Any]) -> Any:
        key = service + repr(sorted(options.items()))
        if key not in _made:
            _made[key] = super()._make(service, options)
            _made[key].meta.events.register("after-call", _dispatch)
            attach(_made[key], lambda: _current[0].wire)
        return _made[key]


def _dispatch(event_name: str, **arguments: Any) -> None:
    for prefix, handler in _hooks:
        if event_name.startswith(prefix):
            handler(**arguments)


class Remote:
    """One account with one pipeline in it, and the commands on it."""

    def __init__(self) -> None:
        self.clock = VirtualClock()
        self.own = OwnServices(Later(self.clock))
        self.wire = Wire(self.own)
        self.recorder = self.wire.recorder
        self.warehouse = WarehouseDouble()
        self.zips = {name: make_zip(name, "1") for name in ("loader", "notifier", "analytics")}
        _current[:] = [self]
        _hooks.clear()
        self.change_answer("lambda.GetFunction", moto_gaps.show_logging)
        self.target = RecordedTarget(
            name="test",
            region=REGION,
            account=ACCOUNT,
            endpoint_url=None,
            credentials=Credentials("testing", "testing"),
            profile=None,
            warehouse_access="direct",
            sslmode="prefer",
            functions=FunctionPlatform("3.13", "x86_64"),
            batch_window_seconds=1,
            checkpoint_interval_ms=1000,
            connector_jar=Path("connector.jar"),
            final_snapshot=False,
        )

    @property
    def now(self) -> float:
        """Seconds of the account's clock."""
        return self.clock.now

    def refuse(self, operation: str, code: str, message: str = "", *, times: int = 1) -> list[str]:
        """Lets the next calls of an operation ("ec2.CreateSecurityGroup") fail so many times.

        Returns a list that grows with every refusal.
        """
        refused: list[str] = []

        def between(call: Call, forward: Forward) -> Any:
            if operation not in call.names or len(refused) >= times:
                return forward()
            refused.append(operation)
            return received(None, call.refusal(code, message))

        self.wire.layers.insert(0, between)
        return refused

    def answer(self, operation: str, answer: dict[str, Any]) -> None:
        """Lets an operation of a service that speaks JSON always answer this, where moto lacks it."""

        def between(call: Call, forward: Forward) -> Any:
            if operation not in call.names:
                return forward()
            return received(None, Response(200, json.dumps(answer).encode()))

        self.wire.layers.insert(0, between)

    def change_answer(self, operation: str, change: Callable[[dict[str, Any]], None]) -> None:
        """Changes what an operation answers: `change` gets the parsed answer."""
        handler = lambda parsed, **_: change(parsed)  # noqa: E731
        _hooks.append((f"after-call.{operation}", handler))

    def keep(self) -> Callable[[], None]:
        """Remembers the account as it is now. What it returns brings it back, as often as one likes."""
        one = self.own.itself()
        kept = copy.deepcopy((_backends(), self.own.state(), self.warehouse), dict(one))
        buckets = dict(_bucket_owners())

        def bring_back() -> None:
            backends, own, self.warehouse = copy.deepcopy(kept, dict(one))
            _bucket_owners().clear()
            _bucket_owners().update(buckets)
            for service, regions in backends.items():
                get_backend(service)[ACCOUNT].update(regions)
            self.own.restore(own)
            self.recorder.taken.clear()

        return bring_back

    def graph(self, settings: Settings) -> Graph:
        """The graph of a pipeline in this account."""
        names = Names(settings.pipeline, ACCOUNT, REGION)
        artifacts = Artifacts(self.target, settings, names)
        for name, built in self.zips.items():
            setattr(artifacts, name, lambda built=built: built)
        return assemble(
            self.target,
            settings,
            names,
            artifacts=artifacts,
            waiter=Waiter(self.clock.time, self.clock.sleep),
        )

    def plan(self, settings: Settings) -> Plan:
        """What `txnpipe plan` computes."""
        return make_plan(self.graph(settings))

    def setup(self, settings: Settings) -> Applied:
        """What `txnpipe setup` does, as a process of its own: earlier ones are dead."""
        graph = self.graph(settings)
        return apply(graph, make_plan(graph), lock=lambda: self.lock(graph))

    def lock(self, graph: Graph, command: str = "setup") -> SetupLock:
        """A lock to which every earlier process is dead."""
        s3, bucket = graph.cloud.client("s3"), graph.cloud.names.bucket
        return SetupLock(s3, bucket, command, clock=self.clock.time, alive=lambda _: None)


def _backends() -> dict[Any, dict[str, Any]]:
    """Service → region → moto's backend. Copied as one, what they share stays shared."""
    for service in MOTO_SERVICES:
        get_backend(service)[ACCOUNT]["aws" if service in WITHOUT_REGION else REGION]  # made when asked for
    return {service: dict(get_backend(service)[ACCOUNT]) for service in MOTO_SERVICES}


def _bucket_owners() -> Any:
    """moto's list of everybody's buckets: their names are unique in the world."""
    from moto.s3.models import s3_backends

    return s3_backends.bucket_accounts


def settings_of(**sections: Any) -> Settings:
    """Settings with some values changed: settings_of(loader={"batch_size": 5})."""
    return msgspec.convert(sections, Settings)


def changed_fields(plan: Plan) -> dict[str, list[str]]:
    """Resource → the fields that differ, for whatever is not unchanged."""
    return {change.resource: [item.field for item in change.differences] for change in plan.work}


def tear_down(remote: Remote, settings: Settings) -> None:
    """What `txnpipe teardown` does."""
    graph = remote.graph(settings)
    teardown(graph, take_inventory(graph), lock=lambda: remote.lock(graph, "teardown"))


def count_changes(remote: Remote, command: Callable[[Remote], object]) -> int:
    """How many changing calls a command makes when nothing kills it."""
    before = len(remote.recorder.changes)
    command(remote)
    return len(remote.recorder.changes) - before
