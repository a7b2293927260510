"""kill -9 of every process of the pipeline while `send` runs. Then the same command again, and `verify`.

All cases share one local cloud of their own and, but for the case of a new pipeline, one pipeline. Its stream
has four shards, so that 20,000 records take seconds; the kill comes when the first thousand rows are stored
and more are on their way.
"""

from __future__ import annotations

import json
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psutil
import pytest

from tests.directories import make_directory
from tests.e2e.conftest import Cloud
from tests.e2e.pipelines import RESOURCES, Pipeline, wait_for_steps
from tests.waiting import PATIENCE_S
from txnpipe.errors import ExitCode
from txnpipe.local import client as local_client

COUNT = 20_000
STORED_BEFORE_THE_KILL = 1_000
ATTEMPTS = 5
FOUR_SHARDS = {"TXNPIPE_STREAM_SHARDS": "4"}
SEND = ("send", "--count", str(COUNT))


@pytest.fixture(scope="module")
def own_cloud() -> Iterator[Cloud]:
    """A local cloud that this module may kill."""
    running = Cloud(make_directory("txnpipe-e2e-"))
    yield running
    running.close()


@pytest.fixture(scope="module")
def victim(own_cloud: Cloud) -> Pipeline:
    """The pipeline whose parts are killed."""
    made = Pipeline(own_cloud)
    made.run("setup", environment=FOUR_SHARDS)
    return made


@pytest.fixture
def sending(victim: Pipeline) -> Iterator[subprocess.Popen[str]]:
    """A `send` in the middle of its work: a thousand rows are stored, and it has not ended.

    One that was faster than the eye is followed by another.
    """
    for _ in range(ATTEMPTS):
        before = victim.count("transactions")
        process = victim.begin(*SEND)
        victim.wait_for_rows(before + STORED_BEFORE_THE_KILL)
        if process.poll() is None:
            break
        process.communicate()
    else:
        pytest.fail("send ends before it can be killed")
    yield process
    if process.poll() is None:
        process.kill()
        process.communicate()


def owned(pipeline: Pipeline, part: str, name: str) -> list[psutil.Process]:
    """The processes of that name that a part of the local cloud owns now."""
    status = local_client.status(pipeline.cloud.home)
    assert status is not None
    processes = next(each["processes"] for each in status["parts"] if each["name"] == part)
    return [psutil.Process(each["pid"]) for each in processes if each["name"].startswith(name)]


def kill(process: psutil.Process) -> None:
    """kill -9, and proof that it is dead."""
    process.kill()
    process.wait(timeout=PATIENCE_S)


def finish(process: subprocess.Popen[str], code: int = 0) -> dict[str, Any]:
    """Waits for a command, which must end with `code`; its document."""
    output, errors = process.communicate(timeout=120)
    assert process.returncode == code, output + errors
    assert "Traceback" not in errors
    document: dict[str, Any] = json.loads(output)
    return document


def test_the_daemon(victim: Pipeline, sending: subprocess.Popen[str]) -> None:
    """Everything else dies with it, or is ended by its successor; `send` itself starts that."""
    before = victim.cloud.processes()

    victim.cloud.kill()

    assert finish(sending)["all_acknowledged"]
    victim.prove(COUNT)
    assert [process for process in before if process.is_running()] == []


def test_postgresql(victim: Pipeline, sending: subprocess.Popen[str]) -> None:
    (postmaster,) = owned(victim, "redshift", "postgres")

    kill(postmaster)

    assert finish(sending)["all_acknowledged"]
    victim.prove(COUNT)
    assert owned(victim, "redshift", "postgres") != [postmaster]


def test_the_loaders_workers(victim: Pipeline, sending: subprocess.Popen[str]) -> None:
    workers = owned(victim, "lambda", "lambda TransactionLoader")
    assert workers

    for worker in workers:
        kill(worker)

    assert finish(sending)["all_acknowledged"]
    victim.prove(COUNT)
    assert not set(workers) & set(owned(victim, "lambda", "lambda TransactionLoader"))


def test_flinks_jvm(victim: Pipeline, sending: subprocess.Popen[str]) -> None:
    """Alerts of records that came after its last checkpoint are raised again, and stored once."""
    (jvm,) = owned(victim, "flink", "flink TransactionAnalytics")

    kill(jvm)

    assert finish(sending)["all_acknowledged"]
    victim.prove(COUNT)
    assert owned(victim, "flink", "flink TransactionAnalytics") != [jvm]


def test_send_itself(victim: Pipeline, sending: subprocess.Popen[str]) -> None:
    sending.kill()
    assert sending.wait(timeout=PATIENCE_S) == -signal.SIGKILL
    assert victim.run("verify", "--timeout", "0", code=ExitCode.DIFFERENCE)["finished"] is False

    again = victim.cloud.run(*SEND)

    assert again.returncode == 0, again.stderr
    assert "Continuing run" in again.stderr
    victim.prove(COUNT)


def test_a_stop_in_order_is_respected(victim: Pipeline) -> None:
    """Who stops the local cloud means it: `send` does not start it again, but says how to go on.

    By then others have taken its ports. Whoever needs one is told the new ones: the functions, the analytics
    app, `local env`.
    """
    before, stored = victim.environment(), victim.count("transactions")
    sending = victim.begin("send", "--count", "8000", "--rate", "400")
    victim.wait_for_rows(stored + 1)

    victim.cloud.stop()

    _, errors = sending.communicate(timeout=PATIENCE_S)
    assert sending.returncode == ExitCode.SERVICE, errors
    assert "error: The local cloud was stopped." in errors
    assert "fix: Run the same command again" in errors
    assert local_client.find(victim.cloud.home) is None
    with taken(victim.cloud.settings.api_port), taken(int(before["PGPORT"])):
        assert victim.run("send", "--count", "8000")["all_acknowledged"]
    after = victim.environment(again=True)
    for name in ("AWS_ENDPOINT_URL", "PGPORT"):
        assert after[name] != before[name]
    victim.prove(8000)
    assert victim.run("plan", environment=FOUR_SHARDS)["counts"] == {"unchanged": RESOURCES}


@contextmanager
def taken(port: int) -> Iterator[None]:
    """Somebody else listens on the port meanwhile."""
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", port))
        listener.listen()
        yield


def test_setup_that_changes_the_pipeline(victim: Pipeline, sending: subprocess.Popen[str]) -> None:
    changed = {"TXNPIPE_LOADER_BATCH_SIZE": "400", "TXNPIPE_LOADER_MEMORY_MB": "640"}
    assert kill_setup(victim, after=1, **changed)

    victim.run("setup", environment=changed)

    assert victim.run("plan", environment=changed)["counts"] == {"unchanged": RESOURCES}
    assert finish(sending)["all_acknowledged"]
    victim.prove(COUNT)


def test_setup_of_a_new_pipeline_again_and_again(own_cloud: Cloud) -> None:
    """Each attempt gets a little further, until one ends. The second time the daemon dies, too."""
    fresh = Pipeline(own_cloud, "fresh")
    kills = 0
    for finished in (0, 6, 3):
        if not kill_setup(fresh, after=finished):
            break
        kills += 1
        if kills == 2:
            own_cloud.kill()
    assert kills >= 2

    fresh.run("setup")

    assert fresh.run("plan")["counts"] == {"unchanged": RESOURCES}
    mappings = own_cloud.client("lambda").list_event_source_mappings()["EventSourceMappings"]
    assert len([each for each in mappings if ":fresh-" in each["FunctionArn"]]) == 3
    fresh.run("send", "--count", "2000")
    fresh.prove(2000)


def kill_setup(pipeline: Pipeline, *, after: int, **environment: str) -> bool:
    """Runs `setup` until so many of its steps are done, then kills it. False: it ended before."""
    process = pipeline.begin("setup", environment=environment)
    wait_for_steps(process, after)
    process.kill()
    process.communicate()
    return process.returncode == -signal.SIGKILL
