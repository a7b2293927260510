"""The processes of a data directory: finding them, telling them from strangers, ending them.

PostgreSQL's processes enter their data directory at start. A process is believed to belong to a data
directory only when that is its working directory: pid files go stale and pids are used again.
"""

from __future__ import annotations

import contextlib
import signal
import time
from dataclasses import dataclass
from pathlib import Path

import psutil

from txnpipe.errors import ExitCode, TxnpipeError

STOP_TIMEOUT_S = 15.0
POLL_S = 0.02


@dataclass(frozen=True)
class PidFile:
    """postmaster.pid: one fact a line; `ready` in its eighth line once connections are accepted."""

    pid: int
    port: int
    ready: bool


def read_pid_file(data: Path) -> PidFile | None:
    """What the postmaster of a data directory says of itself; None where it says nothing (yet)."""
    try:
        lines = (data / "postmaster.pid").read_text("utf-8").splitlines()
        return PidFile(int(lines[0]), int(lines[3]), len(lines) > 7 and lines[7].strip() == "ready")
    except (OSError, ValueError, IndexError):
        return None


def alive(process: psutil.Process) -> bool:
    """Whether a process still runs. A zombie does not, and neither does whoever has its pid now."""
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def belongs(process: psutil.Process, data: Path) -> bool:
    """Whether it is a PostgreSQL process of this data directory."""
    try:
        return process.name().startswith("postgres") and Path(process.cwd()) == data.resolve()
    except (psutil.Error, OSError):
        return False


def find_postmaster(data: Path) -> psutil.Process | None:
    """The living postmaster of a data directory."""
    pid_file = read_pid_file(data)
    if pid_file is None:
        return None
    try:
        process = psutil.Process(pid_file.pid)
    except psutil.Error:
        return None
    return process if alive(process) and belongs(process, data) else None


def shut_down(data: Path) -> None:
    """Ends the server of a data directory, cleanly where it lets us, and everything a dead one left.

    Raises TxnpipeError (ENVIRONMENT) when a process resists even SIGKILL.
    """
    postmaster = find_postmaster(data)
    if postmaster is not None:
        for signal_number, patience in ((signal.SIGINT, STOP_TIMEOUT_S), (signal.SIGQUIT, 5.0)):
            if _signal_and_wait(postmaster, signal_number, patience):
                break
    end_leftovers(data)


def end_leftovers(data: Path) -> None:
    """Ends the backends that outlived their postmaster; removes its pid file, which may name a stranger."""
    leftovers = [process for process in psutil.process_iter() if belongs(process, data)]
    for process in leftovers:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    deadline = time.monotonic() + 10
    while any(map(alive, leftovers)):
        if time.monotonic() > deadline:
            raise TxnpipeError(
                f"Processes of PostgreSQL hold {data} and do not end.",
                "End them, then run the same command again.",
                ExitCode.ENVIRONMENT,
                details=tuple(f"pid {process.pid}" for process in leftovers if alive(process)),
            )
        time.sleep(POLL_S)
    (data / "postmaster.pid").unlink(missing_ok=True)


def _signal_and_wait(process: psutil.Process, signal_number: int, patience_s: float) -> bool:
    with contextlib.suppress(psutil.NoSuchProcess):
        process.send_signal(signal_number)
    deadline = time.monotonic() + patience_s
    while alive(process):
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL_S)
    return True
