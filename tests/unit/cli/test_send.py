"""`txnpipe send --dry-run`: the records of a run without a target, and refusals of what cannot be made."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from txnpipe.cli.environment import Environment
from txnpipe.cli.main import run as main
from txnpipe.errors import ExitCode


def run(directory: Path, *arguments: str) -> tuple[int, str, str]:
    environment = Environment(
        stdin=io.StringIO(), stdout=io.StringIO(), stderr=io.StringIO(), variables={}, directory=directory
    )
    code = main(["send", *arguments], environment)
    return code, environment.stdout.getvalue(), environment.stderr.getvalue()  # type: ignore[attr-defined]


def test_a_dry_run_prints_the_records_and_asks_no_target(tmp_path: Path) -> None:
    code, printed, _ = run(tmp_path, "--dry-run", "--count", "50")
    assert code == ExitCode.OK
    assert len({json.loads(line)["transaction_id"] for line in printed.splitlines()}) == 50


def test_a_dry_run_writes_the_records_to_a_file(tmp_path: Path) -> None:
    code, printed, _ = run(
        tmp_path, "--dry-run", "--count", "500", "--duplicates", "0.2", "--invalid", "0.2", "--output", "x"
    )
    assert (code, printed) == (ExitCode.OK, "")
    lines = (tmp_path / "x").read_bytes().splitlines()
    assert len(lines) == 500
    assert len(set(lines)) < 450


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--anomaly", "velocity"), "RULE=RATE"),
        (("--anomaly", "nothing=0.1"), "no anomaly 'nothing'"),
        (("--anomaly-rate", "2"), "--anomaly-rate is 2"),
        (("--invalid", "-1"), "--invalid is -1"),
        (("--days", "0"), "--days is 0"),
        (("--output", "x"), "--output is for --dry-run"),
        (("--workers", "0"), "--workers is 0; it must be 1 to 64"),
        (("--workers", "65"), "--workers is 65"),
        (("--file", "x", "--skew", "0.1"), "--file sends what is in the file"),
    ],
)
def test_what_cannot_be_made_is_refused(tmp_path: Path, arguments: tuple[str, ...], words: str) -> None:
    code, _, errors = run(tmp_path, *arguments)
    assert code == ExitCode.USAGE
    assert words in errors
    assert "fix:" in errors
