"""Real local clouds for tests: one for the whole session, and fresh ones for tests that break theirs."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import pytest

from tests.directories import make_directory
from tests.ports import free_port
from tests.waiting import PATIENCE_S
from txnpipe.aws import refuse_cut_answers
from txnpipe.config.settings import LocalSettings
from txnpipe.local import client as local_client
from txnpipe.local import runtime
from txnpipe.local.home import Home

if TYPE_CHECKING:
    from tests.e2e.pipelines import Pipeline

REGION = "us-east-1"

# Tests that were started in the background ignore SIGINT, and every child would inherit that. The children
# of a program with a handler get the default.
signal.signal(signal.SIGINT, signal.default_int_handler)


class Cloud:
    """A real local cloud in a home of its own, used as a user would: over HTTP and by the program."""

    def __init__(self, directory: Path, **settings: Any) -> None:
        self.directory = directory
        self.home = Home(directory / "home")
        self.work = directory / "work"
        self.work.mkdir()
        self.settings = LocalSettings(api_port=free_port(), **settings)
        self._clients: dict[tuple[str, ...], Any] = {}
        self._seen: set[psutil.Process] = set()
        self._ports: set[int] = set()

    def start(self) -> local_client.LocalCloud:
        """Starts the daemon, or finds it running."""
        running = local_client.ensure_running(self.settings, self.home)
        self._look()
        return running

    @property
    def running(self) -> local_client.LocalCloud:
        """The running daemon; started if it is not."""
        return local_client.find(self.home) or self.start()

    @property
    def endpoint_url(self) -> str:
        """Where the AWS APIs are."""
        return self.running.endpoint_url

    def client(self, service: str, region: str = REGION) -> Any:
        """A boto3 client of the local cloud that does not retry."""
        import boto3
        from botocore.config import Config

        cloud = self.running
        key = (service, region, cloud.endpoint_url, cloud.access_key_id)
        if key not in self._clients:
            client = boto3.client(  # type: ignore[call-overload]
                service,
                region_name=region,
                endpoint_url=cloud.endpoint_url,
                aws_access_key_id=cloud.access_key_id,
                aws_secret_access_key=cloud.secret_access_key,
                config=Config(proxies={}, retries={"total_max_attempts": 1}, s3={"addressing_style": "path"}),
            )
            refuse_cut_answers(client)  # a killed daemon may have begun to answer
            self._clients[key] = client
        return self._clients[key]

    def environment(self, **extra: str) -> dict[str, str]:
        """The environment of a user who has only this local cloud."""
        inherited = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("AWS_", "TXNPIPE_")) and name != "COLUMNS"  # pytest-xdist sets it
        }
        own = {"TXNPIPE_HOME": str(self.home.root), "TXNPIPE_LOCAL_API_PORT": str(self.settings.api_port)}
        if not self.settings.enforce_limits:
            own["TXNPIPE_LOCAL_ENFORCE_LIMITS"] = "false"
        return {**inherited, **own, **extra}

    def run(
        self,
        *arguments: str,
        timeout: float = 120,
        check: bool = False,
        stdin: str | None = None,
        environment: dict[str, str] | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """Runs the real program, without a terminal, in a directory without a configuration file."""
        result = subprocess.run(
            [sys.executable, "-m", "txnpipe", *arguments],
            cwd=self.work,
            env=self.environment(**(environment or {})),
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            capture_output=True,
            text=True,
            timeout=timeout,
        )
        self._look()
        if check:
            assert result.returncode == 0, f"{arguments}: {result.stdout}\n{result.stderr}"
        return result

    def fail(self, *arguments: str, **environment: str) -> tuple[int, str]:
        """Runs the program, which must fail: its exit code and what it said. Never a traceback."""
        result = self.run(*arguments, environment=environment)
        assert "Traceback" not in result.stderr
        assert result.stderr.count("error: ") == 1
        assert result.stderr.count("fix: ") == 1
        return result.returncode, result.stderr

    def kill(self) -> None:
        """kill -9 of the daemon."""
        self._look()
        record = runtime.read(self.home)
        assert record is not None
        os.kill(record.pid, signal.SIGKILL)
        while runtime.is_locked(self.home):
            time.sleep(0.01)

    def stop(self) -> None:
        """Stops the daemon in order."""
        self._look()
        local_client.stop(self.home)

    def processes(self) -> set[psutil.Process]:
        """The daemon and everything below it."""
        record = runtime.read(self.home)
        if record is None:
            return set()
        daemon = psutil.Process(record.pid)
        return {daemon, *daemon.children(recursive=True)}

    def leftovers(self) -> list[str]:
        """Processes and ports that this cloud ever had and that are still there, after some patience."""
        deadline = time.monotonic() + PATIENCE_S
        while (left := self._left()) and time.monotonic() < deadline:
            time.sleep(0.05)
        return left

    def _left(self) -> list[str]:
        alive = [
            f"process {process.pid}: {' '.join(process.cmdline())[:200]}"
            for process in self._seen | strays(self.home)
            if process.is_running() and process.status() != psutil.STATUS_ZOMBIE
        ]
        return alive + [
            f"port {port}" for port in sorted(self._ports - elsewhere(self.home)) if is_listening(port)
        ]

    def _look(self) -> None:
        """Remembers what is there now, so that `leftovers` can look for it later."""
        self._seen |= self.processes()
        for process in self._seen:
            try:
                connections = process.net_connections(kind="tcp") if process.is_running() else []
            except psutil.Error:
                continue
            self._ports |= {c.laddr.port for c in connections if c.status == psutil.CONN_LISTEN}

    def close(self) -> None:
        """Stops the cloud, proves that nothing is left, and removes the home."""
        self.stop()
        left = self.leftovers()
        for process in strays(self.home):
            process.kill()
        shutil.rmtree(self.directory, ignore_errors=True)
        assert left == []


def strays(home: Home) -> set[psutil.Process]:
    """Every process of this machine whose environment names the home."""
    found = set()
    for process in psutil.process_iter():
        try:
            if process.pid != os.getpid() and process.environ().get("TXNPIPE_HOME") == str(home.root):
                found.add(process)
        except psutil.Error:
            continue
    return found


def elsewhere(home: Home) -> set[int]:
    """Ports on which other local clouds of this machine listen: one may have taken a port that we left."""
    ports = set()
    for connection in psutil.net_connections(kind="tcp"):
        if connection.status != psutil.CONN_LISTEN or not connection.pid or not connection.laddr:
            continue
        try:
            process = psutil.Process(connection.pid)
            lines = " ".join(word for each in (process, *process.parents()) for word in each.cmdline())
        except psutil.Error:
            continue
        if "txnpipe" in lines and str(home.root) not in lines:
            ports.add(connection.laddr.port)
    return ports


def is_listening(port: int) -> bool:
    """Whether somebody accepts connections there."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture(scope="session")
def cloud() -> Iterator[Cloud]:
    """The session's local cloud: limits enforced, as a user has it."""
    running = Cloud(make_directory("txnpipe-e2e-"))
    running.start()
    yield running
    running.close()


@pytest.fixture
def new_cloud() -> Iterator[Callable[..., Cloud]]:
    """Makes fresh local clouds, for tests that kill, fill or reconfigure theirs. They are not started."""
    made: list[Cloud] = []

    def make(**settings: Any) -> Cloud:
        made.append(Cloud(make_directory("txnpipe-e2e-"), **settings))
        return made[-1]

    yield make
    for each in made:
        each.close()


@pytest.fixture(scope="session")
def pipeline(cloud: Cloud) -> Pipeline:
    """The session cloud's pipeline of the default name, set up: AWS's bare names."""
    from tests.e2e.pipelines import Pipeline

    made = Pipeline(cloud)
    made.run("setup")
    return made
