"""`txnpipe setup`, `plan` and `status` on a real local cloud, as a user runs them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import REGION, Cloud
from tests.e2e.pipelines import RESOURCES, SHARED, wait_for_steps
from tests.waiting import PATIENCE_S
from txnpipe.deploy.lock import SetupLock
from txnpipe.local.part import ACCOUNT

PIPELINE = "controlled"
BUCKET = f"txnpipe-{PIPELINE}-{ACCOUNT}-{REGION}"


def run_json(cloud: Cloud, *arguments: str, code: int = 0) -> dict[str, Any]:
    """Runs a command of this module's pipeline with --json and returns its document."""
    result = cloud.run(*arguments, "--pipeline", PIPELINE, "--json")
    document: dict[str, Any] = json.loads(result.stdout)
    work = [change for change in document.get("changes", []) if change["action"] != "unchanged"]
    assert result.returncode == code, f"{result.stderr}\n{work}"
    return document


@pytest.fixture(scope="module")
def made(cloud: Cloud) -> Iterator[dict[str, Any]]:
    """What the first setup answered; torn down after the module."""
    yield run_json(cloud, "setup")
    cloud.run("teardown", "--pipeline", PIPELINE)


def test_setup_makes_everything_and_says_where_it_is(made: dict[str, Any]) -> None:
    assert {change["action"] for change in made["changes"]} == {"create"}
    # Another pipeline of this VPC may have made the endpoint that all of them share.
    kinds = [change["kind"] for change in made["changes"]]
    assert len([kind for kind in kinds if kind not in {"vpc endpoint", "s3 gateway"}]) == RESOURCES - SHARED
    assert made["stream"] == f"{PIPELINE}-TransactionStream"
    assert made["warehouse"]["host"] == "127.0.0.1"


def test_afterwards_a_plan_is_empty_and_a_second_setup_changes_nothing(
    cloud: Cloud, made: dict[str, Any]
) -> None:
    assert run_json(cloud, "plan", "--exit-code")["counts"] == {"unchanged": RESOURCES}
    assert run_json(cloud, "setup")["changes"] == []


def test_status_shows_every_resource_ready(cloud: Cloud, made: dict[str, Any]) -> None:
    status = run_json(cloud, "status")
    assert len(status["resources"]) == RESOURCES
    assert [item for item in status["resources"] if not item["ready"] or item["problem"]] == []
    states = {(item["kind"], item["name"]): item for item in status["resources"]}
    assert states["analytics app", f"{PIPELINE}-TransactionAnalytics"]["status"] == "RUNNING"
    assert states["stream", f"{PIPELINE}-TransactionStream"]["facts"]["shards"] == 1
    assert status["rows"] == {"transactions": 0, "alerts": 0, "rejected_transactions": 0}


def test_a_changed_setting_is_planned_field_by_field_and_applied(
    cloud: Cloud, made: dict[str, Any], tmp_path: Path
) -> None:
    file = tmp_path / "changed.yaml"
    file.write_text("loader:\n  batch_size: 500\n  memory_mb: 1024\nstream:\n  retention_hours: 48\n")
    planned = run_json(cloud, "plan", "--config", str(file), "--exit-code", code=1)
    fields = {
        (change["kind"], difference["field"], difference["before"], difference["after"])
        for change in planned["changes"]
        for difference in change["differences"]
    }
    assert fields == {
        ("event source mapping", "batch_size", 1000, 500),
        ("function", "memory_mb", 512, 1024),
        ("stream", "retention_hours", 24, 48),
    }
    run_json(cloud, "setup", "--config", str(file))
    assert run_json(cloud, "plan", "--config", str(file))["counts"] == {"unchanged": RESOURCES}
    run_json(cloud, "setup")
    assert run_json(cloud, "plan")["counts"] == {"unchanged": RESOURCES}


def test_setup_does_not_undo_what_scale_did(cloud: Cloud, made: dict[str, Any]) -> None:
    kinesis, name = cloud.client("kinesis"), f"{PIPELINE}-TransactionStream"
    kinesis.update_shard_count(StreamName=name, TargetShardCount=2, ScalingType="UNIFORM_SCALING")
    assert run_json(cloud, "setup")["changes"] in ([], [_wait_for(name)])
    assert kinesis.describe_stream_summary(StreamName=name)["StreamDescriptionSummary"]["OpenShardCount"] == 2


def _wait_for(stream: str) -> dict[str, Any]:
    return {
        "resource": f"stream/{stream}",
        "kind": "stream",
        "name": stream,
        "action": "wait",
        "note": "is UPDATING",
        "differences": [],
    }


def test_while_another_setup_runs_there_is_one_sentence_and_exit_code_4(
    cloud: Cloud, made: dict[str, Any]
) -> None:
    with SetupLock(cloud.client("s3"), BUCKET, "setup"):
        result = cloud.run("setup", "--pipeline", PIPELINE)
    assert result.returncode == 4
    assert f"txnpipe setup is running already: process {os.getpid()}" in result.stderr
    assert "fix: Wait until it has ended" in result.stderr


def test_a_stranger_s_stream_of_that_name_is_refused_and_left_alone(cloud: Cloud) -> None:
    kinesis = cloud.client("kinesis")
    kinesis.create_stream(StreamName="taken-TransactionStream", ShardCount=1)
    try:
        result = cloud.run("setup", "--pipeline", "taken")
        assert result.returncode == 4
        assert "The stream taken-TransactionStream exists already" in result.stderr
        # Nothing was made for it.
        assert cloud.run("teardown", "--pipeline", "taken").returncode == 3
    finally:
        kinesis.delete_stream(StreamName="taken-TransactionStream")


def test_a_setup_interrupted_and_then_killed_is_finished_by_the_same_command(cloud: Cloud) -> None:
    pipeline = "stopped"
    try:
        interrupted = _setup_until(cloud, pipeline, finished=1)
        interrupted.send_signal(signal.SIGINT)
        _, rest = interrupted.communicate(timeout=PATIENCE_S)
        assert interrupted.returncode == 130, rest
        assert "same command continues" in rest

        killed = _setup_until(cloud, pipeline, finished=16)
        killed.kill()
        killed.communicate()
        assert killed.returncode == -signal.SIGKILL

        again = cloud.run("setup", "--pipeline", pipeline, "--json")
        assert again.returncode == 0, again.stderr
        planned = json.loads(cloud.run("plan", "--pipeline", pipeline, "--json").stdout)
        assert planned["counts"] == {"unchanged": RESOURCES}
        mappings = cloud.client("lambda").list_event_source_mappings()["EventSourceMappings"]
        assert len([item for item in mappings if f":{pipeline}-" in item["FunctionArn"]]) == 3
    finally:
        assert cloud.run("teardown", "--pipeline", pipeline).returncode == 0


def _setup_until(cloud: Cloud, pipeline: str, finished: int) -> subprocess.Popen[str]:
    """A setup that has finished so many resources and goes on."""
    process = subprocess.Popen(
        [sys.executable, "-m", "txnpipe", "setup", "--pipeline", pipeline],
        cwd=cloud.work,
        env=cloud.environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    wait_for_steps(process, finished)
    return process
