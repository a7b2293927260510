"""A remote state in memory: moto for what moto has, doubles for the rest, and a record of every call.

The doubles answer inside botocore, after it has validated and serialized the request, so a request that AWS
would refuse to parse fails here as well.
"""

from __future__ import annotations

import copy
import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
from moto.backends import get_backend

from tests.unit.deploy.analytics_double import ACCOUNT, REGION, AnalyticsDouble, FakeAnswer
from txnpipe.aws import Credentials, FunctionPlatform, Target
from txnpipe.config import Settings
from txnpipe.deploy.apply import Applied, apply
from txnpipe.deploy.artifacts import Artifacts
from txnpipe.deploy.graph import Graph, assemble
from txnpipe.deploy.lock import SetupLock
from txnpipe.deploy.plan import Plan, make_plan
from txnpipe.deploy.teardown import take_inventory, teardown
from txnpipe.names import Names
from txnpipe.resources.resource import Waiter

MOTO_SERVICES: tuple[Any, ...] = (
    *("ec2", "iam", "kinesis", "lambda", "logs", "redshift", "s3", "secretsmanager", "sns", "sqs"),
)
READS = ("Describe", "Get", "List", "Head", "Lookup")


class Killed(BaseException):
    """Stands for kill -9: nothing runs after it."""


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


@dataclass
class Recorder:
    """Every call that reached the services, and the moment of the kill."""

    calls: list[str] = field(default_factory=list)
    kill_after: int | None = None
    """Die right after this many changing calls were answered."""
    dead: bool = False
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def changes(self) -> list[str]:
        """The calls that change something."""
        return [call for call in self.calls if is_change(call)]

    def revive(self) -> None:
        """A new process: nothing kills it."""
        self.kill_after, self.dead = None, False

    def before(self, **_: Any) -> None:
        """For botocore's before-call."""
        if self.dead:
            raise Killed

    def after(self, http_response: Any, model: Any, **_: Any) -> None:
        """For botocore's after-call."""
        with self._lock:
            if http_response.status_code < 300:
                self.calls.append(f"{model.service_model.service_name}.{model.name}")
            if self.dead:
                raise Killed
            if self.kill_after is not None and len(self.changes) >= self.kill_after:
                self.dead = True
                raise Killed


def is_change(call: str) -> bool:
    """Whether a call changes something. The lock is bookkeeping, but counts: it is written."""
    return not call.split(".")[1].startswith(READS)


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


Hook = tuple[str, Callable[..., Any]]
_hooks: dict[str, list[Hook]] = {}
"""Service → event handlers of the current test's account; "*" come first, "last" last, for every service."""
_made: dict[str, Any] = {}
"""Clients live as long as the tests: making them costs more than most tests do."""


class RecordedTarget(Target):
    """A Target whose clients are recorded and partly answered by doubles."""

    def _make(self, service: str, options: dict[str, Any]) -> Any:
        if service not in _made:
            _made[service] = super()._make(service, options)
            for phase in ("before-call", "after-call"):
                _made[service].meta.events.register(phase, _dispatch)
            _one_at_a_time(_made[service]._endpoint)
        return _made[service]


_MOTO = threading.Lock()


def _one_at_a_time(endpoint: Any) -> None:
    """moto's dictionaries change while others read them; a server would answer one request at a time."""
    make_request = endpoint.make_request

    def locked(*arguments: Any, **options: Any) -> Any:
        with _MOTO:
            return make_request(*arguments, **options)

    endpoint.make_request = locked


def _dispatch(event_name: str, **arguments: Any) -> Any:
    """Hands an event to the handlers of the current account; the first answer counts."""
    service = event_name.split(".")[1]
    for prefix, handler in [*_hooks["*"], *_hooks.get(service, []), *_hooks["last"]]:
        if event_name.startswith(prefix):
            answer = handler(**arguments)
            if answer is not None:
                return answer
    return None


class Remote:
    """One account with one pipeline in it, and the commands on it."""

    def __init__(self) -> None:
        self.recorder = Recorder()
        self.analytics = AnalyticsDouble()
        self.warehouse = WarehouseDouble()
        self.now = 1_000_000.0
        self.zips = {name: make_zip(name, "1") for name in ("loader", "notifier", "analytics")}
        _hooks.clear()
        # A kill comes after the answer, so that the recorder is the last to hear of it.
        _hooks["*"] = [("before-call", self.recorder.before)]
        _hooks["last"] = [("after-call", self.recorder.after)]
        _hooks["kinesis-analytics-v2"] = [("before-call", self.analytics.answer)]
        _hooks["kinesis"] = [
            ("before-call.kinesis.CreateStream", _keep_tags),
            ("after-call.kinesis.CreateStream", _apply_tags),
        ]
        _hooks["redshift"] = [("after-call.redshift.DescribeClusters", _with_secret)]
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

    def refuse(self, operation: str, code: str, message: str = "", *, times: int = 1) -> list[str]:
        """Lets the next calls of an operation ("ec2.CreateSecurityGroup") fail so many times.

        Returns a list that grows with every refusal.
        """
        refused: list[str] = []

        def answer(**_: Any) -> tuple[FakeAnswer, dict[str, Any]] | None:
            if len(refused) >= times:
                return None
            refused.append(operation)
            return FakeAnswer(400), {
                "Error": {"Code": code, "Message": message},
                "ResponseMetadata": {"HTTPStatusCode": 400},
            }

        service = operation.split(".")[0]
        _hooks.setdefault(service, []).insert(0, (f"before-call.{operation}", answer))
        return refused

    def answer(self, operation: str, answer: dict[str, Any]) -> None:
        """Lets an operation always answer this, where moto lacks it."""
        service = operation.split(".")[0]
        handler = lambda **_: (FakeAnswer(200), answer)  # noqa: E731
        _hooks.setdefault(service, []).insert(0, (f"before-call.{operation}", handler))

    def change_answer(self, operation: str, change: Callable[[dict[str, Any]], None]) -> None:
        """Changes what an operation answers: `change` gets the parsed answer."""
        service = operation.split(".")[0]
        handler = lambda parsed, **_: change(parsed)  # noqa: E731
        _hooks.setdefault(service, []).append((f"after-call.{operation}", handler))

    def keep(self) -> Callable[[], None]:
        """Remembers the account as it is now. What it returns brings it back, as often as one likes."""
        kept = copy.deepcopy((_backends(), self.analytics, self.warehouse))

        def bring_back() -> None:
            backends, analytics, self.warehouse = copy.deepcopy(kept)
            for service, regions in backends.items():
                get_backend(service)[ACCOUNT].update(regions)
            vars(self.analytics).update(vars(analytics))  # the hooks hold the double itself
            self.recorder.calls.clear()

        return bring_back

    def graph(self, settings: Settings) -> Graph:
        """The graph of a pipeline in this account."""
        names = Names(settings.pipeline, ACCOUNT, REGION)
        artifacts = Artifacts(self.target, settings, names)
        for name, built in self.zips.items():
            setattr(artifacts, name, lambda built=built: built)
        return assemble(
            self.target, settings, names, artifacts=artifacts, waiter=Waiter(self._clock, self._sleep)
        )

    def _clock(self) -> float:
        return self.now

    def _sleep(self, seconds: float) -> None:
        self.now += seconds

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
        return SetupLock(s3, bucket, command, clock=self._clock, alive=lambda _: None)


def _backends() -> dict[Any, dict[str, Any]]:
    """Service → region → moto's backend. Copied as one, what they share stays shared."""
    return {service: dict(get_backend(service)[ACCOUNT]) for service in MOTO_SERVICES}


def _with_secret(parsed: dict[str, Any], **_: Any) -> None:
    for cluster in parsed.get("Clusters", []):
        cluster["MasterPasswordSecretArn"] = "arn:aws:secretsmanager:us-east-1:123456789012:secret:redshift"


_given = threading.local()


def _keep_tags(params: Mapping[str, Any], **_: Any) -> None:
    _given.request = json.loads(params["body"])


def _apply_tags(http_response: Any, **_: Any) -> None:
    """moto takes the tags of CreateStream and forgets them."""
    from moto.kinesis.models import kinesis_backends

    if http_response.status_code == 200:
        backend = kinesis_backends[ACCOUNT][REGION]
        backend.add_tags_to_stream(None, _given.request["StreamName"], _given.request["Tags"])


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
