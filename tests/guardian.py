"""Ends what a killed pytest left behind. A program: `python guardian.py`, a directory on each input line.

PostgreSQL and the local cloud's daemon outlive whoever started them, as they should. This waits for the end
of a pipe whose only writer is pytest; then it ends every process that works in one of the directories, and
deletes them. Where pytest ended in order, they are gone already.
"""

from __future__ import annotations

import shutil
import signal
import sys
from pathlib import Path

import psutil

PATIENCE_S = 20.0
"""How long the processes may take to end by themselves."""


def inhabitants(directories: list[Path]) -> list[psutil.Process]:
    """Every process whose working directory is one of these, or below."""
    found = []
    for process in psutil.process_iter():
        try:
            works_in = Path(process.cwd())
        except (psutil.Error, OSError):
            continue
        if any(works_in.is_relative_to(directory) for directory in directories):
            found.append(process)
    return found


def end(processes: list[psutil.Process], number: int) -> None:
    """Sends a signal, and waits."""
    for process in processes:
        try:
            process.send_signal(number)
        except psutil.NoSuchProcess:
            continue
    psutil.wait_procs(processes, timeout=PATIENCE_S)


def main() -> None:
    """Waits for the end of the input, then cleans up."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    given = [Path(line.rstrip("\n")).resolve() for line in sys.stdin]
    directories = [directory for directory in given if directory.exists()]
    if not directories:
        return
    end(inhabitants(directories), signal.SIGTERM)
    end(inhabitants(directories), signal.SIGKILL)
    for directory in directories:
        shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    main()
