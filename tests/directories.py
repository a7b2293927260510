"""Directories for servers that outlive their starter: PostgreSQL's data, a local cloud's home."""

from __future__ import annotations

import functools
import subprocess
import sys
import tempfile
from pathlib import Path

GUARDIAN = Path(__file__).parent / "guardian.py"


def make_directory(prefix: str) -> Path:
    """A new directory that root's PostgreSQL, which runs as another user, can pass through.

    Whoever asks for it ends what works in it, and deletes it. If this process is killed, its guardian does.
    """
    directory = Path(tempfile.mkdtemp(prefix=prefix))
    directory.chmod(0o711)
    watched = _guardian().stdin
    assert watched is not None
    watched.write(f"{directory}\n")
    return directory


@functools.cache
def _guardian() -> subprocess.Popen[str]:
    """This process's guardian. Its input ends when this process does, however that happens."""
    return subprocess.Popen(
        [sys.executable, str(GUARDIAN)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
        bufsize=1,
        start_new_session=True,  # whoever kills this process with its group does not reach it
    )
