"""Logs of a home: found by the beginning of their name, read from the end, followed as they grow."""

from __future__ import annotations

from pathlib import Path

import pytest

from txnpipe.errors import ExitCode, TxnpipeError
from txnpipe.local.home import Home
from txnpipe.local.log_files import bound_log, bound_logs, find_logs, follow_logs, last_lines


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(tmp_path)
    home.logs.mkdir()
    for name in ("daemon", "lambda-A", "lambda-B", "redshift"):
        (home.logs / f"{name}.log").write_text(f"{name} 1\n{name} 2\n")
    return home


def test_a_part_has_all_logs_that_begin_with_its_name(home: Home) -> None:
    assert [path.stem for path in find_logs(home, "lambda")] == ["lambda-A", "lambda-B"]


def test_an_unknown_part_is_answered_with_those_there_are(home: Home) -> None:
    with pytest.raises(TxnpipeError) as error:
        find_logs(home, "kafka")
    assert error.value.exit_code == ExitCode.NOT_FOUND
    assert "daemon, lambda-A, lambda-B, redshift" in error.value.fix


def test_a_home_without_logs_says_so(tmp_path: Path) -> None:
    with pytest.raises(TxnpipeError, match="daemon") as error:
        find_logs(Home(tmp_path), "daemon")
    assert "never started" in error.value.fix


def test_the_last_lines_are_the_last(home: Home) -> None:
    path = home.logs / "daemon.log"
    assert last_lines(path, 1) == ["daemon 2"]
    assert last_lines(path, 0) == []
    assert last_lines(path, 9) == ["daemon 1", "daemon 2"]


def test_a_log_is_bounded_while_its_writer_goes_on(home: Home) -> None:
    path = home.logs / "daemon.log"
    with path.open("a") as writer:
        bound_log(path, largest=10_000)
        assert path.read_text() == "daemon 1\ndaemon 2\n"
        bound_log(path, largest=5)
        writer.write("daemon 3\n")

    assert path.read_text() == "daemon 3\n"
    assert (home.logs / "daemon.log.1").read_text() == "daemon 1\ndaemon 2\n"


def test_logs_that_no_writer_bounds_are_bounded(home: Home) -> None:
    (home.logs / "postgres-us-east-1.wh.log").write_text("long\n")
    bound_logs(home, largest=5)
    bounded = {path.name for path in home.logs.glob("*.log") if path.stat().st_size == 0}
    assert bounded == {"daemon.log"}
    bound_logs(home, largest=4)
    assert (home.logs / "postgres-us-east-1.wh.log.1").read_text() == "long\n"
    # These their writers bound themselves.
    assert (home.logs / "lambda-A.log").read_text() == "lambda-A 1\nlambda-A 2\n"


def test_following_gives_whole_new_lines_and_survives_a_rotation(home: Home) -> None:
    path = home.logs / "daemon.log"
    writes = iter(["new", " line\n", "rotate", "two\nthree\n"])

    def instead_of_sleeping(_: float) -> None:
        text = next(writes)
        if text == "rotate":
            path.write_text("one\n")
        else:
            with path.open("a") as file:
                file.write(text)

    lines = follow_logs([path], instead_of_sleeping)

    assert [next(lines)[1] for _ in range(4)] == ["new line", "one", "two", "three"]
