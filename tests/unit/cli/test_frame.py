"""The program from outside: output streams, exit codes, errors, help."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from txnpipe.cli import main as program
from txnpipe.cli.environment import Environment
from txnpipe.cli.frame import Invocation
from txnpipe.cli.output import Output
from txnpipe.cli.send import _input
from txnpipe.config import Settings
from txnpipe.errors import ExitCode, TxnpipeError


class Result:
    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err


def run(directory: Path, *arguments: str, **variables: str) -> Result:
    environment = Environment(
        stdin=io.StringIO(),
        stdout=io.StringIO(),
        stderr=io.StringIO(),
        variables=variables,
        directory=directory,
    )
    code = program.run(arguments, environment)
    assert isinstance(environment.stdout, io.StringIO)
    assert isinstance(environment.stderr, io.StringIO)
    return Result(code, environment.stdout.getvalue(), environment.stderr.getvalue())


def test_a_bare_command_shows_help(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(tmp_path).code == ExitCode.OK
    assert "txnpipe send --count 1000" in capsys.readouterr().out


def test_json_is_one_versioned_document_on_stdout(tmp_path: Path) -> None:
    result = run(tmp_path, "version", "--json")
    document = json.loads(result.out)
    assert (document["version"], document["kind"]) == (1, "version")


def test_an_unknown_command_gets_a_suggestion(tmp_path: Path) -> None:
    result = run(tmp_path, "verson")
    assert result.code == ExitCode.USAGE
    assert "Did you mean 'version'?" in result.err
    assert result.out == ""


def test_an_error_is_cause_and_fix_without_a_traceback(tmp_path: Path) -> None:
    result = run(tmp_path, "config", "show", "--config", "missing.yaml")
    assert result.code == ExitCode.USAGE
    assert "error: The configuration file missing.yaml does not exist." in result.err
    assert "fix: " in result.err
    assert "Traceback" not in result.err


def test_under_json_an_error_is_a_document_too(tmp_path: Path) -> None:
    result = run(tmp_path, "config", "show", "--config", "missing.yaml", "--json")
    document = json.loads(result.out)
    assert (document["kind"], document["exit_code"]) == ("error", 2)


def test_debug_adds_the_traceback(tmp_path: Path) -> None:
    assert "Traceback" in run(tmp_path, "config", "show", "--config", "missing.yaml", "--debug").err


def test_a_defect_is_reported_as_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(program, "build", lambda: lambda *_, **__: 1 / 0)
    result = run(tmp_path, "version")
    assert result.code == ExitCode.INTERNAL
    assert "ZeroDivisionError" in result.err
    assert "Traceback" not in result.err


@pytest.mark.parametrize(
    ("raised", "code"),
    [
        (KeyboardInterrupt(), ExitCode.INTERRUPTED),
        (TxnpipeError("Cause.", "Fix.", ExitCode.LIMIT), ExitCode.LIMIT),
        (OSError(28, "No space left on device", "/full"), ExitCode.ENVIRONMENT),
    ],
)
def test_every_failure_has_its_exit_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, raised: BaseException, code: ExitCode
) -> None:
    def failing(*_: object, **__: object) -> None:
        raise raised

    monkeypatch.setattr(program, "build", lambda: failing)
    assert run(tmp_path, "version").code == code


def test_config_show_says_where_a_value_came_from(tmp_path: Path) -> None:
    document = json.loads(run(tmp_path, "config", "show", "--json", TXNPIPE_STREAM_SHARDS="3").out)
    assert document["settings"]["stream.shards"] == {"value": 3, "from": "TXNPIPE_STREAM_SHARDS"}


def test_config_init_never_replaces_a_file_unasked(tmp_path: Path) -> None:
    assert run(tmp_path, "config", "init").code == ExitCode.OK
    again = run(tmp_path, "config", "init")
    assert again.code == ExitCode.USAGE
    assert "exists already" in again.err
    assert run(tmp_path, "config", "init", "--force").code == ExitCode.OK


def test_help_imports_neither_boto3_nor_moto() -> None:
    code = (
        "import sys\nfrom txnpipe.cli.main import run\nrun(['--help'])\n"
        "heavy = {'boto3', 'botocore', 'moto', 'psycopg2', 'py4j'} & set(sys.modules)\n"
        "sys.exit(f'imported {heavy}' if heavy else 0)"
    )
    finished = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stderr


def program_into(directory: Path, stdout: int, *arguments: str) -> tuple[int, str]:
    """The real program, its stdout a file descriptor. Exit code and stderr."""
    finished = subprocess.run(
        [sys.executable, "-m", "txnpipe", *arguments],
        cwd=directory,
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    return finished.returncode, finished.stderr


@pytest.mark.parametrize("form", [(), ("--json",)])
def test_a_reader_that_has_gone_changes_no_exit_code(tmp_path: Path, form: tuple[str, ...]) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    try:
        assert program_into(tmp_path, writing, "config", "show", *form) == (ExitCode.OK, "")
    finally:
        os.close(writing)


def test_the_verdict_stays_when_the_reader_has_gone(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    code = (
        "import sys\nfrom txnpipe.cli import main\nfrom txnpipe.cli.output import Output\n"
        "def build():\n"
        "    def run(*_, obj, **__):\n"
        "        out = Output(obj, as_json=False, quiet=False, color=False)\n"
        "        out.line('different')\n"
        "        out.raw('different')\n"
        "        assert out.gone\n"
        "        return 1\n"
        "    return run\n"
        "main.build = build\nsys.exit(main.run(['verify']))"
    )
    try:
        finished = subprocess.run(
            [sys.executable, "-c", code], stdout=writing, stderr=subprocess.PIPE, text=True, check=False
        )
        assert (finished.returncode, finished.stderr) == (ExitCode.DIFFERENCE, "")
    finally:
        os.close(writing)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="the system has no full device")
@pytest.mark.parametrize("form", [(), ("--json",)])
def test_a_full_disk_behind_stdout_is_told_once(tmp_path: Path, form: tuple[str, ...]) -> None:
    with Path("/dev/full").open("w") as full:
        code, err = program_into(tmp_path, full.fileno(), "config", "show", *form)
    assert code == ExitCode.ENVIRONMENT
    assert err.count("No space left on device") == 1
    assert "Traceback" not in err


@pytest.mark.parametrize("form", [(), ("--json",)])
def test_streams_that_the_caller_closed_are_no_defect(tmp_path: Path, form: tuple[str, ...]) -> None:
    command = f"exec {sys.executable} -m txnpipe config show {' '.join(form)} <&- >&- 2>&-"
    assert subprocess.run(["sh", "-c", command], cwd=tmp_path, check=False).returncode == ExitCode.OK


def test_square_brackets_in_a_path_are_no_markup(tmp_path: Path) -> None:
    result = run(tmp_path, "config", "init", "[bold].yaml")
    assert (result.code, "Wrote [bold].yaml." in result.err) == (ExitCode.OK, True)


def test_one_proof_at_a_time(tmp_path: Path) -> None:
    assert run(tmp_path, "verify", "--run", "a", "--id", "b").code == ExitCode.USAGE


@pytest.mark.parametrize("file", ["", "missing.jsonl", "plain/below", "x" * 300])
def test_an_input_that_cannot_be_opened_is_wrong_usage(tmp_path: Path, file: str) -> None:
    (tmp_path / "plain").write_text("")
    environment = Environment(io.StringIO(), io.StringIO(), io.StringIO(), {}, tmp_path)
    invocation = Invocation(
        environment, Output(environment, as_json=False, quiet=False, color=False), None, {}
    )
    with pytest.raises(TxnpipeError) as caught, _input(invocation, file):
        pass
    assert caught.value.exit_code is ExitCode.USAGE


@pytest.mark.parametrize("command", ["setup", "plan"])
def test_the_connectors_flag_is_the_setting_of_that_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    def opened(settings: Settings) -> None:
        raise TxnpipeError(f"jar {settings.analytics.connector_jar}", "none", ExitCode.SERVICE)

    monkeypatch.setattr("txnpipe.target.open_target", opened)
    result = run(tmp_path, command, "--connector-jar", "a.jar", TXNPIPE_ANALYTICS_CONNECTOR_JAR="b.jar")
    assert "jar a.jar" in result.err
    assert "jar b.jar" in run(tmp_path, command, TXNPIPE_ANALYTICS_CONNECTOR_JAR="b.jar").err
