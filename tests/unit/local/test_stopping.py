"""Stopping and deleting where something else is going on in the home at the same time."""

from __future__ import annotations

from pathlib import Path

import pytest

from txnpipe.errors import ExitCode, TxnpipeError
from txnpipe.local import client, runtime
from txnpipe.local.home import Home


@pytest.fixture
def home(tmp_path: Path) -> Home:
    made = Home(tmp_path / "home")
    made.prepare()
    return made


def test_a_daemon_that_has_not_said_who_it_is_does_not_count_as_stopped(home: Home) -> None:
    lock = runtime.Lock(home)
    assert lock.try_acquire()
    with pytest.raises(TxnpipeError, match="is starting") as waited:
        client.stop(home, deadline_s=0.05)
    assert waited.value.exit_code == ExitCode.TIMEOUT
    lock.release()
    assert not client.stop(home, deadline_s=0.05)


def test_a_home_whose_daemon_was_started_again_meanwhile_is_not_deleted(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = runtime.Lock(home)
    assert lock.try_acquire()
    monkeypatch.setattr(client, "stop", lambda _home: True)  # and then came another command
    with pytest.raises(TxnpipeError, match="started again"):
        client.reset(home, deadline_s=0.05)
    assert home.logs.is_dir()
    lock.release()
    client.reset(home)
    assert not home.root.exists()
    client.reset(home)


def test_deleting_what_never_was_a_home_makes_nothing(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("x")
    client.reset(Home(tmp_path))
    assert [entry.name for entry in tmp_path.iterdir()] == ["letter.txt"]
