"""Who may import whom: the contracts stand in pyproject.toml, [tool.importlinter]."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_no_room_imports_what_it_must_not_know() -> None:
    command = [
        sys.executable,
        "-c",
        "from importlinter.cli import lint_imports_command; lint_imports_command()",
    ]
    finished = subprocess.run([*command, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stdout + finished.stderr


def test_nothing_listens_beyond_loopback() -> None:
    for path in sorted((ROOT / "txnpipe").rglob("*.py")):
        assert "0.0.0.0" not in path.read_text(encoding="utf-8"), path
