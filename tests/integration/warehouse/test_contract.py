"""What both ways to the warehouse promise alike."""

from __future__ import annotations

import os
import signal
from datetime import date, datetime
from decimal import Decimal

import pytest

from tests.integration.warehouse.conftest import ADMIN, DATABASE, PASSWORD, Installation, Opener
from tests.waiting import eventually
from txnpipe.errors import ExitCode, TxnpipeError
from txnpipe.local.postgres.server import HOST
from txnpipe.warehouse import Result, Statement, WarehouseError
from txnpipe.warehouse.direct import DirectWarehouse, connector


def test_values_come_back_as_the_same_types(opener: Opener) -> None:
    values = {
        "s": 'it\'s 5% of :x \\ "é" \N{SNOWMAN}',
        "i": 2**62,
        "d": Decimal("12000.00"),
        "t": datetime(2024, 12, 21, 10, 0, 0, 123456),
        "w": datetime(2024, 12, 21, 10),
        "day": date(2024, 2, 29),
        "b": True,
        "n": None,
        "e": "",
    }
    with opener() as warehouse:
        result = warehouse.query(
            "SELECT CAST(:s AS VARCHAR(100)) AS s, CAST(:i AS BIGINT) AS i, CAST(:d AS DECIMAL(10,2)) AS d,"
            " CAST(:t AS TIMESTAMP) AS t, CAST(:w AS TIMESTAMP) AS w, CAST(:day AS DATE) AS day, :b AS b,"
            " :n AS n, CAST(:e AS VARCHAR(10)) AS e",
            values,
        )
    assert result.columns == tuple(values)
    assert result.rows == [tuple(values.values())]
    assert [type(value) for value in result.rows[0]] == [type(value) for value in values.values()]


def test_a_float_comes_back_as_a_float(opener: Opener) -> None:
    with opener() as warehouse:
        assert warehouse.query("SELECT CAST(0.5 AS DOUBLE PRECISION)").rows == [(0.5,)]


def test_a_tuple_fills_a_list(opener: Opener) -> None:
    with opener() as warehouse:
        result = warehouse.query(
            "SELECT table_name FROM information_schema.tables WHERE table_name IN :names ORDER BY 1",
            {"names": ("pg_class", "pg_type", "'; DROP TABLE x; --")},
        )
    assert result.rows == [("pg_class",), ("pg_type",)]


def test_many_rows_arrive_whole_and_in_order(opener: Opener) -> None:
    with opener() as warehouse:
        result = warehouse.query("SELECT g, REPEAT('x', 100) FROM generate_series(1, 20000) AS g ORDER BY g")
    assert [row[0] for row in result.rows] == list(range(1, 20001))


def test_statements_without_rows(opener: Opener, fresh_database: str) -> None:
    with opener(fresh_database) as warehouse:
        assert warehouse.query("CREATE TABLE t (a INTEGER)") == Result((), [])
        assert warehouse.execute("INSERT INTO t VALUES (1), (2)") == 2
        assert warehouse.execute("UPDATE t SET a = a + :by", {"by": 1}) == 2
        assert warehouse.execute("DELETE FROM t WHERE a > :a", {"a": 100}) == 0
        assert warehouse.query("SELECT a FROM t WHERE a > 100") == Result(("a",), [])


def test_a_batch_is_all_or_nothing(opener: Opener, fresh_database: str) -> None:
    insert = "INSERT INTO t VALUES (:a)"
    with opener(fresh_database) as warehouse:
        warehouse.run_batch(["CREATE TABLE t (a VARCHAR(10))", Statement(insert, {"a": "kept"})])
        with pytest.raises(WarehouseError, match="division by zero"):
            warehouse.run_batch([Statement(insert, {"a": "lost"}), "SELECT 1 / 0"])
        with pytest.raises(WarehouseError, match="nowhere"):
            warehouse.run_batch([Statement(insert, {"a": "lost"}), "INSERT INTO nowhere VALUES (1)"])
        assert warehouse.query("SELECT a FROM t").rows == [("kept",)]


def test_an_error_does_not_spoil_what_follows(opener: Opener) -> None:
    with opener() as warehouse:
        for _ in range(3):
            with pytest.raises(WarehouseError):
                warehouse.query("SELECT * FROM nowhere")
            assert warehouse.query("SELECT 1").rows == [(1,)]


def test_errors_name_cause_and_fix(opener: Opener) -> None:
    with opener() as warehouse:
        with pytest.raises(WarehouseError) as missing:
            warehouse.query("SELECT * FROM nowhere")
        with pytest.raises(WarehouseError) as syntax:
            warehouse.query("SELEC 1")
    assert 'relation "nowhere" does not exist' in missing.value.cause
    assert "txnpipe setup" in missing.value.fix
    assert missing.value.exit_code is ExitCode.SERVICE
    assert 'syntax error at or near "SELEC"' in syntax.value.cause


def test_an_error_never_repeats_the_statement(opener: Opener) -> None:
    with opener() as warehouse, pytest.raises(WarehouseError) as raised:
        warehouse.execute("ALTER USER nobody_of_this_name PASSWORD 'Hunter2hunter2'")
    assert "Hunter2" not in repr(raised.value) + raised.value.cause + str(raised.value.details)


def test_read_only_refuses_changes(opener: Opener, fresh_database: str) -> None:
    with opener(fresh_database) as warehouse:
        warehouse.execute("CREATE TABLE t (a INTEGER)")
        for change in ("INSERT INTO t VALUES (1)", "SELECT 1 AS a INTO u", "DROP TABLE t; SELECT 1"):
            with pytest.raises(TxnpipeError) as refused:
                warehouse.query(change, read_only=True)
            assert refused.value.exit_code is ExitCode.REFUSED
        assert warehouse.query("SELECT COUNT(*) FROM t", read_only=True).rows == [(0,)]


def test_the_dialect_is_what_the_server_says(opener: Opener) -> None:
    with opener() as warehouse:
        assert warehouse.dialect == "postgres"


def test_a_missing_value_is_a_programming_error(opener: Opener) -> None:
    with opener() as warehouse, pytest.raises(ValueError, match=":b has no value"):
        warehouse.query("SELECT :a, :b", {"a": 1})


def test_reached_directly_the_database_itself_refuses_changes(installation: Installation) -> None:
    with installation.direct() as warehouse:
        warehouse.execute(
            "CREATE OR REPLACE FUNCTION sneaky() RETURNS INT LANGUAGE sql"
            " AS 'CREATE TABLE x (a INT); SELECT 1'"
        )
        with pytest.raises(WarehouseError) as refused:
            warehouse.query("SELECT sneaky()", read_only=True)
        assert refused.value.sql_state == "25006"
        assert "--write" in refused.value.fix
        assert warehouse.query("SELECT 1").rows == [(1,)]


def test_a_killed_server_that_comes_back_costs_a_query_nothing(installation: Installation) -> None:
    server = installation.server

    def come_back(_pause: float) -> None:
        """In the first pause between two tries to connect."""
        server.start()

    connect = connector(HOST, server.port, DATABASE, ADMIN, lambda: PASSWORD, "prefer")
    try:
        with DirectWarehouse(connect, clock=lambda: 0.0, sleep=come_back) as warehouse:
            warehouse.query("SELECT 1")
            os.kill(server.processes()[0].pid, signal.SIGKILL)
            eventually(lambda: not server.running(), "end of the server")
            assert warehouse.query("SELECT 2").rows == [(2,)]
            assert server.running()
    finally:
        server.start()
