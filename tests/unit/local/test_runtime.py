"""Who holds the lock is the daemon; what the runtime file says counts only meanwhile."""

from __future__ import annotations

import stat
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tests.ports import free_port
from tests.waiting import PATIENCE_S, eventually
from txnpipe.local import credentials, leftovers, runtime
from txnpipe.local.files import read_json, write_json
from txnpipe.local.home import Home
from txnpipe.local.part import Process
from txnpipe.local.ports import bind_api
from txnpipe.local.runtime import Options, Runtime

OPTIONS = Options(enforce_limits=True, api_port=4580, flink_heap_mb=512)
RECORD = Runtime(pid=1, started_at=2.0, state="ready", port=4580, version="1", options=OPTIONS)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    made = Home(tmp_path / "home")
    made.prepare()
    return made


def test_a_record_is_believed_only_while_the_lock_is_held(home: Home) -> None:
    lock = runtime.Lock(home)
    assert lock.try_acquire()
    runtime.write(home, RECORD)
    assert runtime.read(home) == RECORD
    assert not runtime.Lock(home).try_acquire()

    lock.release()

    assert runtime.read(home) is None
    assert runtime.Lock(home).try_acquire()


def test_a_lock_on_a_home_that_was_removed_meanwhile_is_none(home: Home) -> None:
    first, second = runtime.Lock(home), runtime.Lock(home)
    assert first.try_acquire()
    assert not second.try_acquire()
    assert not second.removed()

    home.remove()
    first.release()

    assert not second.try_acquire()
    assert second.removed()
    home.prepare()
    assert runtime.Lock(home).try_acquire()


def test_the_record_is_the_first_and_the_lock_the_last_to_be_removed(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    removed: list[str] = []
    unlink = Path.unlink

    def noted(path: Path, missing_ok: bool = False) -> None:
        removed.append(path.name)
        unlink(path, missing_ok)

    for name in ("credentials.json", "failure.json", "ports.json", "runtime.json"):
        (home.root / name).touch()
    monkeypatch.setattr(Path, "unlink", noted)
    home.remove()
    assert (removed[0], removed[-1]) == (home.runtime_file.name, home.lock_file.name)


def test_the_lock_ends_with_its_process_however_that_ends(home: Home) -> None:
    program = (
        "import sys; from pathlib import Path; from txnpipe.local import runtime\n"
        "from txnpipe.local.home import Home\n"
        "lock = runtime.Lock(Home(Path(sys.argv[1]))); assert lock.try_acquire(); print('held', flush=True)\n"
        "sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, str(home.root)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        assert runtime.is_locked(home)

        holder.kill()
        holder.wait(PATIENCE_S)

    assert not runtime.is_locked(home)


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"pid": 1}', '{"options": {}}'])
def test_a_broken_record_is_no_record(home: Home, content: str) -> None:
    assert runtime.Lock(home).try_acquire()
    home.runtime_file.write_text(content)
    assert runtime.read(home) is None


def test_where_nothing_was_ever_started_nothing_runs(tmp_path: Path) -> None:
    assert runtime.read(Home(tmp_path / "nowhere")) is None


def test_options_tell_how_they_differ() -> None:
    wanted = Options(enforce_limits=False, api_port=4580, flink_heap_mb=1024)
    assert OPTIONS.differences(wanted) == [
        "local.enforce_limits is True, wanted False",
        "local.flink_heap_mb is 512, wanted 1024",
    ]
    assert OPTIONS.differences(OPTIONS) == []


def test_a_json_file_is_private_and_replaced_at_one_stroke(tmp_path: Path) -> None:
    path = tmp_path / "f.json"
    write_json(path, {"a": 1})
    with pytest.raises(TypeError):
        write_json(path, {"a": object()})

    assert read_json(path) == {"a": 1}
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [entry.name for entry in tmp_path.iterdir()] == ["f.json"]


def test_a_key_is_made_once_and_never_shown(home: Home) -> None:
    assert credentials.load(home) is None
    made = credentials.load_or_make(home)

    assert credentials.load_or_make(home) == made == credentials.load(home)
    assert len(made.access_key_id) == 20
    assert made.access_key_id.isalnum()
    assert made.access_key_id.isupper()
    assert made.access_key_id not in repr(made)
    assert made.secret_access_key not in repr(made)
    assert stat.S_IMODE(home.credentials_file.stat().st_mode) == 0o600


def test_another_home_has_another_key(home: Home, tmp_path: Path) -> None:
    other = Home(tmp_path / "other")
    other.prepare()
    assert credentials.load_or_make(home) != credentials.load_or_make(other)


def test_the_port_of_last_time_comes_first_then_the_preferred_then_any(home: Home) -> None:
    with bind_api(home, free_port()) as first:
        preferred = first.getsockname()[1]
        with bind_api(home, preferred) as second:
            replacement = second.getsockname()[1]
            assert replacement != preferred
    with bind_api(home, preferred) as third:
        assert third.getsockname()[1] == replacement
    with bind_api(home, other := free_port()) as fourth:
        assert fourth.getsockname() == ("127.0.0.1", other)


def test_noted_processes_are_ended_with_their_children_and_strangers_are_not(home: Home) -> None:
    ours = subprocess.Popen(["sh", "-c", "sleep 3600 & wait"])
    stranger = subprocess.Popen(["sleep", "3600"])
    try:
        [child] = eventually(psutil.Process(ours.pid).children, "child")
        leftovers.note(home, [Process("ours", ours.pid), Process("gone", 2**22 - 1)])
        noted = read_json(home.processes_file)
        assert noted is not None
        created = psutil.Process(stranger.pid).create_time()
        noted["processes"].append({"pid": stranger.pid, "created": created - 5, "name": "reused id"})
        write_json(home.processes_file, noted)

        assert leftovers.end(home) == ["ours"]

        assert not psutil.pid_exists(ours.pid)
        eventually(lambda: _has_ended(child), "end of the child")
        assert stranger.poll() is None
        assert leftovers.end(home) == []
    finally:
        for process in (ours, stranger):
            process.kill()
            process.wait(PATIENCE_S)


def test_a_process_that_ignores_the_signal_is_killed(home: Home) -> None:
    stubborn = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import signal, sys; signal.signal(15, 1); print(1, flush=True); sys.stdin.read()",
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with stubborn:
        assert stubborn.stdout is not None
        assert stubborn.stdout.readline() == b"1\n"
        leftovers.note(home, [Process("stubborn", stubborn.pid)])

        assert leftovers.end(home, patience_s=0.2) == ["stubborn"]

        stubborn.wait(PATIENCE_S)  # it reads from a pipe that is still open: only a KILL ends it
    assert not psutil.pid_exists(stubborn.pid)


def _has_ended(process: psutil.Process) -> bool:
    """Whoever adopted it may not have waited for it yet."""
    try:
        return process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True
