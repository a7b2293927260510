"""The PostgreSQL servers behind clusters and workgroups, by name.

    home/redshift/NAME/             one server each (see local.postgres.server)
    home/redshift/snapshots/NAME/   the same, at rest (see snapshots)

An instance's name is unique in the installation: `us-east-1.transaction-warehouse`, or with the prefix
`serverless.` for a workgroup's namespace. All calls are thread-safe; those for one instance are serialized.
"""

from __future__ import annotations

import threading
from pathlib import Path

import psycopg2

from txnpipe.errors import ExitCode, TxnpipeError
from txnpipe.local.part import Listener, Process
from txnpipe.local.postgres import database
from txnpipe.local.postgres.server import DEFAULT_PORT, PostgresServer
from txnpipe.local.postgres.supervisor import Supervisor
from txnpipe.local.redshift.snapshots import Snapshots


class Instances:
    """All servers of the installation."""

    def __init__(self, directory: Path, logs: Path) -> None:
        self._directory = directory
        self._logs = logs
        self.snapshots = Snapshots(directory / "snapshots")
        self._supervisors: dict[str, Supervisor] = {}
        self._locks: dict[str, threading.RLock] = {}
        self._lock = threading.Lock()

    def start(
        self,
        name: str,
        database_name: str,
        admin: str,
        password: str | None,
        preferred_port: int = DEFAULT_PORT,
    ) -> int:
        """Starts (or adopts) the server, making it first if need be; returns its port.

        With a password, the administrator gets it; without, the administrator must exist already.
        Raises TxnpipeError (ENVIRONMENT).
        """
        with self._serialized(name):
            supervisor = self._supervisor(name, preferred_port)
            supervisor.start()
            if password is not None:
                try:
                    database.provision(supervisor.server, database_name, admin, password)
                except psycopg2.Error as error:
                    raise TxnpipeError(
                        f"The database {name} cannot be set up: {str(error).strip()}",
                        "Read its log with txnpipe local logs; where the disk is full, free some space.",
                        ExitCode.ENVIRONMENT,
                    ) from error
            return supervisor.server.port

    def stop(self, name: str) -> None:
        """Stops the server; its data stays."""
        with self._serialized(name):
            supervisor = self._supervisors.get(name)
            if supervisor:
                supervisor.stop()

    def remove(self, name: str) -> None:
        """Stops the server and deletes its data."""
        with self._serialized(name):
            self._supervisor(name, DEFAULT_PORT).remove()
            with self._lock:
                self._supervisors.pop(name, None)

    def move(self, name: str, port: int) -> int:
        """Restarts a running server on another port, or on a free one near it; returns which."""
        with self._serialized(name):
            supervisor = self._supervisors[name]
            supervisor.stop()
            supervisor.server.prefer_port(port)
            supervisor.start()
            return supervisor.server.port

    def keep(self, name: str, snapshot: str) -> None:
        """Stops the server and makes its data a snapshot."""
        with self._serialized(name):
            self.stop(name)
            if (self._directory / name).exists():
                self.snapshots.take(self._directory / name, snapshot)

    def restore(self, snapshot: str, name: str) -> None:
        """Fills an instance that has no data with a snapshot's."""
        with self._serialized(name):
            if not (self._directory / name / "server.json").exists():
                self.snapshots.restore(snapshot, self._directory / name)

    def stop_all(self) -> None:
        """Stops every server."""
        for name in list(self._supervisors):
            self.stop(name)

    def server(self, name: str) -> PostgresServer | None:
        """The server of that name, where it runs."""
        supervisor = self._supervisors.get(name)
        return supervisor.server if supervisor and supervisor.server.running() else None

    def port(self, name: str) -> int:
        """The port of that server, 0 where it does not run."""
        server = self.server(name)
        return server.port if server else 0

    def known(self) -> list[str]:
        """The names of all instances that have data on disk."""
        if not self._directory.is_dir():
            return []
        names = (path.parent.name for path in self._directory.glob("*/server.json"))
        return sorted(name for name in names if not name.startswith("."))

    def processes(self) -> list[Process]:
        """The postmasters alive now."""
        return [process for each in self._all() for process in each.processes()]

    def listeners(self) -> list[Listener]:
        """The ports bound now."""
        return [
            Listener(f"postgres {each.server.name}", each.server.port)
            for each in self._all()
            if each.server.running()
        ]

    def _all(self) -> list[Supervisor]:
        with self._lock:
            return list(self._supervisors.values())

    def _serialized(self, name: str) -> threading.RLock:
        with self._lock:
            return self._locks.setdefault(name, threading.RLock())

    def _supervisor(self, name: str, preferred_port: int) -> Supervisor:
        with self._lock:
            if name not in self._supervisors:
                self._supervisors[name] = Supervisor(
                    PostgresServer(
                        self._directory / name,
                        self._logs / f"postgres-{name}.log",
                        name=name,
                        preferred_port=preferred_port,
                    )
                )
            return self._supervisors[name]
