"""How a daemon and the commands that use it find each other: a lock, and a file that says who holds it.

The daemon locks one file for as long as it lives; the operating system lets go of the lock whatever ends the
daemon, so neither a kill -9 nor a reboot nor a reused process id can make a dead daemon look alive. The
runtime file is only believed while the lock is held.
"""

from __future__ import annotations

import fcntl
import os
from dataclasses import asdict, dataclass
from typing import Any, Literal

from txnpipe.local.files import read_json, write_json
from txnpipe.local.home import Home

State = Literal["starting", "ready", "stopping"]


@dataclass(frozen=True)
class Options:
    """What a daemon is started with."""

    enforce_limits: bool
    api_port: int
    flink_heap_mb: int

    def differences(self, wanted: Options) -> list[str]:
        """How these options differ from those that somebody wants, one sentence part each."""
        mine, theirs = asdict(self), asdict(wanted)
        return [
            f"local.{name} is {mine[name]}, wanted {theirs[name]}"
            for name in mine
            if mine[name] != theirs[name]
        ]


@dataclass(frozen=True)
class Runtime:
    """A daemon: process id, when it started (epoch seconds), where it listens, what it was started with."""

    pid: int
    started_at: float
    state: State
    port: int
    version: str
    options: Options

    @property
    def endpoint_url(self) -> str:
        """Where the AWS APIs are."""
        return f"http://127.0.0.1:{self.port}"


def write(home: Home, runtime: Runtime) -> None:
    """Publishes what this daemon is. Call it only while holding the lock."""
    write_json(home.runtime_file, asdict(runtime))


def read(home: Home) -> Runtime | None:
    """The daemon that holds the lock; None where no daemon lives or it has not said anything yet."""
    if not is_locked(home):
        return None
    document = read_json(home.runtime_file)
    if document is None:
        return None
    try:
        options = Options(**document.pop("options"))
        return Runtime(**document, options=options)
    except (KeyError, TypeError):
        return None


def is_locked(home: Home) -> bool:
    """Whether a daemon is alive."""
    try:
        descriptor = os.open(home.lock_file, os.O_RDONLY)
    except (FileNotFoundError, NotADirectoryError):
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


class Lock:
    """The daemon's lock on its home, also held by whoever removes the home."""

    def __init__(self, home: Home) -> None:
        self._file = home.lock_file
        self._descriptor = os.open(home.lock_file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def try_acquire(self) -> bool:
        """Takes the lock if nobody has it and the home is still there."""
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return not self.removed()

    def removed(self) -> bool:
        """Whether the home was removed since this lock was made, and perhaps made again: it locks nothing."""
        try:
            return not os.path.samestat(self._file.stat(), os.fstat(self._descriptor))
        except (FileNotFoundError, NotADirectoryError):
            return True

    def release(self) -> None:
        """Lets go; the end of the process does the same."""
        os.close(self._descriptor)


def failure_document(cause: str, fix: str, exit_code: int, details: tuple[str, ...]) -> dict[str, Any]:
    """What a daemon that cannot start leaves for the command that asked for it."""
    return {"cause": cause, "fix": fix, "exit_code": exit_code, "details": list(details)}
