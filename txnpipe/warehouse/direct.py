"""The warehouse over its own protocol, with psycopg2: fast, and needs a network path.

One connection, made when first needed and again when it breaks. A connection that cannot be made is tried
again for a while, as long as the server only restarts. A query that breaks in the middle runs once more; a
change that breaks in the middle does not, since it may have happened: whoever asked for it decides.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from types import TracebackType
from typing import Any, Self

import psycopg2
from psycopg2.extensions import TRANSACTION_STATUS_IDLE

from txnpipe.errors import ExitCode
from txnpipe.warehouse import interruptible
from txnpipe.warehouse.interface import (
    MAX_BATCH,
    Dialect,
    Parameters,
    Result,
    Statement,
    WarehouseError,
    dialect_of,
    statement_error,
)
from txnpipe.warehouse.parameters import for_psycopg2
from txnpipe.warehouse.read_only import refuse_changes

CONNECT_TIMEOUT_S = 10
STATEMENT_TIMEOUT_S = 600
RECONNECT_S = 20.0
"""How long a restarting server is waited for; the local one is back in a second or two."""
IDLE_PING_S = 15.0
"""After this long without use a connection is asked whether it still lives before a change goes over it."""

_RESTARTING = (
    "connection refused",
    "starting up",
    "shutting down",
    "recovery mode",
    "not yet accepting connections",
    "server closed the connection unexpectedly",
    "connection reset by peer",
    "terminating connection",
)

_log = logging.getLogger(__name__)


class DirectWarehouse:
    """A Warehouse over one connection. Not thread-safe.

    connect: makes a psycopg2 connection (see `connector`).
    """

    def __init__(
        self,
        connect: Callable[[], Any],
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._connect = connect
        self._clock = clock
        self._sleep = sleep
        self._connection: Any = None
        self._used_at = 0.0

    @cached_property
    def dialect(self) -> Dialect:
        """What the server says it is."""
        return dialect_of(str(self.query("SELECT version()").rows[0][0]))

    def query(self, sql: str, parameters: Parameters | None = None, *, read_only: bool = False) -> Result:
        """See `Warehouse`."""
        if read_only:
            refuse_changes(sql)
        try:
            return self._query(sql, parameters, read_only)
        except _BrokenConnectionError:
            _log.info("the connection to the warehouse broke; asking again over a new one")
            with _translated():
                return self._query(sql, parameters, read_only)

    def _query(self, sql: str, parameters: Parameters | None, read_only: bool) -> Result:
        with self._cursor() as cursor:
            if read_only:
                cursor.execute("BEGIN READ ONLY")
            _execute(cursor, sql, parameters)
            result = _result(cursor)
            if read_only:
                cursor.execute("ROLLBACK")
            return result

    def execute(self, sql: str, parameters: Parameters | None = None) -> int:
        """See `Warehouse`."""
        with _translated(), self._cursor(surely_alive=True) as cursor:
            _execute(cursor, sql, parameters)
            return int(cursor.rowcount)

    def run_batch(self, statements: Sequence[str | Statement]) -> None:
        """See `Warehouse`."""
        if len(statements) > MAX_BATCH:
            raise ValueError(f"a batch has at most {MAX_BATCH} statements, not {len(statements)}")
        with _translated(), self._cursor(surely_alive=True) as cursor:
            cursor.execute("BEGIN")
            for entry in statements:
                statement = Statement(entry) if isinstance(entry, str) else entry
                _execute(cursor, statement.sql, statement.parameters)
            cursor.execute("COMMIT")

    def close(self) -> None:
        """See `Warehouse`."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @contextmanager
    def _cursor(self, *, surely_alive: bool = False) -> Iterator[Any]:
        """A cursor on a live connection. What psycopg2 raises leaves as a WarehouseError, or as
        _BrokenConnectionError where the connection is gone; the transaction, if any, is rolled back."""
        connection = self._alive(surely_alive)
        try:
            with connection.cursor() as cursor:
                yield cursor
            self._used_at = self._clock()
        except psycopg2.Error as error:
            failure = _failure(error)
            if connection.closed or isinstance(error, psycopg2.InterfaceError) or _gone(failure):
                self._forget()
                raise _BrokenConnectionError(failure) from error
            self._roll_back()
            raise failure from error
        except BaseException:
            self._roll_back()
            raise

    def _roll_back(self) -> None:
        """Ends whatever transaction an error or Ctrl-C interrupted; a connection that cannot is dropped."""
        try:
            status = self._connection.get_transaction_status()
            if status != TRANSACTION_STATUS_IDLE:
                with self._connection.cursor() as cursor:
                    cursor.execute("ROLLBACK")
        except psycopg2.Error:
            self._forget()

    def _alive(self, surely: bool) -> Any:
        idle = self._clock() - self._used_at
        if self._connection is not None and surely and idle > IDLE_PING_S:
            try:
                with self._connection.cursor() as cursor:
                    cursor.execute("SELECT 1")
            except psycopg2.Error:
                self._forget()
        if self._connection is None:
            self._connection = self._patiently_connected()
        return self._connection

    def _patiently_connected(self) -> Any:
        deadline = self._clock() + RECONNECT_S
        pause = 0.05
        while True:
            try:
                return self._connect()
            except psycopg2.OperationalError as error:
                text = str(error).lower()
                if not any(phrase in text for phrase in _RESTARTING) or self._clock() >= deadline:
                    raise _unreachable(error) from error
            self._sleep(pause)
            pause = min(pause * 2, 1.0)

    def _forget(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            try:
                connection.close()
            except psycopg2.Error:
                _log.debug("closing a broken connection failed", exc_info=True)


def connector(
    host: str,
    port: int,
    database: str,
    user: str,
    password: Callable[[], str],
    sslmode: str,
    *,
    statement_timeout_s: int = STATEMENT_TIMEOUT_S,
) -> Callable[[], Any]:
    """Makes connections. `password` is asked for each of them: it may have been rotated."""

    def connect() -> Any:
        connection = interruptible.connect(
            CONNECT_TIMEOUT_S,
            host=host,
            port=port,
            dbname=database,
            user=user,
            password=password(),
            sslmode=sslmode,
            application_name="txnpipe",
            keepalives=1,
            keepalives_idle=30,
            keepalives_interval=10,
            keepalives_count=3,
        )
        with connection.cursor() as cursor:
            cursor.execute(f"SET statement_timeout TO {statement_timeout_s * 1000:d}")
        return connection

    return connect


class _BrokenConnectionError(Exception):
    """The connection broke in the middle of a statement."""

    def __init__(self, failure: WarehouseError) -> None:
        super().__init__(str(failure))
        self.failure = failure


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except _BrokenConnectionError as broken:
        raise WarehouseError(
            f"The connection to the warehouse broke in the middle of a statement: {broken.failure.cause}",
            "Run the same command again.",
            sql_state=broken.failure.sql_state,
        ) from broken


def _execute(cursor: Any, sql: str, parameters: Mapping[str, object] | None) -> None:
    if parameters:
        text, values = for_psycopg2(sql, parameters)
        cursor.execute(text, values)
    else:
        cursor.execute(sql)


def _result(cursor: Any) -> Result:
    if cursor.description is None:
        return Result((), [])
    return Result(tuple(column.name for column in cursor.description), cursor.fetchall())


def _failure(error: psycopg2.Error) -> WarehouseError:
    # Not str(error): that quotes the statement, which may hold a password.
    message = error.diag.message_primary or next(iter(str(error).splitlines()), "the connection broke")
    details = tuple(
        f"{label}: {text}"
        for label, text in (("detail", error.diag.message_detail), ("hint", error.diag.message_hint))
        if text
    )
    return statement_error(message, error.pgcode or "", details)


def _gone(failure: WarehouseError) -> bool:
    return failure.sql_state in ("57P01", "57P02", "57P03") or failure.sql_state.startswith("08")


def _unreachable(error: psycopg2.OperationalError) -> WarehouseError:
    message = next((line for line in str(error).splitlines() if line.strip()), "no reason given")
    if "password authentication failed" in message:
        fix = "Run txnpipe setup: it repairs users and passwords."
    elif "timeout" in message.lower():
        fix = "Open a network path to the warehouse, or set warehouse.access to data-api."
    else:
        fix = "Check with txnpipe status that the warehouse is available, then run the same command again."
    return WarehouseError(
        f"The warehouse cannot be reached: {message.strip().rstrip('.')}.",
        fix,
        exit_code=ExitCode.SERVICE,
    )
