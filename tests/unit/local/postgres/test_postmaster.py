"""Whose process is it: pid files are hints, working directories are proof."""

from __future__ import annotations

import os
from pathlib import Path

import psutil
import pytest

from txnpipe.local.postgres.postmaster import PidFile, belongs, end_leftovers, find_postmaster, read_pid_file

COMPLETE = "4711\n/data\n1732442400\n5439\n\n127.0.0.1\n  5432001         3\nready   \n"


def test_a_complete_pid_file_is_read(tmp_path: Path) -> None:
    (tmp_path / "postmaster.pid").write_text(COMPLETE)
    assert read_pid_file(tmp_path) == PidFile(pid=4711, port=5439, ready=True)


@pytest.mark.parametrize("lines", range(8))
def test_a_server_that_is_starting_is_not_ready(tmp_path: Path, lines: int) -> None:
    (tmp_path / "postmaster.pid").write_text("".join(COMPLETE.splitlines(keepends=True)[:lines]))
    found = read_pid_file(tmp_path)
    assert found is None or not found.ready


def test_no_file_and_nonsense_are_no_server(tmp_path: Path) -> None:
    assert read_pid_file(tmp_path) is None
    (tmp_path / "postmaster.pid").write_text("x\ny\nz\n?\n")
    assert read_pid_file(tmp_path) is None


def test_a_living_process_that_is_not_postgresql_is_not_ours(tmp_path: Path) -> None:
    (tmp_path / "postmaster.pid").write_text(
        f"{os.getpid()}\n{tmp_path}\n1\n5439\n\n127.0.0.1\n 1 1\nready\n"
    )
    assert not belongs(psutil.Process(), tmp_path)
    assert find_postmaster(tmp_path) is None


def test_ending_leftovers_removes_the_stale_file_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "postmaster.pid").write_text(f"{os.getpid()}\n")
    (tmp_path / "PG_VERSION").write_text("18\n")
    end_leftovers(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["PG_VERSION"]
