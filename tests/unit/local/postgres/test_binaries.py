"""Finding PostgreSQL, and somebody to run it as."""

from __future__ import annotations

import pwd
from pathlib import Path
from typing import NoReturn

import pytest

from txnpipe.errors import ExitCode, TxnpipeError
from txnpipe.local.postgres import binaries


def test_the_wheels_newest_version_is_found_and_older_ones_on_request() -> None:
    newest = binaries.find_installation()
    assert newest.major == 18
    older = binaries.find_installation(16)
    assert older.major == 16
    for installation in (newest, older):
        for program in ("postgres", "initdb", "pg_basebackup"):
            assert (installation.bin / program).exists()


def test_a_version_that_is_not_there_is_an_error_with_a_fix() -> None:
    with pytest.raises(TxnpipeError) as raised:
        binaries.find_installation(14 if binaries.find_installation().major != 14 else 15)
    assert raised.value.exit_code is ExitCode.ENVIRONMENT
    assert "txnpipe[local]" in raised.value.fix


def test_nothing_at_all_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(binaries, "_candidates", lambda: [])
    with pytest.raises(TxnpipeError, match="PostgreSQL is not on this machine"):
        binaries.find_installation()


def test_an_ordinary_user_runs_it_as_himself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    account = binaries.server_account()
    assert not account.switch
    assert "user" not in account.spawn_options()


def test_root_runs_it_as_nobody_where_there_is_no_postgres(monkeypatch: pytest.MonkeyPatch) -> None:
    def getpwnam(name: str) -> pwd.struct_passwd:
        if name == "postgres":
            raise KeyError(name)
        return pwd.struct_passwd((name, "x", 65534, 65534, "", "/", "/bin/false"))

    monkeypatch.setattr("os.geteuid", lambda: 0)
    monkeypatch.setattr(pwd, "getpwnam", getpwnam)
    account = binaries.server_account()
    assert (account.name, account.uid, account.switch) == ("nobody", 65534, True)
    assert account.spawn_options() == {
        "env": {"LC_ALL": "C", "TZ": "UTC", "PATH": "/usr/bin:/bin"},
        "cwd": "/",
        "user": 65534,
        "group": 65534,
        "extra_groups": [],
    }


def test_root_without_anybody_else_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def getpwnam(name: str) -> NoReturn:
        raise KeyError(name)

    monkeypatch.setattr("os.geteuid", lambda: 0)
    monkeypatch.setattr(pwd, "getpwnam", getpwnam)
    with pytest.raises(TxnpipeError, match="neither a user postgres nor nobody"):
        binaries.server_account()


def test_an_ordinary_user_needs_no_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    installation = binaries.find_installation()
    assert binaries.reachable_installation(installation, binaries.server_account(), tmp_path) == installation
    assert list(tmp_path.iterdir()) == []
