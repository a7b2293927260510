"""The home: where it is, what it refuses, what it removes."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

import pytest

from txnpipe.errors import ExitCode, TxnpipeError
from txnpipe.local.home import PARTS, ROOT_HOME, Home, unusable


def test_the_variable_chooses_the_home(tmp_path: Path) -> None:
    assert Home.of_user({"TXNPIPE_HOME": str(tmp_path / "x")}).root == tmp_path / "x"
    assert Home.of_user({"TXNPIPE_HOME": "~/x"}).root == Path.home() / "x"
    assert Home.of_user({"TXNPIPE_HOME": "relative"}).root == Path.cwd() / "relative"


def test_roots_home_is_where_postgresqls_user_can_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert Home.of_user({}).root == ROOT_HOME


def test_a_users_home_is_the_state_directory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert Home.of_user({}).root.name == "txnpipe"


def test_preparing_makes_private_directories_and_can_be_repeated(tmp_path: Path) -> None:
    home = Home(tmp_path / "a" / "b")
    home.prepare()
    home.prepare()

    assert stat.S_IMODE(home.logs.stat().st_mode) == 0o700
    assert stat.S_IMODE(home.root.stat().st_mode) & 0o066 == 0
    assert list(home.temporary.iterdir()) == []


def test_a_directory_with_other_files_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("x")
    before = stat.S_IMODE(tmp_path.stat().st_mode)

    with pytest.raises(TxnpipeError, match=r"letter\.txt") as refused:
        Home(tmp_path).prepare()

    assert refused.value.exit_code == ExitCode.ENVIRONMENT
    assert stat.S_IMODE(tmp_path.stat().st_mode) == before
    assert {entry.name for entry in tmp_path.iterdir()} == {"letter.txt"}


def test_a_home_of_another_user_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 4711)
    with pytest.raises(TxnpipeError, match="belongs to another user"):
        Home(tmp_path).prepare()


def test_removing_leaves_what_is_not_ours(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    home.prepare()
    for part in PARTS:
        (home.state(part) / "deep").mkdir(parents=True)
    (home.root / "mine.txt").write_text("x")
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "kept").write_text("x")
    home.password_files.symlink_to(outside)

    home.remove()

    assert [entry.name for entry in home.root.iterdir()] == ["mine.txt"]
    assert (outside / "kept").exists()


def test_what_a_kill_left_of_a_file_is_removed_too(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    home.prepare()
    (home.root / ".processes.json.4711").write_text("{")
    home.remove()
    assert not home.root.exists()


def test_what_a_kill_left_of_a_file_is_no_stranger(tmp_path: Path) -> None:
    home = Home(tmp_path)
    (tmp_path / ".runtime.json.4711").write_text("{")
    home.prepare()
    (tmp_path / ".notes.json.4711").write_text("{")
    home.lock_file.unlink()
    with pytest.raises(TxnpipeError, match="notes"):
        home.prepare()


def test_removing_an_installation_removes_its_directory_and_removing_nothing_is_fine(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    home.prepare()
    home.remove()
    home.remove()
    assert not home.root.exists()


@pytest.mark.parametrize(
    ("number", "says"),
    [
        (errno.EROFS, "read-only"),
        (errno.ENOSPC, "full disk"),
        (errno.EDQUOT, "quota"),
        (errno.EACCES, "may not be written"),
        (errno.ENOTDIR, "a file is in the way"),
        (errno.EIO, "Input/output error"),
    ],
)
def test_every_refusal_of_the_machine_has_a_cause_and_a_fix(number: int, says: str) -> None:
    error = unusable(Path("/h"), OSError(number, os.strerror(number)))

    assert says in error.cause
    assert "TXNPIPE_HOME" in error.fix
    assert error.exit_code == ExitCode.ENVIRONMENT


def test_a_nearly_full_disk_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import shutil

    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10**9, 10**9, 5_000_000))
    with pytest.raises(TxnpipeError, match="5 MB are free"):
        Home(tmp_path / "home").prepare()
