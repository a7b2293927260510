"""The warehouse over the Redshift Data API: HTTPS and IAM, no network path to the database.

A statement is submitted, waited for and its result fetched page by page. Submission carries a ClientToken, so
that a repeated request (botocore repeats after a broken connection) runs the statement once.
"""

from __future__ import annotations

import base64
import re
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import cached_property
from types import TracebackType
from typing import Any, Self

from txnpipe.aws import translated
from txnpipe.errors import ExitCode
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
from txnpipe.warehouse.parameters import for_data_api
from txnpipe.warehouse.read_only import refuse_changes

WAIT_S = 20
"""WaitTimeSeconds of one request; the service allows 1-30. Below the client's read time-out."""
STATEMENT_TIMEOUT_S = 600.0
_RUNNING = frozenset({"SUBMITTED", "PICKED", "STARTED"})
_PREFIX = re.compile(r"^\s*(Query #\d+ failed with )?(ERROR:)?\s*")


class DataApiWarehouse:
    """A Warehouse over the Data API. Thread-safe.

    client: boto3's redshift-data client. where: ClusterIdentifier (or WorkgroupName), Database, and SecretArn
    or DbUser.
    """

    def __init__(
        self,
        client: Any,
        where: Mapping[str, str],
        *,
        timeout_s: float = STATEMENT_TIMEOUT_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client = client
        self._where = dict(where)
        self._timeout_s = timeout_s
        self._clock = clock

    @cached_property
    def dialect(self) -> Dialect:
        """What the server says it is."""
        return dialect_of(str(self.query("SELECT version()").rows[0][0]))

    def query(self, sql: str, parameters: Parameters | None = None, *, read_only: bool = False) -> Result:
        """See `Warehouse`."""
        if read_only:
            refuse_changes(sql)
        description = self._run(sql, parameters)
        if not description.get("HasResultSet"):
            return Result((), [])
        return self._result(description["Id"])

    def execute(self, sql: str, parameters: Parameters | None = None) -> int:
        """See `Warehouse`."""
        return int(self._run(sql, parameters).get("ResultRows", -1))

    def run_batch(self, statements: Sequence[str | Statement]) -> None:
        """See `Warehouse`."""
        if len(statements) > MAX_BATCH:
            raise ValueError(f"a batch has at most {MAX_BATCH} statements, not {len(statements)}")
        texts: list[str] = []
        bound: list[dict[str, str]] = []
        for index, entry in enumerate(statements):
            statement = Statement(entry) if isinstance(entry, str) else entry
            text, parameters = for_data_api(statement.sql, statement.parameters, f"s{index}_")
            texts.append(text)
            bound += parameters
        request = self._where | {"Sqls": texts, "ClientToken": str(uuid.uuid4())}
        with translated("run statements in", "the warehouse"):
            answer = self._client.batch_execute_statement(
                **request, **({"Parameters": bound} if bound else {})
            )
        self._finished(answer["Id"])

    def close(self) -> None:
        """There is nothing to give back."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _run(self, sql: str, parameters: Parameters | None) -> dict[str, Any]:
        text, bound = for_data_api(sql, parameters or {}) if parameters else (sql, [])
        request = self._where | {"Sql": text, "ClientToken": str(uuid.uuid4())}
        with translated("run a statement in", "the warehouse"):
            answer = self._client.execute_statement(**request, **({"Parameters": bound} if bound else {}))
        return self._finished(answer["Id"])

    def _finished(self, statement_id: str) -> dict[str, Any]:
        """Waits for the end of a statement and returns its description. Ctrl-C cancels it."""
        try:
            return self._awaited(statement_id)
        except KeyboardInterrupt:
            with translated("cancel a statement in", "the warehouse"):
                self._client.cancel_statement(Id=statement_id)
            raise

    def _awaited(self, statement_id: str) -> dict[str, Any]:
        deadline = self._clock() + self._timeout_s
        while True:
            with translated("wait for a statement in", "the warehouse"):
                description: dict[str, Any] = self._client.describe_statement(
                    Id=statement_id, WaitTimeSeconds=WAIT_S
                )
            status = description["Status"]
            if status == "FINISHED":
                return description
            if status not in _RUNNING:
                message = _PREFIX.sub("", description.get("Error") or f"it ended as {status}")
                raise statement_error(next(iter(message.splitlines()), "no reason given"))
            if self._clock() >= deadline:
                with translated("cancel a statement in", "the warehouse"):
                    self._client.cancel_statement(Id=statement_id)
                raise WarehouseError(
                    f"A statement ran for {self._timeout_s:.0f} s and was cancelled.",
                    "Ask for less at once, or raise the time-out.",
                    exit_code=ExitCode.TIMEOUT,
                )

    def _result(self, statement_id: str) -> Result:
        columns: tuple[str, ...] = ()
        readers: list[Callable[[dict[str, Any]], Any]] = []
        rows: list[tuple[Any, ...]] = []
        token: dict[str, str] = {}
        while True:
            with translated("fetch the result from", "the warehouse"):
                page = self._client.get_statement_result(Id=statement_id, **token)
            if not readers:
                columns = tuple(column["name"] for column in page["ColumnMetadata"])
                readers = [reader(column["typeName"]) for column in page["ColumnMetadata"]]
            rows += [
                tuple(read(field) for read, field in zip(readers, record, strict=True))
                for record in page["Records"]
            ]
            if not page.get("NextToken"):
                return Result(columns, rows)
            token = {"NextToken": page["NextToken"]}


def reader(type_name: str) -> Callable[[dict[str, Any]], Any]:
    """What turns a field of this Redshift type into the value that psycopg2 would give."""
    convert = _CONVERSIONS.get(type_name.lower(), _as_it_is)

    def read(field: dict[str, Any]) -> Any:
        if field.get("isNull"):
            return None
        return convert(next(value for key, value in field.items() if key != "isNull"))

    return read


def _as_it_is(value: Any) -> Any:
    return bytes(base64.b64decode(value)) if isinstance(value, bytearray) else value


def _with_zone(value: str) -> datetime:
    moment = datetime.fromisoformat(value)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


_CONVERSIONS: dict[str, Callable[[Any], Any]] = {
    "numeric": Decimal,
    "timestamp": datetime.fromisoformat,
    "timestamptz": _with_zone,
    "date": date.fromisoformat,
}
