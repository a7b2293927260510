"""Managed Flink with jobs, a clock and a background of its own: nothing runs but what a test asks for."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from txnpipe.local.flink import code as codes
from txnpipe.local.flink.applications import Applications
from txnpipe.local.flink.jvm import JobError
from txnpipe.local.flink.machinery import Machinery
from txnpipe.local.flink.service import TARGET, FlinkService
from txnpipe.local.flink.state import Application, Store
from txnpipe.local.service import Request

REGION = "us-east-1"
NAME = "App"
ROLE = "arn:aws:iam::000000000000:role/Analytics"
RUN_OPTIONS = {"PropertyGroupId": codes.RUN_OPTIONS, "PropertyMap": {"python": "main.py"}}
LATENCIES = {"STARTING": 90.0, "STOPPING": 30.0, "UPDATING": 120.0, "DELETING": 20.0, "FORCE_STOPPING": 10.0}


@dataclass
class FakeJob:
    """A job that does what the test says. `started_from` is what each start restored."""

    world: World
    version: int
    restored_from: str
    alive: bool = False
    resumed: bool = False

    def run(self) -> None:
        self.world.history.append(f"run v{self.version} from {self.restored_from or 'nothing'}")
        if self.world.broken_versions & {self.version}:
            raise JobError("ValidationException: SQL is wrong")
        self.alive = True

    def resume(self) -> None:
        self.world.history.append(f"resume v{self.version} from {self.restored_from or 'nothing'}")
        self.alive = self.resumed = True

    def savepoint(self, target: Path) -> Path:
        if self.world.cannot_snapshot:
            raise JobError("The job is being started again.")
        path = target / f"savepoint-{len(self.world.history)}"
        path.mkdir(parents=True)
        self.world.history.append("savepoint")
        return path

    def stop_with_savepoint(self, target: Path) -> Path:
        path = self.savepoint(target)
        self.alive = False
        return path

    def newest_state(self) -> Path | None:
        return self.world.checkpoint or (Path(self.restored_from) if self.restored_from else None)

    def kill(self) -> None:
        self.world.history.append("kill")
        self.alive = False


@dataclass
class World:
    """What surrounds the state machine. `history` tells what was asked of jobs."""

    directory: Path
    latencies: Mapping[str, float] = field(default_factory=dict)
    now: float = 1_800_000_000.0
    history: list[str] = field(default_factory=list)
    background: list[Callable[[], None]] = field(default_factory=list)
    broken_versions: set[int] = field(default_factory=set)
    cannot_snapshot: bool = False
    code_is_there: bool = True
    checkpoint: Path | None = None
    jobs: list[FakeJob] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.open()

    def open(self) -> None:
        """A daemon: the first, or one after a crash."""
        self.background.clear()
        self.applications = Applications(
            Store(self.directory),
            Machinery(
                prepare=self._prepare,
                clock=lambda: self.now,
                sleep=self._sleep,
                spawn=self.background.append,
                latencies=self.latencies,
            ),
        )
        self.service = FlinkService(self.applications, lambda _region, _configuration: self.code_is_there)
        self.applications.resume()

    def _prepare(self, application: Application) -> FakeJob:
        codes.run_options(application.version.configuration)
        assert application.run is not None
        self.jobs.append(FakeJob(self, application.version.number, application.run.restored_from))
        return self.jobs[-1]

    def _sleep(self, seconds: float) -> None:
        self.now += seconds

    def work(self) -> None:
        """Lets the background run until nothing is left to do."""
        while self.background:
            self.background.pop(0)()

    def call(self, operation: str, **parameters: Any) -> Any:
        """Calls the API as boto3 does."""
        body = json.dumps(parameters).encode()
        request = Request("POST", "/", "", TARGET + operation, REGION, {}, body)
        return json.loads(self.service.handle(request).body)

    def create(self, **changes: Any) -> Any:
        configuration = {
            "ApplicationCodeConfiguration": code("code/v1.zip"),
            "EnvironmentProperties": {"PropertyGroups": [RUN_OPTIONS]},
        }
        return self.call(
            "CreateApplication",
            **{
                "ApplicationName": NAME,
                "RuntimeEnvironment": "FLINK-2_3",
                "ServiceExecutionRole": ROLE,
                "ApplicationConfiguration": {**configuration, **changes.pop("configuration", {})},
                **changes,
            },
        )["ApplicationDetail"]

    def describe(self) -> Any:
        return self.call("DescribeApplication", ApplicationName=NAME)["ApplicationDetail"]

    @property
    def status(self) -> str:
        return str(self.describe()["ApplicationStatus"])

    def start(self, **run_configuration: Any) -> str:
        answer = self.call("StartApplication", ApplicationName=NAME, RunConfiguration=run_configuration)
        return str(answer["OperationId"])

    def running(self) -> World:
        """The world with an application that runs."""
        self.create()
        self.start()
        self.work()
        assert self.status == "RUNNING"
        self.history.clear()
        return self

    def update(self, **parameters: Any) -> Any:
        version = self.describe()["ApplicationVersionId"]
        return self.call(
            "UpdateApplication",
            **{"ApplicationName": NAME, "CurrentApplicationVersionId": version, **parameters},
        )

    def operation(self, operation_id: str) -> Any:
        answer = self.call("DescribeApplicationOperation", ApplicationName=NAME, OperationId=operation_id)
        return answer["ApplicationOperationInfoDetails"]

    def snapshots(self) -> list[Any]:
        answer = self.call("ListApplicationSnapshots", ApplicationName=NAME)
        return list(answer["SnapshotSummaries"])


def code(key: str) -> dict[str, Any]:
    location = {"BucketARN": "arn:aws:s3:::bucket", "FileKey": key}
    return {"CodeContentType": "ZIPFILE", "CodeContent": {"S3ContentLocation": location}}


def new_code(key: str = "code/v2.zip") -> dict[str, Any]:
    """An ApplicationConfigurationUpdate that brings another zip."""
    content = {"S3ContentLocationUpdate": {"FileKeyUpdate": key}}
    return {"ApplicationCodeConfigurationUpdate": {"CodeContentUpdate": content}}
