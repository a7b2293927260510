"""Runs statements in the background and remembers them for a day.

A request is one `Execution`: one statement, or the statements of a batch, each with its own state and result.
What is remembered lives as long as the daemon; after a restart its ids are unknown, as after a day.
"""

from __future__ import annotations

import logging
import shutil
import threading
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg2

from txnpipe.local.redshift.data_api import results
from txnpipe.local.redshift.data_api.access import DatabaseRefusalError, Login
from txnpipe.local.service import ServiceError
from txnpipe.sqltext import replace_parameters, statements

_log = logging.getLogger(__name__)

KEPT_S = 24 * 3600.0
"""How long the service keeps results."""
MOST_ACTIVE = 500
"""Active statements per cluster (Data API quotas)."""
WORKERS = 16
_RUNNING = ("SUBMITTED", "PICKED", "STARTED")


@dataclass
class Part:
    """One statement of an execution. Times are epoch seconds."""

    id: str
    sql: str
    status: str = "SUBMITTED"
    error: str | None = None
    created_at: float = 0.0
    updated_at: float = 0.0
    started_at: float = 0.0
    duration_ns: int = -1
    rows: int = -1
    bytes: int = -1
    query_id: int = 0
    has_result: bool = False


@dataclass
class Execution:
    """What one call of ExecuteStatement or BatchExecuteStatement began."""

    id: str
    region: str
    request: Mapping[str, Any]
    parts: list[Part]
    is_batch: bool
    transaction: bool
    created_at: float
    status: str = "SUBMITTED"
    error: str | None = None
    updated_at: float = 0.0
    pid: int = 0
    cancelled: bool = False
    connection: Any = field(default=None, repr=False)

    @property
    def running(self) -> bool:
        """Whether it has not come to an end."""
        return self.status in _RUNNING


class Executions:
    """All executions of the installation."""

    def __init__(self, directory: Path, clock: Callable[[], float] = time.time) -> None:
        self._directory = directory
        self._clock = clock
        self._executions: dict[str, Execution] = {}
        self._tokens: dict[tuple[str, str], tuple[str, Mapping[str, Any]]] = {}
        self._changed = threading.Condition()
        self._workers: ThreadPoolExecutor | None = None
        self._query_ids = 0

    def start(self) -> None:
        """Begins with nothing: results of an earlier life are deleted."""
        shutil.rmtree(self._directory, ignore_errors=True)
        self._directory.mkdir(mode=0o700, parents=True)
        self._workers = ThreadPoolExecutor(WORKERS, thread_name_prefix="redshift-data")

    def stop(self) -> None:
        """Cancels what runs and waits for its end."""
        for execution in list(self._executions.values()):
            if execution.running:
                self._interrupt(execution)
        if self._workers:
            self._workers.shutdown(wait=True, cancel_futures=True)

    def submit(
        self,
        region: str,
        request: Mapping[str, Any],
        sqls: Sequence[str],
        login: Callable[[], Login],
        *,
        is_batch: bool,
    ) -> Execution:
        """Begins to run statements; with a ClientToken that was used before, returns what that began.

        Raises ServiceError: ValidationException, ActiveStatementsExceededException.
        """
        with self._changed:
            self._forget_old()
            token = (region, str(request.get("ClientToken") or ""))
            if token[1] and token in self._tokens:
                known_id, known_request = self._tokens[token]
                if known_request != request:
                    raise ServiceError(
                        "ValidationException", "The ClientToken was used before with other parameters."
                    )
                return self._executions[known_id]
            if sum(each.running for each in self._executions.values()) >= MOST_ACTIVE:
                raise ServiceError(
                    "ActiveStatementsExceededException", f"More than {MOST_ACTIVE} statements are active."
                )
            execution = self._remember(region, request, sqls, is_batch)
            if token[1]:
                self._tokens[token] = (execution.id, request)
        assert self._workers is not None, "start comes first"
        self._workers.submit(self._run, execution, login)
        return execution

    def find(self, region: str, statement_id: str) -> tuple[Execution, Part | None]:
        """The execution of that id, and its part where the id names one (`id:2`).

        Raises ServiceError (ResourceNotFoundException).
        """
        whole, _, number = statement_id.partition(":")
        with self._changed:
            self._forget_old()
            execution = self._executions.get(whole)
        if execution is None or execution.region != region:
            raise ServiceError("ResourceNotFoundException", f"Query does not exist: {statement_id}")
        if not number:
            return execution, None
        if not number.isdigit() or not 1 <= int(number) <= len(execution.parts) or not execution.is_batch:
            raise ServiceError("ResourceNotFoundException", f"Query does not exist: {statement_id}")
        return execution, execution.parts[int(number) - 1]

    def wait(self, execution: Execution, seconds: float) -> None:
        """Waits until the execution has ended, at most so long."""
        with self._changed:
            self._changed.wait_for(lambda: not execution.running, seconds)

    def list(self, region: str) -> list[Execution]:
        """The executions of a region, newest first."""
        with self._changed:
            self._forget_old()
            found = [each for each in self._executions.values() if each.region == region]
        return sorted(found, key=lambda each: each.created_at, reverse=True)

    def cancel(self, execution: Execution) -> bool:
        """Cancels a running execution. Raises ServiceError (ValidationException) for one that has ended."""
        with self._changed:
            if not execution.running:
                raise ServiceError(
                    "ValidationException",
                    f"Could not cancel a query that is already in {execution.status} state with ID:"
                    f" {execution.id}",
                )
        self._interrupt(execution)
        self.wait(execution, 5)
        return True

    def result_file(self, part: Part) -> Path:
        """Where the rows of a finished part are."""
        return self._directory / part.id.replace(":", ".")

    def _remember(
        self, region: str, request: Mapping[str, Any], sqls: Sequence[str], is_batch: bool
    ) -> Execution:
        now = self._clock()
        whole = str(uuid.uuid4())
        parts = [
            Part(f"{whole}:{number}" if is_batch else whole, sql, created_at=now, updated_at=now)
            for number, sql in enumerate(sqls, 1)
        ]
        execution = Execution(
            id=whole,
            region=region,
            request=request,
            parts=parts,
            is_batch=is_batch,
            transaction=is_batch and request.get("ExecutionMode") != "AUTO_COMMIT",
            created_at=now,
            updated_at=now,
        )
        self._executions[whole] = execution
        return execution

    def _forget_old(self) -> None:
        horizon = self._clock() - KEPT_S
        for execution in [each for each in self._executions.values() if each.created_at < horizon]:
            if not execution.running:
                del self._executions[execution.id]
                for part in execution.parts:
                    self.result_file(part).unlink(missing_ok=True)
        self._tokens = {key: value for key, value in self._tokens.items() if value[0] in self._executions}

    # In a worker

    def _run(self, execution: Execution, login: Callable[[], Login]) -> None:
        try:
            self._connect_and_run(execution, login)
        except Exception as error:  # noqa: BLE001 - whoever waits for the statement must hear of it
            _log.exception("statement %s ended in an unexpected way", execution.id)
            self._end(execution, "FAILED", _first_line(str(error)))

    def _connect_and_run(self, execution: Execution, login: Callable[[], Login]) -> None:
        self._set(execution, "PICKED")
        try:
            connection = login().connect()
        except (psycopg2.OperationalError, DatabaseRefusalError) as error:
            self._end(execution, "FAILED", _first_line(str(error)))
            return
        try:
            results.read_as_text(connection)
            execution.connection = connection
            execution.pid = connection.info.backend_pid
            self._set(execution, "STARTED")
            self._run_parts(execution, connection)
        finally:
            execution.connection = None
            connection.close()

    def _run_parts(self, execution: Execution, connection: Any) -> None:
        failure: str | None = None
        with connection.cursor() as cursor:
            if execution.transaction:
                cursor.execute("BEGIN")
            for number, part in enumerate(execution.parts, 1):
                if failure is not None and execution.transaction:
                    self._change(part, "ABORTED")
                    continue
                error = self._run_part(execution, part, cursor)
                if error is not None and failure is None:
                    failure = f"Query #{number} failed with {error}" if execution.is_batch else error
            if execution.transaction:
                try:
                    cursor.execute("COMMIT" if failure is None else "ROLLBACK")
                except psycopg2.Error as error:
                    failure = failure or _message(error)
        if execution.cancelled and failure is not None:
            self._end(execution, "ABORTED", failure)
        else:
            self._end(execution, "FINISHED" if failure is None else "FAILED", failure)

    def _run_part(self, execution: Execution, part: Part, cursor: Any) -> str | None:
        part.started_at = self._clock()
        began = time.perf_counter_ns()
        self._change(part, "STARTED")
        try:
            if len(statements(part.sql)) > 1:
                raise DatabaseRefusalError("ERROR: cannot insert multiple commands into a prepared statement")
            if execution.cancelled:
                raise DatabaseRefusalError("ERROR: canceling statement due to user request")
            cursor.execute(_with_values(part.sql, execution.request.get("Parameters") or ()))
            if cursor.description is not None:
                part.rows, part.bytes = results.write(
                    self.result_file(part), cursor.description, iter(cursor)
                )
                part.has_result = True
            else:
                part.rows, part.bytes = cursor.rowcount, 0
        except (psycopg2.Error, DatabaseRefusalError, OSError) as error:
            part.duration_ns = time.perf_counter_ns() - began
            message = _message(error) if isinstance(error, psycopg2.Error) else str(error)
            self._change(part, "ABORTED" if execution.cancelled else "FAILED", message)
            return message
        part.duration_ns = time.perf_counter_ns() - began
        self._change(part, "FINISHED")
        return None

    def _interrupt(self, execution: Execution) -> None:
        execution.cancelled = True
        connection = execution.connection
        if connection is not None:
            try:
                connection.cancel()
            except psycopg2.Error:
                return  # it has just ended

    def _set(self, execution: Execution, status: str) -> None:
        with self._changed:
            execution.status, execution.updated_at = status, self._clock()
            self._changed.notify_all()

    def _end(self, execution: Execution, status: str, error: str | None) -> None:
        with self._changed:
            for part in execution.parts:
                if part.status in _RUNNING:
                    part.status, part.error = status, error
            execution.error = error
        self._set(execution, status)

    def _change(self, part: Part, status: str, error: str | None = None) -> None:
        with self._changed:
            if status == "STARTED":
                self._query_ids += 1
                part.query_id = self._query_ids
            part.status, part.error, part.updated_at = status, error, self._clock()


def _with_values(sql: str, parameters: Sequence[Mapping[str, str]]) -> str:
    """The statement with its `:name` parameters as string literals, which the database converts."""
    if not parameters:
        return sql
    values = {parameter["name"]: parameter["value"] for parameter in parameters}
    return replace_parameters(sql, lambda name: _quoted(values[name]) if name in values else f":{name}")


def _quoted(value: str) -> str:
    text = value.replace("'", "''")
    # A leading blank keeps E from joining a word before it.
    return " E'" + text.replace("\\", "\\\\") + "'" if "\\" in text else f"'{text}'"


def _message(error: psycopg2.Error) -> str:
    severity = error.diag.severity or "ERROR"
    return f"{severity}: {error.diag.message_primary or _first_line(str(error))}"


def _first_line(text: str) -> str:
    return next((line.strip() for line in text.splitlines() if line.strip()), "no reason given")
