"""Runs a few lines in a process of their own, with moto as the daemon has it.

Our hooks change moto's classes for the life of a process, so they stay out of the test process.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import textwrap
from typing import Any

_HEAD = """
import json, pathlib, sys
from txnpipe.local.part import ACCOUNT
from txnpipe.local.moto_control_plane.application import MotoControlPlane
home = pathlib.Path(sys.argv[1])
plane = MotoControlPlane(home)
def show(**values):
    print("SHOWN " + json.dumps(values))
"""


def run(body: str, home: str | None = None) -> dict[str, Any]:
    """Runs `body`, which has `plane`, `home`, `ACCOUNT` and `show(...)`; returns what it showed."""
    with tempfile.TemporaryDirectory() as own:
        result = subprocess.run(
            [sys.executable, "-c", _HEAD + textwrap.dedent(body), home or own],
            capture_output=True,
            text=True,
            timeout=240,
        )
    assert result.returncode == 0, result.stderr
    shown = [line.removeprefix("SHOWN ") for line in result.stdout.splitlines() if line.startswith("SHOWN ")]
    document: dict[str, Any] = json.loads(shown[-1])
    return document
