"""`txnpipe teardown` on a real local cloud."""

from __future__ import annotations

import json
import signal
import subprocess
import sys

from tests.e2e.conftest import REGION, Cloud
from txnpipe.local.part import ACCOUNT

PIPELINE = "passing"


def test_teardown_of_nothing_says_so_in_a_sentence_with_a_fix(cloud: Cloud) -> None:
    result = cloud.run("teardown", "--pipeline", "never-made")
    assert result.returncode == 3
    assert "There is no pipeline never-made on local" in result.stderr
    assert "fix: Create it with txnpipe setup" in result.stderr
    assert cloud.run("status", "--pipeline", "never-made").returncode == 3


def test_a_wrong_name_is_refused_and_changes_nothing(cloud: Cloud) -> None:
    result = cloud.run("setup", "--pipeline", PIPELINE)
    assert result.returncode == 0, result.stderr
    try:
        refused = cloud.run("teardown", "--pipeline", PIPELINE, "--confirm", "other")
        assert refused.returncode == 9
        planned = json.loads(cloud.run("plan", "--pipeline", PIPELINE, "--json").stdout)
        assert planned["counts"] == {"unchanged": 24}
    finally:
        assert cloud.run("teardown", "--pipeline", PIPELINE).returncode == 0


def test_teardown_removes_everything_and_setup_works_again(cloud: Cloud) -> None:
    processes = {process.name() for process in cloud.processes()}
    for _ in range(2):
        assert cloud.run("setup", "--pipeline", PIPELINE).returncode == 0
        assert len(cloud.processes()) > 1
        removed = cloud.run("teardown", "--pipeline", PIPELINE, "--json")
        assert removed.returncode == 0, removed.stderr
        document = json.loads(removed.stdout)
        assert document["leftovers"] == []
        assert len(document["removed"]) == 21
    _nothing_is_left(cloud)
    assert {process.name() for process in cloud.processes()} <= processes


def _nothing_is_left(cloud: Cloud) -> None:
    """Asks the services themselves, by the prefix that all names of the pipeline have."""
    ours = f"{PIPELINE}-"
    streams = cloud.client("kinesis").list_streams()["StreamNames"]
    functions = [item["FunctionName"] for item in cloud.client("lambda").list_functions()["Functions"]]
    mappings = cloud.client("lambda").list_event_source_mappings()["EventSourceMappings"]
    roles = [item["RoleName"] for item in cloud.client("iam").list_roles()["Roles"]]
    clusters = cloud.client("redshift").describe_clusters()["Clusters"]
    apps = cloud.client("kinesisanalyticsv2").list_applications()["ApplicationSummaries"]
    topics = [item["TopicArn"].rpartition(":")[2] for item in cloud.client("sns").list_topics()["Topics"]]
    secrets = [item["Name"] for item in cloud.client("secretsmanager").list_secrets()["SecretList"]]
    groups = [item["logGroupName"] for item in cloud.client("logs").describe_log_groups()["logGroups"]]
    buckets = [item["Name"] for item in cloud.client("s3").list_buckets()["Buckets"]]
    sources = [item["FunctionArn"].rpartition(":")[2] for item in mappings]
    names = [
        *(streams + functions + sources + roles + topics),
        *(item["ClusterIdentifier"] for item in clusters),
        *(item["ApplicationName"] for item in apps),
    ]
    assert [name for name in names if name.startswith(ours)] == []
    assert [name for name in secrets if f"/{PIPELINE}/" in name or f"{PIPELINE}-" in name] == []
    assert [name for name in groups if f"/{ours}" in name] == []
    assert f"txnpipe-{PIPELINE}-{ACCOUNT}-{REGION}" not in buckets


def test_a_killed_teardown_is_finished_by_the_same_command(cloud: Cloud) -> None:
    assert cloud.run("setup", "--pipeline", PIPELINE).returncode == 0
    process = subprocess.Popen(
        [sys.executable, "-m", "txnpipe", "teardown", "--pipeline", PIPELINE],
        cwd=cloud.work,
        env=cloud.environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    done = 0
    for line in process.stderr:
        done += "✓" in line
        if done >= 6:
            break
    process.send_signal(signal.SIGKILL)
    process.stderr.close()
    process.wait()
    again = cloud.run("teardown", "--pipeline", PIPELINE)
    assert again.returncode == 0, again.stderr
    _nothing_is_left(cloud)
    assert cloud.run("teardown", "--pipeline", PIPELINE).returncode == 3
