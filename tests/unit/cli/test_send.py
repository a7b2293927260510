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
    ("duration", "count"), [("30", 300), ("30s", 300), ("0.5m", 300), ("1h", 36_000), ("1.5s", 15)]
)
def test_a_duration_with_a_rate_is_a_number_of_records(tmp_path: Path, duration: str, count: int) -> None:
    _, printed, _ = run(tmp_path, "--dry-run", "--duration", duration, "--rate", "10")
    assert len(printed.splitlines()) == count


def test_a_profile_makes_fewer_of_the_same_records(tmp_path: Path) -> None:
    steady, ramp = (
        [json.loads(line)["amount"] for line in run(tmp_path, *asked)[1].splitlines()]
        for each in ("steady", "ramp")
        for asked in [("--dry-run", "--duration", "10s", "--rate", "20", "--rate-profile", each)]
    )
    assert (len(steady), len(ramp)) == (200, 100)
    assert ramp == steady[:100]


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
        (("--file", "x", "--skew", "0.1"), "--file sends what is in the file; --skew is for"),
        (("--file", "x", "--count", "5", "--seed", "0"), "--count and --seed are for synthetic"),
        (("--file", "x", "--dry-run"), "--dry-run is for synthetic"),
        (("--on-error", "stop"), "--on-error is about the lines of a file"),
        (("--on-error", "ignore"), "'ignore' is not one of"),
        (("--rate-profile", "square", "--rate", "5"), "'square' is not one of"),
        (("--partition-key", "amount"), "'amount' is not one of"),
        (("--count", "5", "--duration", "5s"), "--count says how many records there are"),
        (("--duration", "0"), "--duration is '0'"),
        (("--duration", "5d"), "--duration is '5d'"),
        (("--duration", "-5s"), "--duration is '-5s'"),
        (("--duration", "1e3s"), "--duration is '1e3s'"),
        (("--duration", "800h"), "at most 30 days"),
        (("--resume", "r", "--new"), "--resume continues a run; --new would not"),
        (("--resume", "r", "--dry-run"), "--resume continues a run; --dry-run would not"),
        (("--dry-run", "--rate-profile", "ramp"), "--rate-profile ramp needs a rate"),
        (("--dry-run", "--duration", "5s"), "--dry-run needs to know how many"),
        (("--dry-run", "--duration", "5s", "--days", "1"), "--days spreads a known number"),
        (("--dry-run", "--duration", "1s", "--rate", "0.1"), "makes 0 records"),
    ],
)
def test_what_cannot_be_made_is_refused(tmp_path: Path, arguments: tuple[str, ...], words: str) -> None:
    code, _, errors = run(tmp_path, *arguments)
    assert code == ExitCode.USAGE
    assert words in errors
    assert "fix:" in errors
