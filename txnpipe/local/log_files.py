"""The log files of a home: which there are, their last lines, and lines as they come."""

from __future__ import annotations

import os
import shutil
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from txnpipe.errors import ExitCode, TxnpipeError
from txnpipe.local.home import Home

_POLL_S = 0.2
LARGEST_LOG = 5_000_000
"""Bytes of one log; one before it is kept."""


def bound_log(path: Path, largest: int = LARGEST_LOG) -> None:
    """Moves a log that has grown too long to NAME.log.1. Its writer appends, and goes on in the same file."""
    if path.exists() and path.stat().st_size > largest:
        shutil.copyfile(path, path.with_name(path.name + ".1"))
        os.truncate(path, 0)


def bound_logs(home: Home, largest: int = LARGEST_LOG) -> None:
    """Bounds the logs whose writers do not do it: the daemon's own, and the databases'."""
    for path in (home.daemon_log, *home.logs.glob("postgres-*.log")):
        bound_log(path, largest)


def find_logs(home: Home, part: str) -> list[Path]:
    """The logs whose names begin with `part`. Raises TxnpipeError (NOT_FOUND) that names those there are."""
    there = sorted(home.logs.glob("*.log"))
    found = [path for path in there if path.name.startswith(part)]
    if not found:
        known = ", ".join(path.stem for path in there) or "none yet: it was never started"
        raise TxnpipeError(
            f"There is no log of {part!r}.", f"Choose one of those there are ({known}).", ExitCode.NOT_FOUND
        )
    return found


def last_lines(path: Path, count: int) -> list[str]:
    """The last lines of a file."""
    with path.open(encoding="utf-8", errors="replace") as file:
        return [line.rstrip("\n") for line in deque(file, maxlen=count)]


def follow_logs(
    paths: Sequence[Path], sleep: Callable[[float], None] = time.sleep
) -> Iterator[tuple[Path, str]]:
    """Lines as they are written, for ever; a file that was replaced is read from its beginning."""
    positions = {path: path.stat().st_size for path in paths}
    while True:
        for path in paths:
            size = path.stat().st_size if path.exists() else 0
            if size < positions[path]:
                positions[path] = 0
            if size > positions[path]:
                with path.open("rb") as file:
                    file.seek(positions[path])
                    data = file.read(size - positions[path])
                whole = data[: data.rfind(b"\n") + 1]
                positions[path] += len(whole)
                for line in whole.decode("utf-8", "replace").splitlines():
                    yield path, line
        sleep(_POLL_S)
