"""The local cloud as a program: started by whoever needs it, found again, stopped without a trace."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import sqlite3
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from botocore.exceptions import ClientError

from tests.e2e.conftest import Cloud, free_port
from txnpipe.errors import ExitCode
from txnpipe.local import client, runtime

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


def failure(cloud: Cloud, *arguments: str, **environment: str) -> tuple[int, str]:
    """Runs the program, which must fail: its exit code and what it said. Never a traceback."""
    result = cloud.run(*arguments, environment=environment)
    assert "Traceback" not in result.stderr
    assert result.stderr.count("error: ") == 1
    assert result.stderr.count("fix: ") == 1
    return result.returncode, result.stderr


def test_start_status_and_stop_say_what_they_did(new_cloud: NewCloud) -> None:
    cloud = new_cloud()

    assert json.loads(cloud.run("local", "status", "--json", check=True).stdout)["running"] is False
    started = json.loads(cloud.run("local", "start", "--json", check=True).stdout)
    again = json.loads(cloud.run("local", "start", "--json", check=True).stdout)
    status = json.loads(cloud.run("local", "status", "--json", check=True).stdout)

    assert (started["started"], again["started"]) == (True, False)
    assert started["endpoint_url"] == f"http://127.0.0.1:{cloud.settings.api_port}"
    assert status["running"]
    assert status["processes"][0]["pid"] == started["pid"]
    assert {"part": "api", "name": "AWS APIs", "port": cloud.settings.api_port} in status["listeners"]
    assert 0 < status["rss_bytes"] < 1_000_000_000
    assert "AWS APIs" in cloud.run("local", "status", check=True).stdout
    assert "Stopped" in cloud.run("local", "stop", check=True).stderr
    assert cloud.leftovers() == []
    assert "not running" in cloud.run("local", "stop", check=True).stderr


def test_it_outlives_the_command_that_started_it_and_answers_from_its_own_session(
    new_cloud: NewCloud,
) -> None:
    cloud = new_cloud()
    cloud.run("local", "start", check=True)
    daemon = psutil.Process(cloud.running.pid)

    assert os.getsid(daemon.pid) == daemon.pid
    assert daemon.terminal() is None
    assert cloud.running.access_key_id not in " ".join(daemon.cmdline())


def test_everything_in_the_home_is_private(new_cloud: NewCloud) -> None:
    cloud = new_cloud()
    cloud.start()
    cloud.client("s3").create_bucket(Bucket="private")
    cloud.client("s3").put_object(Bucket="private", Key="k", Body=b"secret")

    open_to_others = {
        str(path.relative_to(cloud.home.root)): oct(stat.S_IMODE(path.stat().st_mode))
        for path in (cloud.home.runtime_file, cloud.home.credentials_file, *cloud.home.logs.iterdir())
        if stat.S_IMODE(path.stat().st_mode) & 0o077
    }
    open_to_others |= {
        str(path): oct(path.stat().st_mode)
        for path in (*cloud.home.state("moto").rglob("*"), cloud.home.state("moto"))
        if path.stat().st_mode & 0o077
    }
    assert open_to_others == {}
    # Root's PostgreSQL runs as another user, who may pass through the home but not list it.
    assert stat.S_IMODE(cloud.home.root.stat().st_mode) == (0o711 if IS_ROOT else 0o700)


def test_nothing_listens_beyond_loopback(new_cloud: NewCloud) -> None:
    cloud = new_cloud()
    cloud.start()

    addresses = {
        connection.laddr.ip
        for process in cloud.processes()
        for connection in process.net_connections(kind="inet")
        if connection.status == psutil.CONN_LISTEN
    }
    assert addresses == {"127.0.0.1"}


def test_finding_a_running_daemon_takes_milliseconds_and_imports_neither_boto3_nor_moto(
    new_cloud: NewCloud,
) -> None:
    cloud = new_cloud()
    cloud.start()
    program = (
        "import sys, time\n"
        "from txnpipe.config.settings import LocalSettings\n"
        "from txnpipe.local.client import ensure_running\n"
        "began = time.perf_counter()\n"
        "ensure_running(LocalSettings())\n"
        "print(time.perf_counter() - began)\n"
        "print([m for m in ('boto3', 'botocore', 'moto', 'flask', 'psutil') if m in sys.modules])\n"
    )
    output = subprocess.run(
        [sys.executable, "-c", program], env=cloud.environment(), capture_output=True, text=True, check=True
    ).stdout.splitlines()

    assert float(output[0]) < 0.2
    assert output[1] == "[]"


def test_two_commands_that_start_it_at_once_get_the_same_daemon(new_cloud: NewCloud) -> None:
    cloud = new_cloud()
    found: list[int] = []

    def start() -> None:
        found.append(json.loads(cloud.run("local", "start", "--json", check=True).stdout)["pid"])

    starters = [threading.Thread(target=start) for _ in range(4)]
    for starter in starters:
        starter.start()
    for starter in starters:
        starter.join()

    assert len(found) == 4
    assert set(found) == {cloud.running.pid}
    time.sleep(0.2)
    assert len([p for p in psutil.process_iter() if _is_daemon_of(p, cloud)]) == 1


def _is_daemon_of(process: psutil.Process, cloud: Cloud) -> bool:
    try:
        command = process.cmdline()
    except psutil.Error:
        return False
    return "txnpipe.local.daemon" in command and str(cloud.home.root) in command


def test_a_killed_daemon_is_started_again_by_any_command_with_the_same_key_and_port(
    new_cloud: NewCloud,
) -> None:
    cloud = new_cloud()
    before = cloud.start()
    cloud.client("sqs").create_queue(QueueName="kept")
    cloud.kill()

    assert json.loads(cloud.run("local", "status", "--json", check=True).stdout)["running"] is False
    cloud.run("local", "env", check=True)

    after = cloud.running
    assert after.pid != before.pid
    assert (after.endpoint_url, after.access_key_id) == (before.endpoint_url, before.access_key_id)
    assert cloud.client("sqs").list_queues()["QueueUrls"]


def test_a_runtime_file_of_a_dead_daemon_is_not_believed_even_if_its_pid_lives(new_cloud: NewCloud) -> None:
    cloud = new_cloud()
    cloud.start()
    record = runtime.read(cloud.home)
    assert record is not None
    cloud.kill()
    document = json.loads(cloud.home.runtime_file.read_text())
    document["pid"] = os.getpid()
    cloud.home.runtime_file.write_text(json.dumps(document))

    assert client.find(cloud.home) is None
    cloud.stop()  # must not signal this process
    assert cloud.start().pid != os.getpid()


def test_stop_ends_what_a_killed_daemon_left_behind(new_cloud: NewCloud) -> None:
    cloud = new_cloud()
    cloud.start()
    orphan = subprocess.Popen(["sleep", "300"])
    created = psutil.Process(orphan.pid).create_time()
    cloud.kill()
    stranger = subprocess.Popen(["sleep", "300"])
    cloud.home.processes_file.write_text(
        json.dumps(
            {
                "processes": [
                    {"pid": orphan.pid, "created": created, "name": "orphan"},
                    {"pid": stranger.pid, "created": created - 1000, "name": "a reused process id"},
                ]
            }
        )
    )
    reaper = threading.Thread(target=orphan.wait)
    reaper.start()

    assert "Stopped" in cloud.run("local", "stop", check=True).stderr

    reaper.join(timeout=10)
    assert orphan.returncode is not None
    assert stranger.poll() is None
    stranger.kill()
    stranger.wait()


def test_a_daemon_that_hangs_is_killed_by_stop_together_with_what_it_started(new_cloud: NewCloud) -> None:
    cloud = new_cloud()
    cloud.start()
    os.kill(cloud.running.pid, signal.SIGSTOP)

    assert client.stop(cloud.home, deadline_s=0.5)

    assert not runtime.is_locked(cloud.home)
    cloud.client("s3").list_buckets()


def test_a_taken_port_is_replaced_and_the_replacement_is_kept(new_cloud: NewCloud) -> None:
    cloud = new_cloud()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", cloud.settings.api_port))
        taken.listen()
        first = cloud.start().endpoint_url
        cloud.stop()
    second = cloud.start().endpoint_url

    assert first != f"http://127.0.0.1:{cloud.settings.api_port}"
    assert second == first
    assert f"AWS_ENDPOINT_URL={second}" in cloud.run("local", "env", check=True).stdout


def test_two_homes_are_two_local_clouds(new_cloud: NewCloud) -> None:
    one, other = new_cloud(), new_cloud()
    one.client("s3").create_bucket(Bucket="mine")

    assert other.client("s3").list_buckets()["Buckets"] == []
    assert one.running.access_key_id != other.running.access_key_id


def test_reset_deletes_everything_and_needs_a_confirmation(new_cloud: NewCloud) -> None:
    cloud = new_cloud()
    cloud.client("s3").create_bucket(Bucket="gone")

    code, _ = failure(cloud, "local", "reset")
    assert code == ExitCode.REFUSED
    assert client.find(cloud.home) is not None

    cloud.run("local", "reset", "--yes", check=True)
    assert not cloud.home.root.exists()
    assert cloud.leftovers() == []
    assert cloud.client("s3").list_buckets()["Buckets"] == []


def test_env_is_what_a_shell_and_the_aws_cli_understand(new_cloud: NewCloud) -> None:
    cloud = new_cloud()
    aws = f"{sys.executable} -m awscli"
    script = (
        f'set -e; eval "$({sys.executable} -m txnpipe local env)"; '
        f"{aws} sns create-topic --name from-the-cli; "
        f"{aws} s3 mb s3://from-the-cli; "
        # Version 1 of the AWS CLI has an address of its own for SQS and asks no variable.
        f'{aws} sqs create-queue --queue-name from-the-cli --endpoint-url "$AWS_ENDPOINT_URL"'
    )
    environment = cloud.environment(AWS_PROFILE="somebody", AWS_SESSION_TOKEN="old", PATH=os.environ["PATH"])

    result = subprocess.run(["bash", "-c", script], env=environment, capture_output=True, text=True)

    assert result.returncode == 0, result.stderr
    assert "arn:aws:sns:us-east-1:000000000000:from-the-cli" in result.stdout
    assert f"{cloud.endpoint_url}/000000000000/from-the-cli" in result.stdout
    assert cloud.client("s3").list_buckets()["Buckets"][0]["Name"] == "from-the-cli"


def test_other_options_than_the_running_ones_are_named_and_a_restart_applies_them(
    new_cloud: NewCloud,
) -> None:
    cloud = new_cloud()
    cloud.start()
    other = {"TXNPIPE_LOCAL_ENFORCE_LIMITS": "false"}

    warned = cloud.run("local", "start", environment=other, check=True)
    assert "local.enforce_limits is True, wanted False" in " ".join(warned.stderr.split())

    cloud.run("local", "start", "--restart", environment=other, check=True)
    assert cloud.running.options.enforce_limits is False


def test_logs_show_the_daemons_last_lines(new_cloud: NewCloud) -> None:
    cloud = new_cloud()
    cloud.start()

    assert "ready on http://127.0.0.1:" in cloud.run("local", "logs", check=True).stdout
    assert len(cloud.run("local", "logs", "--lines", "1", check=True).stdout.splitlines()) == 1
    assert failure(cloud, "local", "logs", "nothing")[0] == ExitCode.NOT_FOUND


# --- what AWS does not know ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("service", "operation", "parameters"),
    [
        ("sns", "get_data_protection_policy", {"ResourceArn": "arn:aws:sns:us-east-1:000000000000:t"}),
        ("ec2", "describe_local_gateways", {}),
        ("cloudwatch", "describe_alarm_contributors", {"AlarmName": "a"}),
        ("secretsmanager", "validate_resource_policy", {"ResourcePolicy": "{}"}),
        ("outposts", "list_sites", {}),
    ],
)
def test_a_call_that_nobody_implements_gets_a_typed_error(
    cloud: Cloud, service: str, operation: str, parameters: dict[str, str]
) -> None:
    with pytest.raises(ClientError) as refused:
        getattr(cloud.client(service), operation)(**parameters)

    assert refused.value.response["Error"]["Code"] in {"InvalidAction", "UnknownOperationException"}


def test_a_long_poll_lets_others_in(cloud: Cloud) -> None:
    sqs = cloud.client("sqs")
    url = sqs.create_queue(QueueName="polled")["QueueUrl"]
    received: list[str] = []

    def poll() -> None:
        answer = cloud.client("sqs").receive_message(QueueUrl=url, WaitTimeSeconds=10)
        received.extend(message["Body"] for message in answer.get("Messages", []))

    poller = threading.Thread(target=poll)
    poller.start()
    time.sleep(0.3)
    sqs.list_queues()
    assert poller.is_alive()  # the other call was answered while this one waits
    sqs.send_message(QueueUrl=url, MessageBody="hello")
    poller.join()

    assert received == ["hello"]


def test_calls_from_many_threads_lose_nothing(cloud: Cloud) -> None:
    url = cloud.client("sqs").create_queue(QueueName="crowded")["QueueUrl"]
    s3 = cloud.client("s3")
    s3.create_bucket(Bucket="crowded")

    def work(number: int) -> None:
        for index in range(10):
            cloud.client("sqs").send_message(QueueUrl=url, MessageBody=f"{number}/{index}")
            s3.put_object(Bucket="crowded", Key=f"{number}/{index}", Body=b"x")

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    attributes = cloud.client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    assert attributes["ApproximateNumberOfMessages"] == "80"
    assert s3.list_objects_v2(Bucket="crowded")["KeyCount"] == 80


# --- a machine that says no ------------------------------------------------------------------------------


def test_a_file_in_the_way_of_the_home_is_named(new_cloud: NewCloud) -> None:
    cloud = new_cloud()
    cloud.home.root.write_text("in the way")

    code, said = failure(cloud, "local", "start")

    assert code == ExitCode.ENVIRONMENT
    assert "a file is in the way" in said
    assert cloud.home.root.read_text() == "in the way"


def test_a_directory_with_other_peoples_files_is_not_taken_for_a_home(new_cloud: NewCloud) -> None:
    cloud = new_cloud()
    cloud.home.root.mkdir(mode=0o755)
    (cloud.home.root / "thesis.txt").write_text("years of work")

    code, said = failure(cloud, "local", "start")

    assert code == ExitCode.ENVIRONMENT
    assert "thesis.txt" in said
    assert stat.S_IMODE(cloud.home.root.stat().st_mode) == 0o755
    cloud.run("local", "reset", "--yes")
    assert (cloud.home.root / "thesis.txt").exists()


def test_a_read_only_mount_as_home_is_named(small_disk: Path, new_cloud: NewCloud) -> None:
    cloud = new_cloud()
    assert _mount("-o", "remount,ro", str(small_disk)) == 0

    code, said = failure(cloud, "local", "start", TXNPIPE_HOME=str(small_disk / "home"))

    assert code == ExitCode.ENVIRONMENT
    assert "read-only file system" in said
    assert list(small_disk.iterdir()) == []


def test_a_full_disk_is_named_before_anything_is_started(small_disk: Path, new_cloud: NewCloud) -> None:
    cloud = new_cloud()

    code, said = failure(cloud, "local", "start", TXNPIPE_HOME=str(small_disk / "home"))

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


def test_a_daemon_whose_home_vanishes_stops_everything_and_ends(new_cloud: NewCloud) -> None:
    cloud = new_cloud()
    daemon = psutil.Process(cloud.start().pid)
    log = cloud.home.daemon_log.open()
    shutil.rmtree(cloud.home.root)

    _, living = psutil.wait_procs([daemon], timeout=30)  # no command could find it any more

    assert living == []
    assert cloud.leftovers() == []
    assert log.read().rstrip().endswith("stopped")
    log.close()


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

    code, said = failure(cloud, "local", "start", PYTHONPATH=str(tmp_path))

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

    code, said = failure(cloud, "local", "start")

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

    code, said = failure(cloud, "local", "start")

    assert code == ExitCode.ENVIRONMENT
    assert "saved state of sqs cannot be read" in " ".join(said.split())
    with sqlite3.connect(file) as database:
        (state,) = database.execute("SELECT state FROM backend WHERE module = 'moto.sqs.models'").fetchone()
    database.close()
    assert state == bytes.fromhex("8005")


def test_a_daemon_that_dies_at_start_shows_the_end_of_its_log(new_cloud: NewCloud, tmp_path: Path) -> None:
    cloud = new_cloud()
    (tmp_path / "waitress.py").write_text("raise RuntimeError('waitress is broken here')\n")

    code, said = failure(cloud, "local", "start", PYTHONPATH=str(tmp_path))

    assert code == ExitCode.SERVICE
    assert "waitress is broken here" in said
    assert str(cloud.home.daemon_log) in "".join(said.split("\n"))
    assert not runtime.is_locked(cloud.home)


def test_a_port_outside_of_what_is_allowed_is_a_usage_error(new_cloud: NewCloud) -> None:
    code, _ = failure(new_cloud(), "local", "start", TXNPIPE_LOCAL_API_PORT="80")

    assert code == ExitCode.USAGE
    assert free_port() > 0
