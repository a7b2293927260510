"""Applications as they lie on disk: one JSON document each, replaced at one stroke.

    home/flink/REGION/app-NAME/application.json
    home/flink/REGION/app-NAME/code/            the unpacked zip of the version that runs
    home/flink/REGION/app-NAME/runs/N/          checkpoints of run N
    home/flink/REGION/app-NAME/snapshots/       savepoints

A run begins with StartApplication or an update; a JVM that is started again continues the run.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct, field

RUNNABLE = ("FLINK-1_20", "FLINK-2_2", "FLINK-2_3")
"""Runtimes that AWS still accepts for new applications."""


class Version(Struct, kw_only=True):
    """One version of an application. `configuration` has the shape of the API's ApplicationConfiguration."""

    number: int
    runtime: str
    role: str
    configuration: dict[str, Any]
    created: float
    updated_from: int | None = None
    rolled_back_from: int | None = None
    rolled_back_to: int | None = None


class Operation(Struct, kw_only=True):
    """One Start, Stop, Update, Rollback or Delete. `status` is the API's OperationStatus."""

    id: str
    name: str
    status: str
    started: float
    ended: float | None = None
    error: str | None = None
    from_version: int | None = None
    to_version: int | None = None


class Snapshot(Struct, kw_only=True):
    """A savepoint under a name. `path` is empty until it is READY."""

    name: str
    status: str
    version: int
    runtime: str
    created: int
    path: str = ""


class Run(Struct, kw_only=True):
    """A run: its number, what it was restored from ("" is nothing), and how."""

    number: int
    restored_from: str = ""
    allow_non_restored_state: bool = False


class LoggingOption(Struct, kw_only=True):
    """A CloudWatch logging option: kept and described, nothing is sent there."""

    id: str
    log_stream_arn: str


class Application(Struct, kw_only=True):
    """Everything about one application. Times are epoch seconds."""

    name: str
    region: str
    arn: str
    description: str
    status: str
    created: int
    updated: float
    token: str
    versions: list[Version]
    tags: dict[str, str] = field(default_factory=dict)
    logging: list[LoggingOption] = field(default_factory=list)
    operations: list[Operation] = field(default_factory=list)
    snapshots: list[Snapshot] = field(default_factory=list)
    run: Run | None = None
    run_configuration: dict[str, Any] = field(default_factory=dict)
    maintenance_start: str = "06:00"
    serial: int = 0

    @property
    def version(self) -> Version:
        """The current version."""
        return self.versions[-1]

    def operation(self, operation_id: str) -> Operation | None:
        """The operation of that id."""
        return next((operation for operation in self.operations if operation.id == operation_id), None)

    def snapshot(self, name: str) -> Snapshot | None:
        """The snapshot of that name."""
        return next((snapshot for snapshot in self.snapshots if snapshot.name == name), None)


class Store:
    """The applications of one installation on disk."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def directory(self, region: str, name: str) -> Path:
        """Where an application keeps its files. A prefix, because ".." is a valid name."""
        return self._directory / region / f"app-{name}"

    def load(self) -> dict[tuple[str, str], Application]:
        """Every application by (region, name)."""
        documents = sorted(self._directory.glob("*/app-*/application.json"))
        loaded = [msgspec.json.decode(path.read_bytes(), type=Application) for path in documents]
        return {(application.region, application.name): application for application in loaded}

    def save(self, application: Application) -> None:
        """Writes an application; a crash leaves the old or the new document."""
        directory = self.directory(application.region, application.name)
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        target = directory / "application.json"
        temporary = directory / ".application.json"
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(msgspec.json.encode(application))
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(target)

    def delete(self, application: Application) -> None:
        """Removes an application with its code, checkpoints and snapshots; the document goes first."""
        directory = self.directory(application.region, application.name)
        (directory / "application.json").unlink(missing_ok=True)
        shutil.rmtree(directory, ignore_errors=True)
