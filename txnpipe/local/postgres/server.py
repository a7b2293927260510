"""One PostgreSQL server: a data directory, a port, and the process on it.

    directory/            0710, group of the server's account where we are root
      server.json         port and name of the superuser; everything needed to start it again
      superuser.password  0600, ours
      data/               0700, the server account's
    log_file              0600, ours; the server inherits it open

It listens on 127.0.0.1 only, has no unix socket, and knows no way in but scram-sha-256. The superuser
is the local cloud's own (Redshift has one, too: rdsdb); customers get ordinary roles.

Durability: a commit is on disk before it is acknowledged (fsync and synchronous_commit on). Measured on an
SSD that costs 0.17 ms a commit, and in return neither a kill nor a power cut loses a row.

A postmaster killed with -9 leaves behind its pid file, backends in mid-statement and their shared memory,
and a new one refuses to start over them. `start` therefore first adopts a living postmaster of this very
directory, or else ends what is left of a dead one.
"""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import psutil

from txnpipe.errors import ExitCode, TxnpipeError
from txnpipe.local.files import read_json, write_json
from txnpipe.local.part import Process
from txnpipe.local.postgres.binaries import (
    Account,
    Installation,
    find_installation,
    reachable_installation,
    server_account,
)
from txnpipe.local.postgres.postmaster import (
    POLL_S,
    alive,
    end_leftovers,
    find_postmaster,
    read_pid_file,
    shut_down,
)

HOST = "127.0.0.1"
SUPERUSER = "rdsdb"
DEFAULT_PORT = 5439
FALLBACK_PORTS = range(5440, 5456)
"""Tried in order when the preferred port is taken: Redshift's own range for RA3. Then any free port."""

READY_TIMEOUT_S = 60.0
"""Crash recovery included."""

_STARTING = threading.Lock()
"""Two servers of one daemon must not choose the same free port."""

_SETTINGS = {
    "listen_addresses": f"'{HOST}'",
    "unix_socket_directories": "''",
    "password_encryption": "'scram-sha-256'",
    "shared_buffers": "'64MB'",
    "work_mem": "'64MB'",  # a proof of a million rows sorts them for each rule; nothing else sorts much
    "max_connections": "100",
    "max_wal_size": "'512MB'",
    "max_parallel_workers_per_gather": "1",
    "fsync": "on",
    "synchronous_commit": "on",
    "default_transaction_isolation": "'repeatable read'",  # Redshift's snapshot isolation
    "timezone": "'UTC'",
    "log_timezone": "'UTC'",
    "datestyle": "'ISO, MDY'",
    "lc_messages": "'C'",
    "log_line_prefix": "'%m [%p] %q%u@%d '",
    "log_checkpoints": "off",
    # The text of a failing statement may hold a password: CREATE USER ... PASSWORD '...'.
    "log_min_error_statement": "panic",
    "tcp_keepalives_idle": "60",
    "idle_in_transaction_session_timeout": "'1h'",
}


class PostgresServer:
    """A PostgreSQL server that survives its parent.

    Not thread-safe: its supervisor, or whoever else owns it, serializes the calls.
    """

    def __init__(self, directory: Path, log_file: Path, *, name: str, preferred_port: int = DEFAULT_PORT):
        self.directory = directory
        self.data = directory / "data"
        self.log_file = log_file
        self.name = name
        self._preferred_port = preferred_port
        self._account: Account = server_account()
        self._installation: Installation | None = None
        self._child: subprocess.Popen[bytes] | None = None
        self._postmaster: psutil.Process | None = None
        self._port = int(self._saved().get("port", 0))

    # What is known of it

    @property
    def port(self) -> int:
        """The port it listens on; kept over restarts as long as nobody else takes it. 0 before the first."""
        return self._port

    @property
    def superuser_password(self) -> str:
        """The superuser's password. Raises FileNotFoundError before `initialise`."""
        return (self.directory / "superuser.password").read_text("ascii")

    def running(self) -> bool:
        """Whether the postmaster is alive. A zombie is dead."""
        if self._child is not None and self._child.poll() is not None:
            self._child = None
            return False
        return self._postmaster is not None and alive(self._postmaster)

    def processes(self) -> list[Process]:
        """The postmaster, where it runs. It answers for its backends."""
        if not self.running() or self._postmaster is None:
            return []
        return [Process(f"postgres {self.name}", self._postmaster.pid)]

    def ready(self) -> bool:
        """Whether it accepts connections (what pg_ctl asks the pid file, and the socket itself)."""
        pid_file = read_pid_file(self.data)
        if pid_file is None or not pid_file.ready:
            return False
        try:
            socket.create_connection((HOST, self._port), timeout=1).close()
        except OSError:
            return False
        return True

    # What can be done with it

    def initialise(self) -> None:
        """Makes the data directory with the superuser. Does nothing where that is done.

        Raises TxnpipeError (ENVIRONMENT): no binaries, or a directory out of the server account's reach.
        """
        self._make_directory()
        if (self.directory / "server.json").exists():
            return
        password = secrets.token_urlsafe(32)
        _write_private(self.directory / "superuser.password", password)
        # Made elsewhere and renamed: a killed initdb leaves nothing that could be taken for a server.
        for unfinished in self.directory.glob("initdb-*"):
            _remove_tree(unfinished)
        _remove_tree(self.data)
        workshop = Path(tempfile.mkdtemp(prefix="initdb-", dir=self.directory))
        (workshop / "data").mkdir(mode=0o700)
        _write_private(workshop / "password", password)
        if self._account.switch:
            for path in (workshop, workshop / "data", workshop / "password"):
                os.chown(path, self._account.uid, self._account.gid)
        command = ["-D", str(workshop / "data"), "-U", SUPERUSER, "-A", "scram-sha-256"]
        command += ["--pwfile", str(workshop / "password"), "-E", "UTF8", "--locale=C"]
        try:
            self._run("initdb", command)
            (workshop / "data").rename(self.data)
        finally:
            _remove_tree(workshop)
        self._save({"port": 0, "superuser": SUPERUSER})

    def start(self) -> None:
        """Adopts the living postmaster of this directory, or starts one; waits until it accepts connections.

        Raises TxnpipeError (ENVIRONMENT) with the end of its log when it does not come up.
        """
        self.initialise()
        if self.running() or self._adopt():
            self._wait_until_ready()
            return
        end_leftovers(self.data)
        with _STARTING:
            for attempts_left in (2, 1, 0):
                self._choose_port()
                self._configure()
                self._spawn()
                try:
                    self._wait_until_ready()
                except TxnpipeError:
                    # Somebody took the port between our looking and its binding.
                    if self.running() or _bindable(self._port) or not attempts_left:
                        raise
                else:
                    return

    def prefer_port(self, port: int) -> None:
        """Takes this port, where it is free, at the next start."""
        self._preferred_port, self._port = port, 0
        self._save({"port": 0})

    def stop(self) -> None:
        """Ends it, cleanly where possible. Rows stay; no process of it stays."""
        shut_down(self.data)
        if self._child is not None:
            self._child.wait()
        self._child = None
        self._postmaster = None

    def copy_data(self, target: Path) -> None:
        """A consistent copy of the running server's directory, from which another can be started.

        `target` must not exist. Raises TxnpipeError (ENVIRONMENT).
        """
        target.mkdir(mode=0o700)
        if self._account.switch:
            os.chown(target, os.geteuid(), self._account.gid)
            target.chmod(0o710)
        (target / "data").mkdir(mode=0o700)
        if self._account.switch:
            os.chown(target / "data", self._account.uid, self._account.gid)
        command = ["-D", str(target / "data"), "-h", HOST, "-p", str(self._port), "-U", SUPERUSER]
        command += ["--wal-method", "fetch", "--checkpoint", "fast"]
        self._run("pg_basebackup", command, {"PGPASSWORD": self.superuser_password})
        _write_private(target / "superuser.password", self.superuser_password)
        write_json(target / "server.json", self._saved() | {"port": 0})

    def remove(self) -> None:
        """Stops it and deletes everything it had, the log as well."""
        self.stop()
        _remove_tree(self.directory)
        for path in (self.log_file, self.log_file.with_name(self.log_file.name + ".1")):
            path.unlink(missing_ok=True)

    # How

    def _saved(self) -> dict[str, Any]:
        return read_json(self.directory / "server.json") or {}

    def _save(self, changes: dict[str, Any]) -> None:
        write_json(self.directory / "server.json", self._saved() | changes)

    def _make_directory(self) -> None:
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.log_file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not self._account.switch:
            return
        for directory in (self.directory, self.directory.parent):
            os.chown(directory, os.geteuid(), self._account.gid)
            directory.chmod(0o710)

    def _programs(self) -> Installation:
        """The installation that made the data directory, or for a new one the newest."""
        if self._installation is None:
            marker = self.data / "PG_VERSION"
            major = int(marker.read_text("ascii")) if marker.exists() else None
            found = find_installation(major)
            self._installation = reachable_installation(found, self._account, self.directory.parent)
        return self._installation

    def _run(self, program: str, arguments: list[str], variables: dict[str, str] | None = None) -> None:
        options = self._account.spawn_options()
        options["env"] = options["env"] | (variables or {})
        done = subprocess.run(
            [str(self._programs().bin / program), *arguments],
            check=False,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=600,
            **options,
        )
        if done.returncode != 0:
            raise TxnpipeError(
                f"{program} failed in {self.data}: {_last_line(done.stdout)}",
                _reach_fix(self._account),
                ExitCode.ENVIRONMENT,
                details=tuple(done.stdout.strip().splitlines()[-5:]),
            )

    def _configure(self) -> None:
        settings = dict(_SETTINGS) | {"port": str(self._port)}
        if self._programs().major >= 18:
            settings["io_method"] = "sync"  # spares three worker processes
        if sys.platform == "linux":
            settings["recovery_init_sync_method"] = "'syncfs'"
        self._write_owned("postgresql.conf", "".join(f"{key} = {value}\n" for key, value in settings.items()))
        access = f"{HOST}/32 scram-sha-256\n"
        self._write_owned("pg_hba.conf", f"host all all {access}host replication {SUPERUSER} {access}")
        self._write_owned("postgresql.auto.conf", "")

    def _write_owned(self, name: str, text: str) -> None:
        path = self.data / name
        _write_private(path, text)
        if self._account.switch:
            os.chown(path, self._account.uid, self._account.gid)

    def _choose_port(self) -> None:
        wanted = [self._port] if self._port else []
        for port in (*wanted, self._preferred_port, *FALLBACK_PORTS, 0):
            free = _bindable(port)
            if free:
                self._port = free
                self._save({"port": free})
                return
        raise TxnpipeError(
            f"No port is free on {HOST}.",
            "Close other programs, then run the same command again.",
            ExitCode.ENVIRONMENT,
        )

    def _spawn(self) -> None:
        descriptor = os.open(self.log_file, os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600)
        try:
            self._child = subprocess.Popen(
                [str(self._programs().bin / "postgres"), "-D", str(self.data)],
                stdin=subprocess.DEVNULL,
                stdout=descriptor,
                stderr=descriptor,
                start_new_session=True,  # neither Ctrl-C nor our own end reaches it
                **self._account.spawn_options(),
            )
        finally:
            os.close(descriptor)
        self._postmaster = psutil.Process(self._child.pid)

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + READY_TIMEOUT_S
        while not self.ready():
            if not self.running() or time.monotonic() > deadline:
                raise TxnpipeError(
                    f"PostgreSQL for {self.name} does not come up: {self._log_tail()}",
                    f"Read {self.log_file}. {_reach_fix(self._account)}",
                    ExitCode.ENVIRONMENT,
                )
            time.sleep(POLL_S)

    def _log_tail(self) -> str:
        try:
            return _last_line(self.log_file.read_text("utf-8", errors="replace")[-4000:])
        except OSError:
            return "it left no log"

    def _adopt(self) -> bool:
        process = find_postmaster(self.data)
        pid_file = read_pid_file(self.data)
        if process is None or pid_file is None:
            return False
        self._postmaster = process
        self._child = None
        self._port = pid_file.port
        return True


def _bindable(port: int) -> int:
    """The port itself (or a free one for 0) when it can be bound, else 0."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return 0
        return int(probe.getsockname()[1])


def _write_private(path: Path, text: str) -> None:
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def _remove_tree(path: Path) -> None:
    if path.exists():
        shutil.rmtree(path)


def _last_line(text: str) -> str:
    lines = [line for line in text.strip().splitlines() if line.strip()]
    return lines[-1].strip() if lines else "it said nothing"


def _reach_fix(account: Account) -> str:
    if account.switch:
        return (
            f"PostgreSQL runs as the user {account.name}: every directory above its data must let that user"
            " pass (chmod o+x), or set TXNPIPE_HOME elsewhere, such as /var/lib/txnpipe."
        )
    return "Check free space and permissions of the home directory, then run the same command again."
