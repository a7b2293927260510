"""What the Data API way does with the service's answers. The client is a double of boto3's."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from botocore.exceptions import ClientError

from txnpipe.errors import ExitCode, TxnpipeError
from txnpipe.warehouse.data_api import DataApiWarehouse, reader
from txnpipe.warehouse.interface import Statement, WarehouseError

WHERE = {"ClusterIdentifier": "wh", "Database": "db", "SecretArn": "arn"}


class Client:
    """Answers what it is told to, and remembers what it was asked."""

    def __init__(self, *descriptions: dict[str, Any], pages: list[dict[str, Any]] | None = None) -> None:
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self._descriptions = list(descriptions)
        self._pages = pages or []

    def execute_statement(self, **request: Any) -> dict[str, Any]:
        self.calls.append(("execute", request))
        return {"Id": "1"}

    def batch_execute_statement(self, **request: Any) -> dict[str, Any]:
        self.calls.append(("batch", request))
        return {"Id": "1"}

    def describe_statement(self, **request: Any) -> dict[str, Any]:
        self.calls.append(("describe", request))
        described = self._descriptions.pop(0) if len(self._descriptions) > 1 else self._descriptions[0]
        if described.get("interrupt"):
            raise KeyboardInterrupt
        return {"Id": "1"} | described

    def get_statement_result(self, **request: Any) -> dict[str, Any]:
        self.calls.append(("result", request))
        return self._pages.pop(0)

    def cancel_statement(self, **request: Any) -> dict[str, Any]:
        self.calls.append(("cancel", request))
        return {"Status": True}

    def named(self, name: str) -> list[dict[str, Any]]:
        return [request for called, request in self.calls if called == name]


FINISHED = {"Status": "FINISHED", "HasResultSet": False, "ResultRows": 3}


def test_a_statement_is_submitted_once_and_awaited() -> None:
    client = Client({"Status": "SUBMITTED"}, {"Status": "STARTED"}, FINISHED)
    assert DataApiWarehouse(client, WHERE).execute("DELETE FROM t WHERE a = :a", {"a": "x"}) == 3
    (request,) = client.named("execute")
    assert request["Sql"] == "DELETE FROM t WHERE a = :a"
    assert request["Parameters"] == [{"name": "a", "value": "x"}]
    assert request["ClientToken"]
    assert request.items() >= WHERE.items()
    assert all(1 <= each["WaitTimeSeconds"] <= 30 for each in client.named("describe"))


def test_no_parameters_are_sent_where_there_are_none() -> None:
    client = Client(FINISHED)
    DataApiWarehouse(client, WHERE).execute("SELECT :not_a_parameter")
    assert "Parameters" not in client.named("execute")[0]


def test_pages_are_joined_and_fields_become_values() -> None:
    columns = [{"name": "a", "typeName": "numeric"}, {"name": "b", "typeName": "timestamp"}]
    pages = [
        {
            "ColumnMetadata": columns,
            "Records": [[{"stringValue": "1.50"}, {"stringValue": "2024-12-21 10:00:00"}]],
            "NextToken": "t",
        },
        {"ColumnMetadata": columns, "Records": [[{"isNull": True}, {"isNull": True}]]},
    ]
    client = Client({"Status": "FINISHED", "HasResultSet": True}, pages=pages)
    result = DataApiWarehouse(client, WHERE).query("SELECT a, b")
    assert result.columns == ("a", "b")
    assert result.rows == [(Decimal("1.50"), datetime(2024, 12, 21, 10)), (None, None)]
    assert client.named("result")[1] == {"Id": "1", "NextToken": "t"}


@pytest.mark.parametrize(
    ("type_name", "field", "value"),
    [
        ("varchar", {"stringValue": "x"}, "x"),
        ("int8", {"longValue": 5}, 5),
        ("bool", {"booleanValue": False}, False),
        ("float8", {"doubleValue": 0.5}, 0.5),
        ("numeric", {"stringValue": "12000.00"}, Decimal("12000.00")),
        ("date", {"stringValue": "2024-12-21"}, date(2024, 12, 21)),
        ("timestamp", {"stringValue": "2024-12-21 10:00:00.12"}, datetime(2024, 12, 21, 10, 0, 0, 120000)),
        ("timestamptz", {"stringValue": "2024-12-21 10:00:00+00"}, datetime(2024, 12, 21, 10, tzinfo=UTC)),
    ],
)
def test_types(type_name: str, field: dict[str, Any], value: object) -> None:
    found = reader(type_name)(field)
    assert found == value
    assert type(found) is type(value)


def test_a_failed_statement_says_why() -> None:
    client = Client({"Status": "FAILED", "Error": 'ERROR: relation "x" does not exist\n  Position: 15'})
    with pytest.raises(WarehouseError) as raised:
        DataApiWarehouse(client, WHERE).query("SELECT * FROM x")
    assert raised.value.cause == 'The warehouse refused the statement: relation "x" does not exist.'
    assert "txnpipe setup" in raised.value.fix


def test_a_batch_shares_one_list_of_parameters() -> None:
    client = Client(FINISHED)
    batch: list[str | Statement] = [
        "BEGIN_ISH",
        Statement("A :x", {"x": "1"}),
        Statement("B :x :y", {"x": "2", "y": 5}),
    ]
    DataApiWarehouse(client, WHERE).run_batch(batch)
    (request,) = client.named("batch")
    assert request["Sqls"] == ["BEGIN_ISH", "A :s1_x", "B :s2_x 5"]
    assert request["Parameters"] == [{"name": "s1_x", "value": "1"}, {"name": "s2_x", "value": "2"}]


def test_a_statement_that_takes_too_long_is_cancelled() -> None:
    times = iter([0.0, 1.0, 700.0])
    client = Client({"Status": "STARTED"})
    with pytest.raises(WarehouseError, match="600 s and was cancelled") as raised:
        DataApiWarehouse(client, WHERE, clock=lambda: next(times)).query("SELECT 1")
    assert raised.value.exit_code is ExitCode.TIMEOUT
    assert client.named("cancel") == [{"Id": "1"}]


def test_ctrl_c_cancels_the_statement() -> None:
    client = Client({"Status": "STARTED"}, {"interrupt": True})
    with pytest.raises(KeyboardInterrupt):
        DataApiWarehouse(client, WHERE).query("SELECT 1")
    assert client.named("cancel") == [{"Id": "1"}]


def test_an_error_of_the_service_is_translated() -> None:
    class Refusing(Client):
        def execute_statement(self, **request: Any) -> dict[str, Any]:
            raise ClientError({"Error": {"Code": "ValidationException", "Message": "no"}}, "ExecuteStatement")

    with pytest.raises(TxnpipeError, match="ExecuteStatement answered ValidationException: no"):
        DataApiWarehouse(Refusing(FINISHED), WHERE).query("SELECT 1")
