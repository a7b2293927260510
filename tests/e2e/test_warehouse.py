"""The local cloud's Redshift as its users meet it: boto3, psql, `txnpipe sql`; and what a kill does to it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from typing import Any

import psutil
import psycopg2
import pytest

from tests.e2e.conftest import Cloud, elsewhere
from tests.waiting import PATIENCE_S, eventually
from txnpipe.errors import ExitCode
from txnpipe.local import client as local_client
from txnpipe.local.postgres.binaries import find_installation

PIPELINE = "warehouse"
CLUSTER = "warehouse-transaction-warehouse"
"""The cluster that `txnpipe --pipeline warehouse` looks for."""


def create_cluster(cloud: Cloud, identifier: str) -> dict[str, Any]:
    """Makes a cluster as `setup` does, and waits for it."""
    redshift = cloud.client("redshift")
    redshift.create_cluster(
        ClusterIdentifier=identifier,
        NodeType="rg.large",
        ClusterType="single-node",
        DBName="txnpipe",
        MasterUsername="txnpipe_admin",
        ManageMasterPassword=True,
    )
    waiter = redshift.get_waiter("cluster_available")
    waiter.wait(ClusterIdentifier=identifier, WaiterConfig={"Delay": 1, "MaxAttempts": 60})
    return describe(cloud, identifier)


def describe(cloud: Cloud, identifier: str) -> dict[str, Any]:
    found: dict[str, Any] = cloud.client("redshift").describe_clusters(ClusterIdentifier=identifier)[
        "Clusters"
    ][0]
    return found


def login(cloud: Cloud, cluster: dict[str, Any], **changes: str) -> Any:
    """A connection with the password from the cluster's secret."""
    value = cloud.client("secretsmanager").get_secret_value(SecretId=cluster["MasterPasswordSecretArn"])
    secret = json.loads(value["SecretString"]) | changes
    return psycopg2.connect(
        host=cluster["Endpoint"]["Address"],
        port=cluster["Endpoint"]["Port"],
        user=secret["username"],
        password=secret["password"],
        dbname="txnpipe",
        connect_timeout=60,
    )


def postmaster(cloud: Cloud, name: str) -> psutil.Process:
    """The process of that server, as `local status` names it."""
    status = local_client.status(cloud.home)
    assert status is not None
    part = next(each for each in status["parts"] if each["name"] == "redshift")
    return next(psutil.Process(each["pid"]) for each in part["processes"] if each["name"].endswith(name))


@pytest.fixture(scope="module")
def cluster(cloud: Cloud) -> Iterator[dict[str, Any]]:
    yield create_cluster(cloud, CLUSTER)
    cloud.client("redshift").delete_cluster(ClusterIdentifier=CLUSTER, SkipFinalClusterSnapshot=True)


def sql(cloud: Cloud, *arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
    return cloud.run("sql", "--pipeline", PIPELINE, *arguments, **options)


def test_psql_connects_with_the_password_from_the_secret(cloud: Cloud, cluster: dict[str, Any]) -> None:
    value = cloud.client("secretsmanager").get_secret_value(SecretId=cluster["MasterPasswordSecretArn"])
    secret = json.loads(value["SecretString"])
    asked = subprocess.run(
        [str(find_installation().bin / "psql"), "-At", "-c", "SELECT current_user, 1 + 1"],
        env={
            "PGHOST": cluster["Endpoint"]["Address"],
            "PGPORT": str(cluster["Endpoint"]["Port"]),
            "PGUSER": secret["username"],
            "PGPASSWORD": secret["password"],
            "PGDATABASE": "txnpipe",
        },
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
    )
    assert asked.stdout == "txnpipe_admin|2\n", asked.stderr


def test_nobody_enters_without_the_password(cloud: Cloud, cluster: dict[str, Any]) -> None:
    for password in ("", "guess"):
        with pytest.raises(psycopg2.OperationalError, match="password"):
            login(cloud, cluster, password=password)


def test_a_deleted_cluster_leaves_no_process_no_data_and_no_secret(cloud: Cloud) -> None:
    made = create_cluster(cloud, "short-lived")
    process = postmaster(cloud, "short-lived")
    redshift = cloud.client("redshift")
    redshift.delete_cluster(ClusterIdentifier="short-lived", SkipFinalClusterSnapshot=True)
    redshift.get_waiter("cluster_deleted").wait(
        ClusterIdentifier="short-lived", WaiterConfig={"Delay": 1, "MaxAttempts": 60}
    )
    assert not process.is_running()
    assert list(cloud.home.root.rglob("*short-lived*")) == []
    secrets = cloud.client("secretsmanager").list_secrets()["SecretList"]
    assert made["MasterPasswordSecretArn"] not in {each["ARN"] for each in secrets}


def test_a_snapshot_brings_the_rows_into_another_cluster(cloud: Cloud, cluster: dict[str, Any]) -> None:
    with login(cloud, cluster) as connection, connection.cursor() as cursor:
        cursor.execute("CREATE TABLE photographed AS SELECT 7 AS a")
    connection.close()
    redshift = cloud.client("redshift")
    redshift.create_cluster_snapshot(ClusterIdentifier=CLUSTER, SnapshotIdentifier="photo")
    redshift.get_waiter("snapshot_available").wait(
        SnapshotIdentifier="photo", WaiterConfig={"Delay": 1, "MaxAttempts": 60}
    )
    redshift.restore_from_cluster_snapshot(
        ClusterIdentifier="restored", SnapshotIdentifier="photo", ManageMasterPassword=True
    )
    redshift.get_waiter("cluster_available").wait(
        ClusterIdentifier="restored", WaiterConfig={"Delay": 1, "MaxAttempts": 60}
    )
    with login(cloud, describe(cloud, "restored")) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT a FROM photographed")
        assert cursor.fetchall() == [(7,)]
    connection.close()
    redshift.delete_cluster(ClusterIdentifier="restored", SkipFinalClusterSnapshot=True)
    redshift.delete_cluster_snapshot(SnapshotIdentifier="photo")


@pytest.mark.parametrize("access", ["direct", "data-api"])
def test_sql_answers_alike_whichever_way_it_goes(cloud: Cloud, cluster: dict[str, Any], access: str) -> None:
    way = {"TXNPIPE_WAREHOUSE_ACCESS": access}
    statement = (
        "SELECT 12000.00 AS amount, 'x' AS s, CAST(NULL AS INT) AS n, 1 AS a, 2 AS a,"
        " TIMESTAMP '2024-12-21 10:00:00' AS t"
    )
    asked = sql(cloud, statement, "--json", environment=way, check=True)
    assert json.loads(asked.stdout) == {
        "version": 1,
        "kind": "sql",
        "columns": ["amount", "s", "n", "a", "a_2", "t"],
        "rows": [{"amount": "12000.00", "s": "x", "n": None, "a": 1, "a_2": 2, "t": "2024-12-21 10:00:00"}],
        "row_count": 1,
        "changed": 0,
    }
    table = sql(cloud, statement, environment=way, check=True).stdout
    assert "12000.00" in table
    assert "NULL" in table


def test_sql_reads_from_standard_input(cloud: Cloud, cluster: dict[str, Any]) -> None:
    asked = sql(cloud, "-", "--json", stdin="-- a comment; with a semicolon\nSELECT 5 AS five;\n", check=True)
    assert json.loads(asked.stdout)["rows"] == [{"five": 5}]


@pytest.mark.parametrize("access", ["direct", "data-api"])
def test_sql_changes_nothing_without_being_told_so(
    cloud: Cloud, cluster: dict[str, Any], access: str
) -> None:
    way = {"TXNPIPE_WAREHOUSE_ACCESS": access}
    table = "t_" + access.replace("-", "_")
    refused = sql(cloud, f"CREATE TABLE {table} (a INT)", environment=way)
    assert refused.returncode == ExitCode.REFUSED
    assert "--write" in refused.stderr
    sql(cloud, "--write", f"CREATE TABLE {table} (a INT)", environment=way, check=True)
    changed = sql(
        cloud, "--write", f"INSERT INTO {table} VALUES (1), (2)", "--json", environment=way, check=True
    )
    assert json.loads(changed.stdout)["changed"] == 2
    counted = sql(cloud, f"SELECT COUNT(*) AS n FROM {table}", "--json", environment=way, check=True)
    assert json.loads(counted.stdout)["rows"] == [{"n": 2}]


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["SELECT * FROM nowhere"], ExitCode.SERVICE, 'relation "nowhere" does not exist'),
        (["SELECT 1; SELECT 2"], ExitCode.USAGE, "2 statements"),
        (["/* nothing */"], ExitCode.USAGE, "empty"),
        ([], ExitCode.USAGE, "no terminal"),
    ],
)
def test_sql_errors(
    cloud: Cloud, cluster: dict[str, Any], arguments: list[str], code: ExitCode, says: str
) -> None:
    failed = sql(cloud, *arguments)
    assert failed.returncode == code
    assert says in failed.stderr
    assert "fix: " in failed.stderr
    assert failed.stdout == ""


def test_sql_without_a_pipeline_says_so(cloud: Cloud) -> None:
    failed = cloud.run("sql", "--pipeline", "nobody", "SELECT 1")
    assert failed.returncode == ExitCode.NOT_FOUND
    assert "txnpipe setup" in failed.stderr


def test_sql_to_a_paused_cluster_says_so(cloud: Cloud, cluster: dict[str, Any]) -> None:
    redshift = cloud.client("redshift")
    redshift.pause_cluster(ClusterIdentifier=CLUSTER)
    eventually(lambda: describe(cloud, CLUSTER)["ClusterStatus"] == "paused", "paused cluster")
    failed = sql(cloud, "SELECT 1")
    assert failed.returncode == ExitCode.CONFLICT
    assert "paused" in failed.stderr
    redshift.resume_cluster(ClusterIdentifier=CLUSTER)
    eventually(lambda: describe(cloud, CLUSTER)["ClusterStatus"] == "available", "available cluster")
    sql(cloud, "SELECT 1", check=True)


def test_ctrl_c_ends_a_statement_at_once_here_and_in_the_database(
    cloud: Cloud, cluster: dict[str, Any]
) -> None:
    import sys

    running = subprocess.Popen(
        [sys.executable, "-m", "txnpipe", "sql", "--pipeline", PIPELINE, "SELECT PG_SLEEP(601)"],
        cwd=cloud.work,
        env=cloud.environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    active = (
        "SELECT COUNT(*) FROM pg_stat_activity"
        " WHERE query LIKE '%(601)%' AND state = 'active' AND pid <> pg_backend_pid()"
    )
    connection = login(cloud, cluster)
    connection.autocommit = True
    with connection.cursor() as cursor:

        def count() -> int:
            cursor.execute(active)
            return int(cursor.fetchone()[0])

        eventually(lambda: count() == 1, "statement")
        running.send_signal(signal.SIGINT)
        running.communicate(timeout=PATIENCE_S)
        assert running.returncode == ExitCode.INTERRUPTED
        eventually(lambda: count() == 0, "end of the statement")
    connection.close()


def test_serverless_has_a_database_of_its_own(cloud: Cloud) -> None:
    serverless, data = cloud.client("redshift-serverless"), cloud.client("redshift-data")
    serverless.create_namespace(namespaceName="e2e-space", dbName="dev", manageAdminPassword=True)
    serverless.create_workgroup(workgroupName="e2e-group", namespaceName="e2e-space", baseCapacity=4)

    def workgroup() -> dict[str, Any]:
        found: dict[str, Any] = serverless.get_workgroup(workgroupName="e2e-group")["workgroup"]
        return found

    eventually(lambda: workgroup()["status"] == "AVAILABLE", "available workgroup")
    issued = serverless.get_credentials(workgroupName="e2e-group", dbName="dev")
    endpoint = workgroup()["endpoint"]
    connection = psycopg2.connect(
        host=endpoint["address"],
        port=endpoint["port"],
        dbname="dev",
        user=issued["dbUser"],
        password=issued["dbPassword"],
    )
    connection.close()
    secret = serverless.get_namespace(namespaceName="e2e-space")["namespace"]["adminPasswordSecretArn"]
    for authentication in ({}, {"SecretArn": secret}):
        asked = data.execute_statement(
            WorkgroupName="e2e-group", Database="dev", Sql="SELECT 1", WaitTimeSeconds=20, **authentication
        )
        assert asked["Status"] == "FINISHED"
    serverless.delete_workgroup(workgroupName="e2e-group")
    eventually(lambda: not serverless.list_workgroups()["workgroups"], "end of the workgroup")
    serverless.delete_namespace(namespaceName="e2e-space")
    eventually(lambda: not serverless.list_namespaces()["namespaces"], "end of the namespace")


def test_kill_9_of_the_database_and_of_the_daemon_loses_nothing(new_cloud: Callable[..., Cloud]) -> None:
    cloud = new_cloud()
    cluster = create_cluster(cloud, CLUSTER)
    with login(cloud, cluster) as connection, connection.cursor() as cursor:
        cursor.execute("CREATE TABLE kept AS SELECT 1 AS a")
    connection.close()

    def add_one() -> None:
        with login(cloud, describe(cloud, CLUSTER)) as connection, connection.cursor() as cursor:
            cursor.execute("INSERT INTO kept VALUES (1)")
        connection.close()

    before = postmaster(cloud, CLUSTER).pid
    os.kill(before, signal.SIGKILL)
    sql(cloud, "SELECT 1", check=True)
    assert postmaster(cloud, CLUSTER).pid != before
    add_one()
    cloud.kill()
    cloud.start()
    again = describe(cloud, CLUSTER)
    assert again["ClusterStatus"] == "available"
    port = cluster["Endpoint"]["Port"]
    # It keeps its port, unless another local cloud of this machine took it meanwhile.
    assert again["Endpoint"]["Port"] == port or port in elsewhere(cloud.home)
    assert again["MasterPasswordSecretArn"] == cluster["MasterPasswordSecretArn"]
    add_one()
    counted = sql(cloud, "SELECT COUNT(*) AS n FROM kept", "--json", check=True)
    assert json.loads(counted.stdout)["rows"] == [{"n": 3}]


def test_a_cluster_whose_creation_a_kill_cut_short_is_finished_by_the_next_daemon(
    new_cloud: Callable[..., Cloud],
) -> None:
    cloud = new_cloud()
    cloud.client("redshift").create_cluster(
        ClusterIdentifier=CLUSTER,
        NodeType="rg.large",
        DBName="txnpipe",
        MasterUsername="txnpipe_admin",
        ManageMasterPassword=True,
    )
    cloud.kill()
    cloud.start()
    eventually(lambda: describe(cloud, CLUSTER)["ClusterStatus"] == "available", "available cluster")
    login(cloud, describe(cloud, CLUSTER)).close()
