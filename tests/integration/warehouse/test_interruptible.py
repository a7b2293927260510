"""Ctrl-C in a statement, and what a connection on which it works means for the others of the process."""

from __future__ import annotations

import io
import os
import signal
import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import psycopg2
import pytest
from psycopg2.extensions import POLL_READ

from tests.integration.warehouse.conftest import ADMIN, DATABASE, PASSWORD, Installation
from tests.ports import free_port
from tests.waiting import PATIENCE_S, eventually
from txnpipe.warehouse import WarehouseError, interruptible

HOST = "127.0.0.1"


@pytest.fixture
def heard() -> Iterator[None]:
    """Tests that were started in the background ignore SIGINT."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def other(installation: Installation) -> Iterator[Any]:
    """A connection as psycopg2 makes it by itself."""
    connection = psycopg2.connect(
        host=HOST, port=installation.server.port, dbname=DATABASE, user=ADMIN, password=PASSWORD
    )
    connection.autocommit = True
    yield connection
    connection.close()


def running(connection: Any, statement: str) -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_stat_activity WHERE query = %s", (statement,))
        return bool(cursor.fetchone()[0])


@contextmanager
def once_running(connection: Any, statement: str, act: Callable[[], object]) -> Iterator[None]:
    """Does something as soon as the server works on a statement."""

    def watch() -> None:
        eventually(lambda: running(connection, statement), "statement that runs")
        act()

    with ThreadPoolExecutor(1) as pool:
        watching = pool.submit(watch)
        yield
    watching.result()


def interrupt() -> None:
    os.kill(os.getpid(), signal.SIGINT)


@pytest.mark.usefixtures("heard")
def test_ctrl_c_ends_the_statement_here_and_on_the_server(installation: Installation, other: Any) -> None:
    statement = "SELECT pg_sleep(1000), 'interrupted'"
    with installation.direct() as warehouse:
        warehouse.query("SELECT 1")
        with once_running(other, statement, interrupt), pytest.raises(KeyboardInterrupt):
            warehouse.query(statement)
        # One transaction of this connection is over: it can be asked again, and the server works on nothing.
        assert warehouse.query("SELECT 2").rows == [(2,)]
        assert not running(other, statement)


def test_ctrl_c_between_sending_a_statement_and_waiting_for_it_ends_it_too(
    installation: Installation, other: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    statement = "SELECT pg_sleep(1000), 'just sent'"
    wait = interruptible._await_answer

    def interrupted(*_: Any) -> None:
        monkeypatch.setattr(interruptible, "_await_answer", wait)
        raise KeyboardInterrupt

    with installation.direct() as warehouse:
        warehouse.query("SELECT 1")
        monkeypatch.setattr(interruptible, "_await_answer", interrupted)
        with pytest.raises(KeyboardInterrupt):
            warehouse.query(statement)
        assert warehouse.query("SELECT 2").rows == [(2,)]
        assert not running(other, statement)


@pytest.mark.usefixtures("heard")
def test_ctrl_c_in_a_batch_undoes_all_of_it(
    installation: Installation, other: Any, fresh_database: str
) -> None:
    statement = "SELECT pg_sleep(1000), 'in a batch'"
    with installation.direct(fresh_database) as warehouse:
        warehouse.execute("CREATE TABLE t (a INTEGER)")
        with once_running(other, statement, interrupt), pytest.raises(KeyboardInterrupt):
            warehouse.run_batch(["INSERT INTO t VALUES (1)", statement])
        assert warehouse.query("SELECT COUNT(*) FROM t").rows == [(0,)]


class Unheard:
    """A connection whose server passes over the first cancellation, as where the statement comes after it."""

    def __init__(self, silent: socket.socket) -> None:
        self._silent = silent
        self.cancelled = 0

    def isexecuting(self) -> bool:
        return True

    def cancel(self) -> None:
        self.cancelled += 1

    def fileno(self) -> int:
        return self._silent.fileno()

    def poll(self) -> int:
        if self.cancelled == 2:
            raise psycopg2.errors.QueryCanceled
        return POLL_READ


def test_a_cancellation_that_comes_before_its_statement_is_sent_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(interruptible, "CANCEL_AGAIN_S", 0.01)
    with socket.create_server((HOST, 0)) as silent:
        connection: Any = Unheard(silent)
        interruptible._call_off(connection)
    assert connection.cancelled == 2


def test_a_statement_cancelled_by_somebody_else_is_an_error(installation: Installation, other: Any) -> None:
    statement = "SELECT pg_sleep(1000), 'cancelled'"

    def cancel() -> None:
        with other.cursor() as cursor:
            cursor.execute(
                "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE query = %s", (statement,)
            )

    with installation.direct() as warehouse:
        warehouse.query("SELECT 1")
        with once_running(other, statement, cancel), pytest.raises(WarehouseError) as raised:
            warehouse.query(statement)
        assert raised.value.sql_state == "57014"
        assert warehouse.query("SELECT 2").rows == [(2,)]


def test_other_connections_of_the_process_are_left_as_they_are(
    installation: Installation, other: Any
) -> None:
    with installation.direct() as warehouse, other.cursor() as cursor:
        warehouse.query("SELECT 1")
        cursor.execute("CREATE TEMPORARY TABLE copied (a INTEGER)")
        cursor.copy_expert("COPY copied FROM STDIN", io.StringIO("1\n2\n"))
        cursor.execute("SELECT sum(a) FROM copied")
        assert cursor.fetchone() == (3,)


def test_a_server_that_does_not_answer_is_given_up() -> None:
    with (
        socket.create_server((HOST, 0)) as silent,
        pytest.raises(psycopg2.OperationalError, match="timeout expired"),
    ):
        interruptible.connect(0.2, host=HOST, port=silent.getsockname()[1], user="u", dbname="d")


def test_a_port_where_nobody_listens_is_refused() -> None:
    with pytest.raises(psycopg2.OperationalError, match="refused"):
        interruptible.connect(PATIENCE_S, host=HOST, port=free_port(), user="u", dbname="d")
