"""A machine that says no to the local cloud: the command names the cause and the fix, and harms nothing."""

from __future__ import annotations

import os
import shutil
import sqlite3
import stat
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from tests.e2e.conftest import Cloud
from txnpipe.errors import ExitCode
from txnpipe.local import runtime

NewCloud = Callable[..., Cloud]
IS_ROOT = os.geteuid() == 0


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 4 MB."""
    mounted = tmp_path / "disk"
    mounted.mkdir()
    if not IS_ROOT or _mount("-t", "tmpfs", "-o", "size=4m", "tmpfs", str(mounted)) != 0:
        pytest.skip("needs to be allowed to mount")
    yield mounted
    subprocess.run(["umount", str(mounted)], check=True)


def _mount(*arguments: str) -> int:
    return subprocess.run(["mount", *arguments], capture_output=True).returncode


def test_a_file_in_the_way_of_the_home_is_named(new_cloud: NewCloud) -> None:
    cloud = new_cloud()
    cloud.home.root.write_text("in the way")

    code, said = cloud.fail("local", "start")

    assert code == ExitCode.ENVIRONMENT
    assert "a file is in the way" in said
    assert cloud.home.root.read_text() == "in the way"


def test_a_directory_with_other_peoples_files_is_not_taken_for_a_home(new_cloud: NewCloud) -> None:
    cloud = new_cloud()
    cloud.home.root.mkdir(mode=0o755)
    (cloud.home.root / "thesis.txt").write_text("years of work")

    code, said = cloud.fail("local", "start")

    assert code == ExitCode.ENVIRONMENT
    assert "thesis.txt" in said
    assert stat.S_IMODE(cloud.home.root.stat().st_mode) == 0o755
    cloud.run("local", "reset", "--yes")
    assert (cloud.home.root / "thesis.txt").exists()


def test_a_read_only_mount_as_home_is_named(small_disk: Path, new_cloud: NewCloud) -> None:
    cloud = new_cloud()
    assert _mount("-o", "remount,ro", str(small_disk)) == 0

    code, said = cloud.fail("local", "start", TXNPIPE_HOME=str(small_disk / "home"))

    assert code == ExitCode.ENVIRONMENT
    assert "read-only file system" in said
    assert list(small_disk.iterdir()) == []


def test_a_full_disk_is_named_before_anything_is_started(small_disk: Path, new_cloud: NewCloud) -> None:
    cloud = new_cloud()

    code, said = cloud.fail("local", "start", TXNPIPE_HOME=str(small_disk / "home"))

    assert code == ExitCode.ENVIRONMENT
    assert "full" in said


def test_a_disk_that_fills_up_later_fails_the_call_and_loses_nothing(new_cloud: NewCloud) -> None:
    cloud = new_cloud()
    moto = cloud.home.state("moto")
    mountable = IS_ROOT and shutil.which("mount")
    if not mountable:
        pytest.skip("needs to be allowed to mount")
    cloud.start()
    cloud.stop()
    shutil.rmtree(moto)
    moto.mkdir(mode=0o700)
    if _mount("-t", "tmpfs", "-o", "size=2m", "tmpfs", str(moto)) != 0:
        pytest.skip("needs to be allowed to mount")
    try:
        cloud.start()
        s3 = cloud.client("s3")
        s3.create_bucket(Bucket="small")
        s3.put_object(Bucket="small", Key="fits", Body=bytes(10_000))
        with pytest.raises(ClientError) as full:
            s3.put_object(Bucket="small", Key="too-big", Body=bytes(4_000_000))
        assert "disk of the local cloud's home is full" in str(full.value)

        cloud.kill()
        cloud.start()

        assert cloud.client("s3").get_object(Bucket="small", Key="fits")["Body"].read() == bytes(10_000)
        cloud.client("s3").put_object(Bucket="small", Key="fits too", Body=b"x")
        cloud.stop()
    finally:
        subprocess.run(["umount", str(moto)], check=True)


def test_a_missing_extra_is_named_with_the_command_that_installs_it(
    new_cloud: NewCloud, tmp_path: Path
) -> None:
    cloud = new_cloud()
    # A Python without the extra: one whose finder does not see moto.
    (tmp_path / "sitecustomize.py").write_text(
        "import importlib.util as util\n"
        "find = util.find_spec\n"
        "util.find_spec = lambda name, package=None: None if name == 'moto' else find(name, package)\n"
    )

    code, said = cloud.fail("local", "start", PYTHONPATH=str(tmp_path))

    assert code == ExitCode.ENVIRONMENT
    assert "pip install 'txnpipe[local]'" in " ".join(said.split())


def test_a_damaged_database_is_named_and_left_alone(new_cloud: NewCloud) -> None:
    cloud = new_cloud()
    cloud.start()
    cloud.stop()
    database = cloud.home.state("moto") / "state.sqlite"
    for file in database.parent.glob("state.sqlite*"):
        file.unlink()
    database.write_bytes(b"not a database, by far" * 100)

    code, said = cloud.fail("local", "start")

    assert code == ExitCode.ENVIRONMENT
    assert "txnpipe local reset" in " ".join(said.split())
    assert database.read_bytes().startswith(b"not a database")


def test_one_saved_state_that_cannot_be_read_is_named_and_nothing_is_written_over_it(
    new_cloud: NewCloud,
) -> None:
    cloud = new_cloud()
    cloud.client("sqs").create_queue(QueueName="q")
    cloud.stop()
    file = cloud.home.state("moto") / "state.sqlite"
    with sqlite3.connect(file) as database:
        database.execute("UPDATE backend SET state = x'8005', moto = '4.0' WHERE module = 'moto.sqs.models'")
    database.close()

    code, said = cloud.fail("local", "start")

    assert code == ExitCode.ENVIRONMENT
    assert "saved state of sqs cannot be read" in " ".join(said.split())
    with sqlite3.connect(file) as database:
        (state,) = database.execute("SELECT state FROM backend WHERE module = 'moto.sqs.models'").fetchone()
    database.close()
    assert state == bytes.fromhex("8005")


def test_a_daemon_that_dies_at_start_shows_the_end_of_its_log(new_cloud: NewCloud, tmp_path: Path) -> None:
    cloud = new_cloud()
    (tmp_path / "waitress.py").write_text("raise RuntimeError('waitress is broken here')\n")

    code, said = cloud.fail("local", "start", PYTHONPATH=str(tmp_path))

    assert code == ExitCode.SERVICE
    assert "waitress is broken here" in said
    assert str(cloud.home.daemon_log) in "".join(said.split("\n"))
    assert not runtime.is_locked(cloud.home)


def test_a_port_outside_of_what_is_allowed_is_a_usage_error(new_cloud: NewCloud) -> None:
    code, _ = new_cloud().fail("local", "start", TXNPIPE_LOCAL_API_PORT="80")

    assert code == ExitCode.USAGE
