"""What the local cloud's PostgreSQL promises: loopback only, password only, and no row lost to kill -9."""

from __future__ import annotations

import os
import shutil
import signal
import stat
import subprocess
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import psutil
import psycopg2
import pytest

from tests.waiting import PATIENCE_S, eventually
from txnpipe.errors import ExitCode, TxnpipeError
from txnpipe.local.log_files import bound_log
from txnpipe.local.postgres import binaries, database
from txnpipe.local.postgres.binaries import server_account
from txnpipe.local.postgres.server import PostgresServer
from txnpipe.local.postgres.supervisor import Supervisor
from txnpipe.local.redshift import temporary_credentials

PASSWORD = "Adm1n'; DROP \\ \"x"


def connect(
    server: PostgresServer, password: str = PASSWORD, user: str = "admin"
) -> psycopg2.extensions.connection:
    return psycopg2.connect(
        host="127.0.0.1",
        port=server.port,
        user=user,
        password=password,
        dbname="txnpipe",
        connect_timeout=int(PATIENCE_S),
    )


def started(server: PostgresServer) -> PostgresServer:
    server.start()
    database.provision(server, "txnpipe", "admin", PASSWORD)
    return server


def test_starts_and_lets_the_administrator_in_with_the_password(server: PostgresServer) -> None:
    with connect(started(server)) as connection, connection.cursor() as cursor:
        cursor.execute("CREATE TABLE t (a int)")
        cursor.execute("SHOW default_transaction_isolation")
        assert cursor.fetchone() == ("repeatable read",)
        cursor.execute("SHOW timezone")
        assert cursor.fetchone() == ("UTC",)
        cursor.execute("SHOW unix_socket_directories")
        assert cursor.fetchone() == ("",)
    connection.close()


def test_refuses_a_wrong_and_an_empty_password(server: PostgresServer) -> None:
    started(server)
    for wrong in ("guess", ""):
        with pytest.raises(psycopg2.OperationalError, match="password"):
            connect(server, wrong)
        with pytest.raises(psycopg2.OperationalError, match="password"):
            connect(server, wrong, user="rdsdb")


def test_the_administrator_can_neither_read_files_nor_run_programs(server: PostgresServer) -> None:
    connection = connect(started(server))
    for statement in ("COPY (SELECT 1) TO PROGRAM 'id'", "SELECT pg_read_file('/etc/passwd')"):
        with connection, connection.cursor() as cursor, pytest.raises(psycopg2.errors.InsufficientPrivilege):
            cursor.execute(statement)
        connection.rollback()
    connection.close()


def test_listens_on_loopback_alone(server: PostgresServer) -> None:
    started(server)
    sockets = [
        connection.laddr
        for connection in psutil.Process(server.processes()[0].pid).net_connections()
        if connection.status == psutil.CONN_LISTEN
    ]
    assert [(address.ip, address.port) for address in sockets] == [("127.0.0.1", server.port)]


def test_no_password_shows_in_the_arguments_of_any_process_nor_in_the_log(server: PostgresServer) -> None:
    connection = connect(started(server))
    with pytest.raises(psycopg2.errors.UndefinedObject), connection.cursor() as cursor:
        cursor.execute("ALTER USER nobody_of_this_name PASSWORD 'Hunter2hunter2'")
    connection.close()
    arguments = " ".join(psutil.Process(server.processes()[0].pid).cmdline())
    assert server.superuser_password not in arguments
    log = server.log_file.read_text("utf-8")
    assert "nobody_of_this_name" in log
    assert "Hunter2" not in log


def test_files_are_for_nobody_else(server: PostgresServer, home: Path) -> None:
    started(server)

    def mode(path: Path) -> int:
        return stat.S_IMODE(path.stat().st_mode)

    assert mode(server.data) == 0o700
    assert mode(server.log_file) == 0o600
    assert mode(server.directory / "superuser.password") == 0o600
    closed = 0o710 if server_account().switch else 0o700
    assert mode(server.directory) == closed
    assert mode(server.directory.parent) == closed
    assert server.data.stat().st_uid == server_account().uid
    assert not list(server.directory.glob("initdb*"))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root runs PostgreSQL as somebody else")
def test_run_by_root_the_server_is_not_root(server: PostgresServer) -> None:
    started(server)
    assert psutil.Process(server.processes()[0].pid).uids().real == server_account().uid != 0


@pytest.mark.skipif(os.geteuid() != 0, reason="only root runs PostgreSQL as somebody else")
def test_programs_out_of_the_servers_reach_are_copied_to_the_home(
    home: Path, server: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = binaries.find_installation()
    closed = home / "closed"
    package = found.bin.parent.parent
    shutil.copytree(found.bin.parent, closed / package.name / "pg", symlinks=True)
    shutil.copytree(package.with_name(f"{package.name}.libs"), closed / f"{package.name}.libs")
    closed.chmod(0o700)
    monkeypatch.setattr(binaries, "_candidates", lambda: [closed / package.name / "pg" / "bin"])
    before = os.umask(0o077)  # as the daemon has it
    try:
        connect(started(server)).close()
    finally:
        os.umask(before)
    program = Path(psutil.Process(server.processes()[0].pid).exe())
    assert program.is_relative_to(home / "redshift")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root runs PostgreSQL as somebody else")
def test_a_home_out_of_the_servers_reach_is_an_error_with_a_fix(home: Path, server: PostgresServer) -> None:
    home.chmod(0o700)
    with pytest.raises(TxnpipeError) as raised:
        server.start()
    assert raised.value.exit_code is ExitCode.ENVIRONMENT
    assert "TXNPIPE_HOME" in raised.value.fix


def test_a_copy_of_a_running_server_holds_its_rows(home: Path, server: PostgresServer) -> None:
    with connect(started(server)) as connection, connection.cursor() as cursor:
        cursor.execute("CREATE TABLE t AS SELECT 7 AS a")
    connection.close()
    server.copy_data(server.directory.parent / "copy")
    copy = PostgresServer(server.directory.parent / "copy", home / "copy.log", name="copy", preferred_port=0)
    try:
        copy.start()
        assert copy.port != server.port
        with connect(copy) as connection, connection.cursor() as cursor:
            cursor.execute("SELECT a FROM t")
            assert cursor.fetchone() == (7,)
        connection.close()
    finally:
        copy.remove()


def test_temporary_credentials_act_as_the_user_until_they_expire(server: PostgresServer) -> None:
    started(server)
    now = datetime.now(UTC)
    issued = temporary_credentials.issue(server, "admin", now, 900)
    again = temporary_credentials.issue(server, "admin", now + timedelta(seconds=60), 900)
    assert (issued.user, again.password) == ("IAM:admin", issued.password)
    assert again.expires_at - issued.expires_at == timedelta(seconds=60)
    with connect(server, issued.password, issued.user) as connection, connection.cursor() as cursor:
        cursor.execute("CREATE TABLE made_by_admin (a int)")
        cursor.execute("SELECT current_user, tableowner FROM pg_tables WHERE tablename = 'made_by_admin'")
        assert cursor.fetchone() == ("admin", "admin")
        cursor.execute("RESET ROLE")
        with pytest.raises(psycopg2.errors.InsufficientPrivilege):
            cursor.execute("SET ROLE rdsdb")
    connection.close()
    later = temporary_credentials.issue(server, "admin", now + timedelta(hours=2), 900)
    assert later.password != issued.password
    temporary_credentials.issue(server, "admin", now - timedelta(days=1), 900)
    with pytest.raises(temporary_credentials.NoSuchUserError):
        temporary_credentials.issue(server, "nobody", now)
    made = temporary_credentials.issue(server, "somebody", now, auto_create=True)
    connect(server, made.password, made.user).close()


def test_all_who_ask_at_once_for_temporary_credentials_can_log_in(server: PostgresServer) -> None:
    started(server)
    now = datetime.now(UTC)

    def ask(number: int) -> temporary_credentials.TemporaryCredentials:
        return temporary_credentials.issue(server, f"u{number % 3}", now, auto_create=True)

    with ThreadPoolExecutor(12) as askers:
        issued = list(askers.map(ask, range(12)))
    for each in issued:
        connect(server, each.password, each.user).close()


def test_an_expired_password_is_refused(server: PostgresServer) -> None:
    started(server)
    issued = temporary_credentials.issue(server, "admin", datetime.now(UTC) - timedelta(hours=1), 900)
    with pytest.raises(psycopg2.OperationalError, match="password"):
        connect(server, issued.password, issued.user)


def test_a_second_start_changes_nothing(server: PostgresServer) -> None:
    pid = started(server).processes()[0].pid
    server.start()
    assert server.processes()[0].pid == pid


def test_rows_and_port_survive_a_stop(server: PostgresServer) -> None:
    with connect(started(server)) as connection, connection.cursor() as cursor:
        cursor.execute("CREATE TABLE t AS SELECT 1 AS a")
    connection.close()
    port = server.port
    server.stop()
    assert server.processes() == []
    server.start()
    assert server.port == port
    with connect(server) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT a FROM t")
        assert cursor.fetchone() == (1,)
    connection.close()


def test_another_port_when_the_own_one_is_taken(server: PostgresServer) -> None:
    import socket

    started(server).stop()
    taken = server.port
    with socket.create_server(("127.0.0.1", taken)):
        server.start()
        assert server.port not in (0, taken)
        connect(server).close()


def test_a_killed_postmaster_comes_back_with_every_committed_row(server: PostgresServer) -> None:
    supervisor = Supervisor(started(server))
    supervisor.start()
    committed = 0
    try:
        for _round in range(3):
            connection = connect(server)
            busy = connect(server)
            with connection.cursor() as cursor:
                cursor.execute("CREATE TABLE IF NOT EXISTS t (a int)")
                connection.commit()
                for _row in range(50):
                    cursor.execute("INSERT INTO t VALUES (1)")
                    connection.commit()
                    committed += 1
                cursor.execute("INSERT INTO t VALUES (2)")  # never committed
            # A backend in mid-statement outlives its postmaster and keeps the shared memory.
            with ThreadPoolExecutor(1) as pool:
                cut = pool.submit(_run_until_cut, busy)
                eventually(partial(_is_busy, server), "statement that runs")
                os.kill(server.processes()[0].pid, signal.SIGKILL)
                assert _count_when_back(server) == committed
                cut.result(PATIENCE_S)
            connection.close()
            busy.close()
    finally:
        supervisor.stop()
    # Counted after the server accepts connections, and before the watch that `stop` waits for ends.
    assert supervisor.restarts == 3


def test_a_later_process_adopts_the_server_that_its_killed_predecessor_left(server: PostgresServer) -> None:
    pid = started(server).processes()[0].pid
    successor = PostgresServer(server.directory, server.log_file, name="wh", preferred_port=0)
    assert not successor.running()
    successor.start()
    assert [process.pid for process in successor.processes()] == [pid]
    assert successor.port == server.port
    os.kill(pid, signal.SIGKILL)
    eventually(lambda: not successor.running(), "end of the server")
    successor.start()
    assert successor.processes()[0].pid != pid
    connect(successor).close()
    successor.stop()


def test_a_pid_file_that_names_a_stranger_is_not_believed(server: PostgresServer) -> None:
    started(server).stop()
    stranger = subprocess.Popen(["sleep", "600"])
    try:
        stale = f"{stranger.pid}\n{server.data}\n1\n{server.port}\n\n127.0.0.1\n 1 1\nready   \n"
        (server.data / "postmaster.pid").write_text(stale)
        successor = PostgresServer(server.directory, server.log_file, name="wh", preferred_port=0)
        successor.start()
        connect(successor).close()
        successor.stop()
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait(PATIENCE_S)


def test_a_killed_initdb_is_done_again(server: PostgresServer) -> None:
    half_done = server.directory / "initdb-abc" / "data"
    half_done.mkdir(parents=True)
    (half_done / "PG_VERSION").write_text("1\n")
    connect(started(server)).close()
    assert not list(server.directory.glob("initdb*"))


def test_removal_leaves_no_process_and_no_file(server: PostgresServer, home: Path) -> None:
    pid = started(server).processes()[0].pid
    bound_log(server.log_file, largest=0)
    server.remove()
    assert not psutil.pid_exists(pid)
    assert [path for path in home.rglob("*") if path.is_file()] == []


BUSY = "SELECT count(*) FROM generate_series(1, 1000000000000)"


def _run_until_cut(connection: psycopg2.extensions.connection) -> None:
    with pytest.raises(psycopg2.Error), connection.cursor() as cursor:
        cursor.execute(BUSY)


def _is_busy(server: PostgresServer) -> bool:
    with connect(server) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT FROM pg_stat_activity WHERE query = %s AND state = 'active'", [BUSY])
        found = cursor.rowcount
    connection.close()
    return found == 1


def _count_when_back(server: PostgresServer) -> int:
    def count() -> list[int] | None:
        try:
            with connect(server) as connection, connection.cursor() as cursor:
                cursor.execute("SELECT count(*) FROM t")
                (rows,) = cursor.fetchone() or (0,)
        except psycopg2.OperationalError:
            return None
        connection.close()
        return [rows]

    return eventually(count, "answer of the server")[0]
