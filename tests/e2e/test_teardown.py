"""`txnpipe teardown` on a real local cloud."""

from __future__ import annotations

import json
import platform
import subprocess
import sys

from tests.e2e.conftest import REGION, Cloud
from tests.e2e.pipelines import INSIDE, RESOURCES, SHARED, Pipeline, wait_for_steps
from txnpipe.local.part import ACCOUNT
from txnpipe.target import STAND_IN_CONNECTOR

PIPELINE = "passing"


def test_teardown_of_nothing_says_so_in_a_sentence_with_a_fix(cloud: Cloud) -> None:
    result = cloud.run("teardown", "--pipeline", "never-made")
    assert result.returncode == 3
    assert "There is no pipeline never-made on local" in result.stderr
    assert "fix: Create it with txnpipe setup" in result.stderr
    assert cloud.run("status", "--pipeline", "never-made").returncode == 3


def test_an_endpoint_of_another_pipeline_makes_no_pipeline(cloud: Cloud, pipeline: Pipeline) -> None:
    """All pipelines of a VPC share one endpoint of Secrets Manager."""
    kinds = {found["kind"]: found["status"] for found in pipeline.run("status")["resources"]}
    assert kinds["vpc endpoint"] == "available"  # whichever of this cloud's pipelines it belongs to
    assert cloud.run("status", "--pipeline", "never-made").returncode == 3


def test_a_killed_teardown_is_finished_by_the_same_command_but_not_under_a_wrong_name(cloud: Cloud) -> None:
    processes = {process.name() for process in cloud.processes()}
    assert cloud.run("setup", "--pipeline", PIPELINE).returncode == 0
    assert cloud.run("teardown", "--pipeline", PIPELINE, "--confirm", "other").returncode == 9
    planned = json.loads(cloud.run("plan", "--pipeline", PIPELINE, "--json").stdout)
    assert planned["counts"] == {"unchanged": RESOURCES}

    process = subprocess.Popen(
        [sys.executable, "-m", "txnpipe", "teardown", "--pipeline", PIPELINE],
        cwd=cloud.work,
        env=cloud.environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    wait_for_steps(process, 6)
    process.kill()
    process.communicate()

    again = cloud.run("teardown", "--pipeline", PIPELINE)
    assert again.returncode == 0, again.stderr
    _nothing_is_left(cloud, PIPELINE)
    assert {process.name() for process in cloud.processes()} <= processes
    assert cloud.run("teardown", "--pipeline", PIPELINE).returncode == 3


def _nothing_is_left(cloud: Cloud, pipeline: str) -> None:
    """Asks the services themselves, by the prefix that all names of the pipeline have."""
    ours = f"{pipeline}-"
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
    assert [name for name in secrets if f"/{pipeline}/" in name or f"{pipeline}-" in name] == []
    assert [name for name in groups if f"/{ours}" in name] == []
    assert f"txnpipe-{pipeline}-{ACCOUNT}-{REGION}" not in buckets


def test_on_aws_without_a_terminal_setup_needs_yes_and_teardown_the_name(cloud: Cloud) -> None:
    """The target aws with an endpoint that the configuration names: the local cloud stands in."""
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    architecture = "arm64" if platform.machine().lower() in {"arm64", "aarch64"} else "x86_64"
    settings = {
        "target": "aws",
        "pipeline": "account",
        "aws": {"endpoint_url": cloud.endpoint_url},
        "functions": {"python": version, "architecture": architecture},
        "analytics": {"connector_jar": str(STAND_IN_CONNECTOR)},
    }
    file = cloud.work / "aws.yaml"
    file.write_text(json.dumps(settings))
    keys = {
        "AWS_ACCESS_KEY_ID": cloud.running.access_key_id,
        "AWS_SECRET_ACCESS_KEY": cloud.running.secret_access_key,
    }

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return cloud.run(*arguments, "--config", str(file), environment=keys)

    refused = run("setup")
    assert refused.returncode == 9
    assert "--yes" in refused.stderr
    assert run("teardown").returncode == 3, "nothing was made"
    made = run("setup", "--yes")
    assert made.returncode == 0, made.stderr
    refused = run("teardown")
    assert refused.returncode == 9
    assert "--confirm account" in refused.stderr
    assert json.loads(run("plan", "--json").stdout)["counts"] == {"unchanged": RESOURCES}
    removed = run("teardown", "--confirm", "account", "--json")
    assert removed.returncode == 0, removed.stderr
    document = json.loads(removed.stdout)
    assert document["leftovers"] == []
    # Another pipeline of this VPC may have the endpoint that all of them share.
    kinds = [name.partition("/")[0] for name in document["removed"]]
    assert len([kind for kind in kinds if kind != "vpc endpoint"]) == RESOURCES - SHARED - INSIDE
    _nothing_is_left(cloud, "account")
    snapshots = cloud.client("redshift").describe_cluster_snapshots()["Snapshots"]
    final = [item for item in snapshots if item["ClusterIdentifier"] == "account-transaction-warehouse"]
    assert len(final) == 1
    cloud.client("redshift").delete_cluster_snapshot(SnapshotIdentifier=final[0]["SnapshotIdentifier"])
