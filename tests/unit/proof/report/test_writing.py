"""The page on disk: whole or not at all, and refused early where it cannot lie."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from txnpipe.errors import ExitCode, TxnpipeError
from txnpipe.proof.report.writing import checked_place, write_report


def refused(path: Path, code: ExitCode) -> str:
    with pytest.raises(TxnpipeError) as caught:
        checked_place(path)
    assert caught.value.exit_code == code
    assert "--report" in caught.value.fix
    return caught.value.cause


def test_a_report_is_written_and_replaced(tmp_path: Path) -> None:
    place = checked_place(tmp_path / "proof.html")
    assert list(tmp_path.iterdir()) == []
    write_report(place, "one ✓")
    place.chmod(0o640)
    write_report(place, "two")
    assert place.read_text(encoding="utf-8") == "two"
    assert place.stat().st_mode & 0o777 == 0o640
    assert list(tmp_path.iterdir()) == [place]


def test_a_directory_is_refused(tmp_path: Path) -> None:
    assert "it is a directory" in refused(tmp_path, ExitCode.USAGE)


def test_a_missing_directory_is_refused(tmp_path: Path) -> None:
    assert str(tmp_path / "no") in refused(tmp_path / "no" / "proof.html", ExitCode.USAGE)


def test_what_is_no_ordinary_file_is_refused_and_left_alone(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert "no ordinary file" in refused(tmp_path / "pipe", ExitCode.USAGE)
    assert (tmp_path / "pipe").is_fifo()


def test_a_name_that_is_too_long_is_refused(tmp_path: Path) -> None:
    assert "too long" in refused(tmp_path / ("x" * 300), ExitCode.ENVIRONMENT)


def test_a_directory_that_takes_no_file_is_refused() -> None:
    assert "cannot be written" in refused(Path("/proc/proof.html"), ExitCode.ENVIRONMENT)


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "link.html").symlink_to(tmp_path / "real.html")
    write_report(checked_place(tmp_path / "link.html"), "text")
    assert (tmp_path / "link.html").is_symlink()
    assert (tmp_path / "real.html").read_text(encoding="utf-8") == "text"


def test_where_writing_fails_the_old_report_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = tmp_path / "proof.html"
    write_report(place, "old")

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(TxnpipeError, match="No space left"):
        write_report(place, "new")
    assert place.read_text(encoding="utf-8") == "old"
    assert list(tmp_path.iterdir()) == [place]
