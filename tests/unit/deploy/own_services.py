"""The local cloud's own state machines, inside the test: Managed Flink, Redshift, Redshift Serverless.

The same code that answers in the local cloud, without its JVMs and databases: a job that runs at once, a
database that is a port. Clock and latencies are the test's.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from types import CellType, FunctionType
from typing import Any

from tests.unit.deploy.clock import Later
from txnpipe.local.flink import code as codes
from txnpipe.local.flink.applications import Applications
from txnpipe.local.flink.jvm import JobError
from txnpipe.local.flink.machinery import Machinery
from txnpipe.local.flink.service import FlinkService
from txnpipe.local.flink.state import Application
from txnpipe.local.flink.state import Store as FlinkStore
from txnpipe.local.redshift import moto_hooks
from txnpipe.local.redshift.clusters import Clusters
from txnpipe.local.redshift.endpoints import zones_of
from txnpipe.local.redshift.serverless.limits import Tags, UsageLimits
from txnpipe.local.redshift.serverless.service import ServerlessService
from txnpipe.local.redshift.serverless.store import Kind
from txnpipe.local.redshift.serverless.store import Store as ServerlessStore
from txnpipe.local.redshift.serverless.warehouses import Warehouses
from txnpipe.local.redshift.transitions import Latencies, Transitions
from txnpipe.local.service import Service

Work = Callable[[], None]


@dataclass(frozen=True)
class Job:
    """Work that can be copied together with what it is about: `copy` leaves functions as they are."""

    work: Work

    def __call__(self) -> None:
        self.work()

    def __deepcopy__(self, memo: dict[int, Any]) -> Job:
        work = self.work
        if isinstance(work, partial):
            return Job(partial(work.func, *copy.deepcopy(work.args, memo)))
        assert isinstance(work, FunctionType)
        cells = tuple(CellType(copy.deepcopy(cell.cell_contents, memo)) for cell in work.__closure__ or ())
        return Job(FunctionType(work.__code__, work.__globals__, work.__name__, work.__defaults__, cells))


class _FlinkStore(FlinkStore):
    """Keeps nothing: the machine itself has every application."""

    def __init__(self) -> None:
        super().__init__(Path("/nowhere"))

    def save(self, application: Application) -> None:
        return None

    def delete(self, application: Application) -> None:
        return None


class _ServerlessStore(ServerlessStore):
    """Writes no file."""

    def __init__(self) -> None:
        super().__init__(Path("/nowhere"))
        self._documents = {kind: {} for kind in ("namespaces", "workgroups", "usage_limits", "tags")}

    @contextmanager
    def change(self) -> Iterator[dict[Kind, dict[str, dict[str, Any]]]]:
        changed = copy.deepcopy(self._documents)
        yield changed
        self._documents = changed


@dataclass
class _Transitions(Transitions):
    """One after the other per resource, as in the original, on the test's clock."""

    later: Later
    free: dict[str, float] = field(default_factory=dict)

    def begin(self, resource: str, latency_s: float, work: Work) -> None:
        begins = max(self.later.time(), self.free.get(resource, 0.0))
        self.free[resource] = begins + latency_s
        self.later.begin(begins + latency_s - self.later.time(), Job(work))


@dataclass
class _Databases:
    """Every database runs at once, at the port that was asked for. A cluster's port is its own affair."""

    ports: dict[str, int] = field(default_factory=dict)
    snapshots: Any = None

    def start(
        self, name: str, _database: str, _admin: str, _password: str | None, preferred_port: int = 5439
    ) -> int:
        return self.ports.setdefault(name, preferred_port)

    def stop(self, name: str) -> None:
        return None

    def remove(self, name: str) -> None:
        self.ports.pop(name, None)

    def move(self, name: str, port: int) -> int:
        self.ports[name] = port
        return port

    def keep(self, name: str, snapshot: str) -> None:
        return None

    def server(self, name: str) -> None:
        return None

    def port(self, name: str) -> int:
        return self.ports.get(name, 0) if name.startswith("serverless.") else 0


@dataclass(frozen=True)
class _RunningJob:
    """A Flink job, or why it does not start."""

    error: Callable[[], str]

    def run(self) -> None:
        if self.error():
            raise JobError(self.error())

    def resume(self) -> None:
        return None

    def savepoint(self, target: Path) -> Path:
        return target / "savepoint"

    def stop_with_savepoint(self, target: Path) -> Path:
        return target / "savepoint"

    def newest_state(self) -> Path | None:
        return None

    def kill(self) -> None:
        return None


class OwnServices:
    """What answers instead of moto, and beneath moto's Redshift.

    flink_latencies: seconds by operation ("StartApplication"). cluster and serverless: of their transitions.
    """

    def __init__(self, later: Later) -> None:
        self.later = later
        self.flink_latencies: dict[str, float] = {}
        self.fail_start = ""
        """Why no application starts."""
        self.broken_versions: dict[int, str] = {}
        """Versions of an application that do not start, and why."""
        self._operation = ""
        self.applications = Applications(
            _FlinkStore(),
            Machinery(
                prepare=lambda application: _RunningJob(partial(self._error, application.version.number)),
                clock=later.time,
                sleep=_never,
                spawn=self._spawn,
            ),
        )
        databases: Any = _Databases()
        self._databases = databases
        self._transitions = _Transitions(later)
        self._store = _ServerlessStore()
        self.clusters = Clusters(databases, self._transitions, Latencies(), nullcontext)
        self.warehouses = Warehouses(
            self._store,
            databases,
            self._transitions,
            Latencies(),
            nullcontext,
            partial(zones_of, nullcontext),
            lambda: datetime.fromtimestamp(later.time(), UTC),
        )
        self._services: tuple[Service, ...] = (
            FlinkService(self.applications, _code_is_there),
            ServerlessService(self.warehouses, UsageLimits(self._store), Tags(self._store)),
        )
        self.install = partial(moto_hooks.install, self.clusters, databases)

    def slow(self, flink: Mapping[str, float], clusters: Latencies, serverless: Latencies) -> None:
        """From now on everything takes its time."""
        self.flink_latencies = dict(flink)
        self.clusters._latencies = clusters
        self.warehouses._latencies = serverless

    def service_for(self, target: str) -> Service | None:
        """Who answers a request with this X-Amz-Target."""
        self._operation = target.rpartition(".")[2]
        found: Sequence[Service] = [each for each in self._services if each.claims("POST", "/", target)]
        return found[0] if found else None

    def application(self, name: str) -> Application:
        """An application as the service has it."""
        return self.applications.get("us-east-1", name)

    def _error(self, version: int) -> str:
        return self.fail_start or self.broken_versions.get(version, "")

    def cluster(self, name: str) -> Any:
        """A cluster as moto has it."""
        return self.clusters.find("us-east-1", name)

    def _spawn(self, work: Work) -> None:
        self.later.begin(self.flink_latencies.get(self._operation, 0.0), Job(work))

    def census(self) -> dict[str, int]:
        """How many things of each kind there are."""
        documents = {f"serverless.{kind}": len(found) for kind, found in self._store._documents.items()}
        return {"applications": len(self.applications._applications), **documents}

    def state(self) -> Any:
        """Everything that a copy of these services needs."""
        return (
            self.applications._applications,
            self.applications._jobs,
            self._store._documents,
            self._transitions.free,
            self._databases.ports,
            self.later.entries,
        )

    def restore(self, state: Any) -> None:
        """Puts a copied `state` back."""
        (
            self.applications._applications,
            self.applications._jobs,
            self._store._documents,
            self._transitions.free,
            self._databases.ports,
            self.later.entries,
        ) = state

    def itself(self) -> dict[int, Any]:
        """A memo for `copy.deepcopy`: what is never copied, because there is one of it."""
        one = (self, self.applications, self.clusters, self.warehouses, self._databases, self._transitions)
        return {id(each): each for each in one}


def _never(_: float) -> None:
    raise AssertionError("latencies are the test's; the machine itself has none")


def _code_is_there(region: str, configuration: Mapping[str, Any]) -> bool:
    from moto.s3.models import s3_backends

    from tests.unit.deploy.places import ACCOUNT

    bucket, key, _ = codes.location(configuration)
    buckets = s3_backends[ACCOUNT]["aws"].buckets
    return bucket in buckets and key in buckets[bucket].keys
