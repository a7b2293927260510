"""The Data API, asked by boto3 as it comes."""

from __future__ import annotations

import time
import uuid
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.integration.warehouse.conftest import CLUSTER, DATABASE, SECRET, Installation
from tests.waiting import eventually

WHERE = {"ClusterIdentifier": CLUSTER, "Database": DATABASE, "SecretArn": SECRET}


@pytest.fixture(scope="module")
def client(installation: Installation) -> Any:
    return installation.client()


def run(client: Any, sql: str, **more: Any) -> dict[str, Any]:
    """Runs a statement to its end and describes it."""
    started = client.execute_statement(**(WHERE | {"Sql": sql} | more))

    def ended() -> dict[str, Any] | None:
        described: dict[str, Any] = client.describe_statement(Id=started["Id"], WaitTimeSeconds=20)
        return described if described["Status"] in ("FINISHED", "FAILED", "ABORTED") else None

    return eventually(ended, "end of the statement")


def refused(call: Any, **request: Any) -> str:
    with pytest.raises(ClientError) as raised:
        call(**request)
    return str(raised.value.response["Error"]["Code"])


def test_a_statement_is_described_with_its_measures(client: Any) -> None:
    done = run(client, "SELECT 1 AS a UNION ALL SELECT 2", StatementName="mine")
    assert done["Status"] == "FINISHED"
    assert done["HasResultSet"] is True
    assert done["ResultRows"] == 2
    assert done["ResultSize"] > 0
    assert done["Duration"] > 0
    assert done["RedshiftPid"] > 0
    assert done["QueryString"] == "SELECT 1 AS a UNION ALL SELECT 2"
    assert done["ClusterIdentifier"] == CLUSTER
    assert abs(done["CreatedAt"].timestamp() - time.time()) < 60


def test_waiting_in_the_first_call_is_enough(client: Any) -> None:
    started = client.execute_statement(**WHERE, Sql="SELECT 5", WaitTimeSeconds=20)
    assert (started["Status"], started["HasResultSet"]) == ("FINISHED", True)
    assert client.get_statement_result(Id=started["Id"])["Records"] == [[{"longValue": 5}]]


def test_columns_are_described_as_redshift_does(client: Any) -> None:
    done = run(client, "SELECT CAST('a' AS VARCHAR(20)) AS v, CAST(1 AS DECIMAL(10,2)) AS d, 1 AS i")
    columns = client.get_statement_result(Id=done["Id"])["ColumnMetadata"]
    assert [(each["name"], each["typeName"]) for each in columns] == [
        ("v", "varchar"),
        ("d", "numeric"),
        ("i", "int4"),
    ]
    assert (columns[0]["precision"], columns[1]["precision"], columns[1]["scale"]) == (20, 10, 2)


def test_long_results_come_in_pages(client: Any) -> None:
    done = run(client, "SELECT g, REPEAT('x', 500) FROM generate_series(1, 5000) AS g ORDER BY 1")
    pages = list(client.get_paginator("get_statement_result").paginate(Id=done["Id"]))
    assert len(pages) > 1
    assert [record[0]["longValue"] for page in pages for record in page["Records"]] == list(range(1, 5001))
    assert {page["TotalNumRows"] for page in pages} == {5000}


def test_parameters_are_strings_that_the_database_converts(client: Any) -> None:
    parameters = [{"name": "n", "value": "41"}, {"name": "s", "value": "'); DROP TABLE x; -- \\"}]
    done = run(client, "SELECT 1 + :n, :s || '', ':n' AS t", Parameters=parameters)
    assert done["QueryParameters"] == parameters
    assert client.get_statement_result(Id=done["Id"])["Records"] == [
        [{"longValue": 42}, {"stringValue": "'); DROP TABLE x; -- \\"}, {"stringValue": ":n"}]
    ]


@pytest.mark.parametrize(
    "change",
    [
        {"Sql": "SELECT :a", "Parameters": [{"name": "b", "value": "1"}]},
        {"Sql": "SELECT 1", "Parameters": [{"name": "b", "value": "1"}]},
        {"Sql": "SELECT 1" + " " * 102_401},
        {"Sql": " "},
        {"ClusterIdentifier": "other"},
        {"Database": None},
        {"ClusterIdentifier": None},
        {"WorkgroupName": "both"},
        {"DbUser": "both"},
        {"ResultFormat": "CSV"},
        {"SessionKeepAliveSeconds": 10},
    ],
)
def test_what_the_service_refuses_at_once(client: Any, change: dict[str, Any]) -> None:
    request = {
        key: value for key, value in (WHERE | {"Sql": "SELECT 1"} | change).items() if value is not None
    }
    assert refused(client.execute_statement, **request) == "ValidationException"


def test_errors_of_the_database_are_in_the_description(client: Any) -> None:
    failed = run(client, "SELECT * FROM nowhere")
    assert failed["Status"] == "FAILED"
    assert failed["Error"] == 'ERROR: relation "nowhere" does not exist'
    assert refused(client.get_statement_result, Id=failed["Id"]) == "ResourceNotFoundException"
    assert run(client, "SELECT 1; SELECT 2")["Status"] == "FAILED"
    assert "password authentication failed" in run(client, "SELECT 1", SecretArn="wrong")["Error"]
    assert "does not exist" in run(client, "SELECT 1", Database="nowhere")["Error"]


def test_temporary_credentials_act_as_the_database_user(client: Any) -> None:
    without_secret = {key: value for key, value in WHERE.items() if key != "SecretArn"}
    started = client.execute_statement(
        **without_secret, DbUser="adm", Sql="SELECT CURRENT_USER", WaitTimeSeconds=20
    )
    assert client.get_statement_result(Id=started["Id"])["Records"] == [[{"stringValue": "adm"}]]
    nobody = client.execute_statement(**without_secret, DbUser="nobody", Sql="SELECT 1", WaitTimeSeconds=20)
    assert nobody["Status"] == "FAILED"
    assert 'user "nobody" does not exist' in client.describe_statement(Id=nobody["Id"])["Error"]


def test_a_batch_is_one_transaction_with_a_result_for_each(client: Any) -> None:
    started = client.batch_execute_statement(
        **WHERE,
        Sqls=[
            "CREATE TABLE batch_one (a INT)",
            "INSERT INTO batch_one VALUES (:a)",
            "SELECT * FROM batch_one",
        ],
        Parameters=[{"name": "a", "value": "7"}],
        WaitTimeSeconds=20,
    )
    done = client.describe_statement(Id=started["Id"])
    assert [each["Status"] for each in done["SubStatements"]] == ["FINISHED"] * 3
    assert [each["ResultRows"] for each in done["SubStatements"]] == [-1, 1, 1]
    assert done["HasResultSet"] is True
    assert client.get_statement_result(Id=f"{started['Id']}:3")["Records"] == [[{"longValue": 7}]]
    assert refused(client.get_statement_result, Id=started["Id"]) == "ValidationException"
    run(client, "DROP TABLE batch_one")


def test_a_batch_that_fails_undoes_everything(client: Any) -> None:
    started = client.batch_execute_statement(
        **WHERE, Sqls=["CREATE TABLE undone (a INT)", "SELECT 1/0", "SELECT 1"], WaitTimeSeconds=20
    )
    done = client.describe_statement(Id=started["Id"])
    assert done["Status"] == "FAILED"
    assert done["Error"] == "Query #2 failed with ERROR: division by zero"
    assert [each["Status"] for each in done["SubStatements"]] == ["FINISHED", "FAILED", "ABORTED"]
    assert run(client, "SELECT * FROM undone")["Status"] == "FAILED"


def test_a_batch_in_auto_commit_mode_keeps_what_succeeded(client: Any) -> None:
    started = client.batch_execute_statement(
        **WHERE,
        Sqls=["CREATE TABLE kept (a INT)", "SELECT 1/0", "INSERT INTO kept VALUES (1)"],
        ExecutionMode="AUTO_COMMIT",
        WaitTimeSeconds=20,
    )
    done = client.describe_statement(Id=started["Id"])
    assert [each["Status"] for each in done["SubStatements"]] == ["FINISHED", "FAILED", "FINISHED"]
    assert run(client, "SELECT * FROM kept")["ResultRows"] == 1
    run(client, "DROP TABLE kept")


def test_forty_statements_and_no_more(client: Any) -> None:
    started = client.batch_execute_statement(**WHERE, Sqls=["SELECT 1"] * 40, WaitTimeSeconds=20)
    assert started["Status"] == "FINISHED"
    assert refused(client.batch_execute_statement, **WHERE, Sqls=["SELECT 1"] * 41) == "ValidationException"


def test_a_client_token_runs_a_statement_once(client: Any) -> None:
    run(client, "CREATE TABLE once (a INT)")
    request = WHERE | {"Sql": "INSERT INTO once VALUES (1)", "ClientToken": str(uuid.uuid4())}
    ids = {client.execute_statement(**request)["Id"] for _ in range(5)}
    assert len(ids) == 1
    client.describe_statement(Id=ids.pop(), WaitTimeSeconds=20)
    assert run(client, "SELECT * FROM once")["ResultRows"] == 1
    other = request | {"Sql": "INSERT INTO once VALUES (2)"}
    assert refused(client.execute_statement, **other) == "ValidationException"
    run(client, "DROP TABLE once")


def test_a_running_statement_can_be_cancelled(client: Any) -> None:
    started = client.execute_statement(**WHERE, Sql="SELECT PG_SLEEP(600)")
    eventually(
        lambda: client.describe_statement(Id=started["Id"])["Status"] not in ("SUBMITTED", "PICKED"),
        "statement that runs",
    )
    assert client.cancel_statement(Id=started["Id"])["Status"] is True
    done = client.describe_statement(Id=started["Id"], WaitTimeSeconds=20)
    assert done["Status"] == "ABORTED"
    assert "canceling statement" in done["Error"]
    assert refused(client.cancel_statement, Id=started["Id"]) == "ValidationException"


def test_statements_are_listed_newest_first(client: Any) -> None:
    name = f"listed-{uuid.uuid4()}"
    ids = [run(client, f"SELECT {number}", StatementName=name)["Id"] for number in range(3)]
    run(client, "SELECT 1/0", StatementName=name)
    pages = client.get_paginator("list_statements").paginate(
        StatementName=name, Status="FINISHED", PaginationConfig={"PageSize": 2}
    )
    assert [each["Id"] for page in pages for each in page["Statements"]] == ids[::-1]


def test_unknown_ids_are_not_found(client: Any) -> None:
    for unknown in (str(uuid.uuid4()), run(client, "SELECT 1")["Id"] + ":1"):
        assert refused(client.describe_statement, Id=unknown) == "ResourceNotFoundException"


def test_what_a_database_holds(client: Any) -> None:
    run(client, "CREATE TABLE held (a VARCHAR(20) NOT NULL, b DECIMAL(10,2))")
    run(client, "CREATE VIEW held_view AS SELECT a FROM held")
    assert DATABASE in client.list_databases(**WHERE)["Databases"]
    assert "public" in client.list_schemas(**WHERE)["Schemas"]
    tables = client.list_tables(**WHERE, SchemaPattern="public", TablePattern="held%")["Tables"]
    assert tables == [
        {"name": "held", "schema": "public", "type": "TABLE"},
        {"name": "held_view", "schema": "public", "type": "VIEW"},
    ]
    columns = client.describe_table(**WHERE, Schema="public", Table="held")["ColumnList"]
    assert [(each["name"], each["typeName"], each["nullable"]) for each in columns] == [
        ("a", "varchar", 0),
        ("b", "numeric", 1),
    ]
    assert (columns[1]["precision"], columns[1]["scale"]) == (10, 2)
    paged = client.get_paginator("list_tables").paginate(**WHERE, PaginationConfig={"PageSize": 50})
    assert sum(len(page["Tables"]) for page in paged) > 100
    run(client, "DROP VIEW held_view")
    run(client, "DROP TABLE held")
    assert refused(client.list_tables, **WHERE | {"SecretArn": "wrong"}) == "DatabaseConnectionException"
