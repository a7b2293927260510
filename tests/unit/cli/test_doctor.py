"""`txnpipe doctor` as a program: what it prints, and how it ends."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest

from txnpipe.checks import Check, Result, failed, ok, warning
from txnpipe.cli import main as program
from txnpipe.cli.environment import Environment
from txnpipe.errors import ExitCode


def run(directory: Path, *arguments: str) -> tuple[int, str, str]:
    out, err = io.StringIO(), io.StringIO()
    environment = Environment(io.StringIO(), out, err, {}, directory)
    return program.run(["doctor", *arguments], environment), out.getvalue(), err.getvalue()


@pytest.fixture
def local(monkeypatch: pytest.MonkeyPatch) -> list[Check]:
    """The local checks that the command finds; fill it."""

    def refuse(*_: Any) -> None:
        raise AssertionError("doctor started the local cloud")

    checks: list[Check] = []
    monkeypatch.setattr("txnpipe.local.client.ensure_running", refuse)
    monkeypatch.setattr("txnpipe.local.doctor.local_checks", lambda _: checks)
    return checks


def test_a_healthy_machine_ends_with_ok(tmp_path: Path, local: list[Check]) -> None:
    local += [Check("fine", lambda: ok("It is fine.")), Check("odd", lambda: warning("Odd.", "Look."))]
    code, out, err = run(tmp_path)
    assert code == ExitCode.OK
    assert "It is fine." in out
    assert "odd: Look." in out
    assert "1 warning" in err


def test_the_first_failure_gives_the_exit_code(tmp_path: Path, local: list[Check]) -> None:
    local += [
        Check("a", lambda: failed("A.", "Mend a.", ExitCode.LIMIT)),
        Check("b", lambda: failed("B.", "Mend b.", ExitCode.CONFLICT)),
    ]
    code, out, _ = run(tmp_path, "--json")
    document = json.loads(out)
    assert (code, document["kind"], document["healthy"]) == (ExitCode.LIMIT, "doctor", False)
    assert document["checks"][-1] == {
        "name": "b",
        "state": "failed",
        "found": "B.",
        "fix": "Mend b.",
        "exit_code": 4,
    }


def test_a_wrong_configuration_is_a_finding_not_an_error(tmp_path: Path, local: list[Check]) -> None:
    (tmp_path / "txnpipe.yaml").write_text("streem: {}\n")
    code, out, _ = run(tmp_path, "--json")
    document = json.loads(out)
    assert code == ExitCode.USAGE
    assert (document["kind"], document["checks"][0]["name"]) == ("doctor", "configuration")
    assert "streem" in document["checks"][0]["found"]
    assert {check["name"] for check in document["checks"][1:]} == {"python", "cache"}


def test_the_configuration_s_file_is_named(tmp_path: Path, local: list[Check]) -> None:
    (tmp_path / "txnpipe.yaml").write_text("stream: {shards: 2}\n")
    document = json.loads(run(tmp_path, "--json")[1])
    assert "txnpipe.yaml is valid" in document["checks"][0]["found"]


def test_a_loopback_endpoint_for_aws_is_a_finding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:4580")
    code, out, _ = run(tmp_path, "--target", "aws", "--json")
    assert code == ExitCode.USAGE
    assert json.loads(out)["checks"][-1]["name"] == "endpoint"


def test_brackets_in_what_was_found_are_no_markup(tmp_path: Path, local: list[Check]) -> None:
    local.append(Check("x", lambda: warning("[bold]found", "[bold]fix")))
    out = run(tmp_path)[1]
    assert "[bold]found" in out
    assert "x: [bold]fix" in out


def test_an_account_is_examined_for_aws(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []

    def examine(target: Any, settings: Any, *_: Any) -> list[Result]:
        seen.append(f"{target.name} {target.account!r} {settings.region}")
        return [Result("credentials", ok("You are you."))]

    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    monkeypatch.setattr("txnpipe.operate.doctor.account.examine", examine)
    code, out, _ = run(tmp_path, "--target", "aws", "--region", "eu-west-1")
    assert (code, seen) == (ExitCode.OK, ["aws '' eu-west-1"])
    assert "You are you." in out
