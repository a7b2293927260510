"""`txnpipe verify --report`, the real program: what cannot be written is refused before anything is asked."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from txnpipe.errors import ExitCode


def run(directory: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "TXNPIPE_"))}
    home = directory / "home"
    return subprocess.run(
        [sys.executable, "-m", "txnpipe", "verify", *arguments],
        cwd=directory,
        env={**kept, "TXNPIPE_HOME": str(home)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("place", [".", "missing/proof.html"])
def test_it_is_refused_before_the_local_cloud_is_started(tmp_path: Path, place: str) -> None:
    result = run(tmp_path, "--report", place)
    assert result.returncode == ExitCode.USAGE
    assert "fix:" in result.stderr
    assert "--report" in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_under_json_the_refusal_is_one_document(tmp_path: Path) -> None:
    result = run(tmp_path, "--report", "/proc/proof.html", "--json")
    document = json.loads(result.stdout)
    assert document["kind"] == "error"
    assert result.returncode == document["exit_code"] == ExitCode.ENVIRONMENT
    assert list(tmp_path.iterdir()) == []


def test_one_record_has_no_report(tmp_path: Path) -> None:
    result = run(tmp_path, "--report", "proof.html", "--id", "x")
    assert result.returncode == ExitCode.USAGE
    assert list(tmp_path.iterdir()) == []
