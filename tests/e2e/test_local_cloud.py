"""The local cloud as a program: started by whoever needs it, found again, stopped without a trace."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable

import psutil

from tests.e2e.conftest import Cloud
from tests.waiting import PATIENCE_S
from txnpipe.errors import ExitCode
from txnpipe.local import client, runtime

NewCloud = Callable[..., Cloud]


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


def test_finding_a_running_daemon_imports_neither_boto3_nor_moto(
    new_cloud: NewCloud,
) -> None:
    cloud = new_cloud()
    cloud.start()
    program = (
        "import sys\n"
        "from txnpipe.config.settings import LocalSettings\n"
        "from txnpipe.local.client import ensure_running\n"
        "ensure_running(LocalSettings())\n"
        "print([m for m in ('boto3', 'botocore', 'moto', 'flask', 'psutil') if m in sys.modules])\n"
    )
    output = subprocess.run(
        [sys.executable, "-c", program], env=cloud.environment(), capture_output=True, text=True, check=True
    ).stdout.splitlines()

    assert output == ["[]"]


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

    reaper.join(timeout=PATIENCE_S)
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

    code, _ = cloud.fail("local", "reset")
    assert code == ExitCode.REFUSED
    assert client.find(cloud.home) is not None

    cloud.run("local", "reset", "--yes", check=True)
    assert not cloud.home.root.exists()
    assert cloud.leftovers() == []
    assert cloud.client("s3").list_buckets()["Buckets"] == []


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
    assert cloud.fail("local", "logs", "nothing")[0] == ExitCode.NOT_FOUND


def test_a_daemon_whose_home_vanishes_stops_everything_and_ends(new_cloud: NewCloud) -> None:
    cloud = new_cloud()
    daemon = psutil.Process(cloud.start().pid)
    log = cloud.home.daemon_log.open()
    shutil.rmtree(cloud.home.root)

    _, living = psutil.wait_procs([daemon], timeout=PATIENCE_S)  # no command could find it any more

    assert living == []
    assert cloud.leftovers() == []
    assert log.read().rstrip().endswith("stopped")
    log.close()
