"""Ctrl-C in a statement, and what a connection on which it works means for the others of the process."""

from __future__ import annotations

import io
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import psycopg2
import pytest

from tests.integration.warehouse.conftest import ADMIN, DATABASE, PASSWORD, Installation
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


def interrupt_when_running(connection: Any, statement: str) -> threading.Thread:
    def watch() -> None:
        deadline = time.monotonic() + 15
        while not running(connection, statement) and time.monotonic() < deadline:
            threading.Event().wait(0.01)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=watch)
    thread.start()
    return thread


@pytest.mark.usefixtures("heard")
def test_ctrl_c_ends_the_statement_here_and_on_the_server(installation: Installation, other: Any) -> None:
    statement = "SELECT pg_sleep(100), 'interrupted'"
    with installation.direct() as warehouse:
        warehouse.query("SELECT 1")
        watching = interrupt_when_running(other, statement)
        with pytest.raises(KeyboardInterrupt):
            warehouse.query(statement)
        watching.join()
        # One transaction of this connection is over: it can be asked again, and the server works on nothing.
        assert warehouse.query("SELECT 2").rows == [(2,)]
        assert not running(other, statement)


@pytest.mark.usefixtures("heard")
def test_ctrl_c_in_a_batch_undoes_all_of_it(
    installation: Installation, other: Any, fresh_database: str
) -> None:
    statement = "SELECT pg_sleep(100), 'in a batch'"
    with installation.direct(fresh_database) as warehouse:
        warehouse.execute("CREATE TABLE t (a INTEGER)")
        watching = interrupt_when_running(other, statement)
        with pytest.raises(KeyboardInterrupt):
            warehouse.run_batch(["INSERT INTO t VALUES (1)", statement])
        watching.join()
        assert warehouse.query("SELECT COUNT(*) FROM t").rows == [(0,)]


def test_a_statement_cancelled_by_somebody_else_is_an_error(installation: Installation, other: Any) -> None:
    statement = "SELECT pg_sleep(100), 'cancelled'"

    def cancel() -> None:
        deadline = time.monotonic() + 15
        while not running(other, statement) and time.monotonic() < deadline:
            threading.Event().wait(0.01)
        with other.cursor() as cursor:
            cursor.execute(
                "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE query = %s", (statement,)
            )

    thread = threading.Thread(target=cancel)
    with installation.direct() as warehouse:
        warehouse.query("SELECT 1")
        thread.start()
        with pytest.raises(WarehouseError) as raised:
            warehouse.query(statement)
        thread.join()
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
    with socket.create_server((HOST, 0)) as free:
        port = free.getsockname()[1]
    with pytest.raises(psycopg2.OperationalError, match="refused"):
        interruptible.connect(5, host=HOST, port=port, user="u", dbname="d")
