"""What the direct way does when connections break. The connections are doubles."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import psycopg2
import pytest

from txnpipe.errors import ExitCode
from txnpipe.warehouse.direct import RECONNECT_S, DirectWarehouse
from txnpipe.warehouse.interface import WarehouseError


class Cursor:
    description = None
    rowcount = 1

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def __enter__(self) -> Cursor:
        return self

    def __exit__(self, *_error: object) -> None:
        return None

    def execute(self, sql: str, _values: object = None) -> None:
        self._connection.executed.append(sql)
        failure = self._connection.failures.pop(sql, None)
        if failure is not None:
            self._connection.closed = isinstance(failure, psycopg2.OperationalError)
            raise failure


class Connection:
    def __init__(self, failures: dict[str, Exception] | None = None) -> None:
        self.executed: list[str] = []
        self.failures = failures or {}
        self.closed = False

    def cursor(self) -> Cursor:
        return Cursor(self)

    def get_transaction_status(self) -> int:
        return 0

    def close(self) -> None:
        self.closed = True


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def warehouse(*connections: Connection | Exception, clock: Clock | None = None) -> DirectWarehouse:
    clock = clock or Clock()
    left = list(connections)

    def connect() -> Any:
        following = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(following, Exception):
            raise following
        return following

    return DirectWarehouse(connect, clock=clock, sleep=clock.sleep)


BROKEN = psycopg2.OperationalError("server closed the connection unexpectedly\n\tThis probably means ...")


def test_a_query_whose_connection_breaks_runs_once_more() -> None:
    first, second = Connection({"SELECT 1": BROKEN}), Connection()
    warehouse(first, second).query("SELECT 1")
    assert second.executed == ["SELECT 1"]


def test_a_change_whose_connection_breaks_is_not_repeated() -> None:
    for change in (lambda w: w.execute("INSERT"), lambda w: w.run_batch(["INSERT"])):
        second = Connection()
        with pytest.raises(WarehouseError, match="broke in the middle") as raised:
            _call(change, warehouse(Connection({"INSERT": BROKEN}), second))
        assert raised.value.fix == "Run the same command again."
        assert second.executed == []


def test_a_dead_connection_is_found_out_before_a_change_goes_over_it() -> None:
    clock = Clock()
    first, second = Connection(), Connection()
    under_test = warehouse(first, second, clock=clock)
    under_test.query("SELECT 2")
    first.failures["SELECT 1"] = BROKEN
    clock.now += 60
    assert under_test.execute("INSERT") == 1
    assert second.executed == ["INSERT"]


def test_a_restarting_server_is_waited_for() -> None:
    refused = psycopg2.OperationalError("connection to server failed: Connection refused")
    starting = psycopg2.OperationalError("FATAL:  the database system is starting up")
    connection = Connection()
    warehouse(refused, starting, refused, connection).query("SELECT 1")
    assert connection.executed == ["SELECT 1"]


def test_a_server_that_stays_away_is_given_up() -> None:
    clock = Clock()
    refused = psycopg2.OperationalError("connection to server failed: Connection refused")
    with pytest.raises(WarehouseError, match=r"cannot be reached: .*Connection refused"):
        warehouse(refused, clock=clock).query("SELECT 1")
    assert RECONNECT_S <= clock.now < RECONNECT_S + 2


def test_a_wrong_password_is_reported_at_once() -> None:
    clock = Clock()
    wrong = psycopg2.OperationalError('FATAL:  password authentication failed for user "x"')
    with pytest.raises(WarehouseError) as raised:
        warehouse(wrong, clock=clock).query("SELECT 1")
    assert clock.now == 0
    assert "txnpipe setup" in raised.value.fix
    assert raised.value.exit_code is ExitCode.SERVICE


def test_a_batch_is_one_transaction() -> None:
    connection = Connection()
    warehouse(connection).run_batch(["A", "B"])
    assert connection.executed == ["BEGIN", "A", "B", "COMMIT"]


def test_a_read_only_query_runs_in_a_read_only_transaction() -> None:
    connection = Connection()
    warehouse(connection).query("SELECT 1", read_only=True)
    assert connection.executed == ["BEGIN READ ONLY", "SELECT 1", "ROLLBACK"]


def test_more_statements_than_the_data_api_takes_are_refused_here_too() -> None:
    with pytest.raises(ValueError, match="40"):
        warehouse(Connection()).run_batch(["SELECT 1"] * 41)


def _call(change: Callable[[DirectWarehouse], Any], subject: DirectWarehouse) -> None:
    change(subject)
