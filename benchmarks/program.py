"""The program as a user runs it, in a home of its own, for benchmarks that measure the whole."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

API_PORT = 4980


@dataclass(frozen=True)
class Done:
    """A command that ended with 0: its document, and what its process took."""

    document: dict[str, Any]
    cpu_s: float
    peak_rss_bytes: int


class Program:
    """txnpipe with a local cloud of its own. `settings` are environment variables without TXNPIPE_."""

    def __init__(self, directory: Path, **settings: str) -> None:
        self._directory = directory
        inherited = {
            key: value for key, value in os.environ.items() if not key.startswith(("AWS_", "TXNPIPE_"))
        }
        own = {"HOME": str(directory / "home"), "LOCAL_API_PORT": str(API_PORT), **settings}
        self._environment = inherited | {f"TXNPIPE_{name}": value for name, value in own.items()}

    def run(self, *arguments: str) -> dict[str, Any]:
        """Runs a command, which must end with 0, and returns its document."""
        return self.measured(*arguments).document

    def measured(self, *arguments: str) -> Done:
        """Runs a command, which must end with 0."""
        out, err = self._directory / "stdout", self._directory / "stderr"
        with out.open("wb") as stdout, err.open("wb") as stderr:
            process = subprocess.Popen(
                [sys.executable, "-m", "txnpipe", *arguments, "--json"],
                cwd=self._directory,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=stderr,
            )
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0:
            sys.exit(f"txnpipe {' '.join(arguments)} ended with {process.returncode}:\n{err.read_text()}")
        return Done(
            json.loads(out.read_text()), usage.ru_utime + usage.ru_stime, usage.ru_maxrss * _MAXRSS_BYTES
        )


_MAXRSS_BYTES = 1 if sys.platform == "darwin" else 1024


@contextmanager
def program(**settings: str) -> Iterator[Program]:
    """The program in a fresh directory; its local cloud is stopped at the end, and everything removed."""
    directory = Path(tempfile.mkdtemp(prefix="txnpipe-benchmark-"))
    directory.chmod(0o711)  # root's PostgreSQL runs as another user, who must pass through
    made = Program(directory, **settings)
    try:
        yield made
    finally:
        made.run("local", "stop")
        shutil.rmtree(directory, ignore_errors=True)
