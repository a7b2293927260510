"""What everybody above may ask of a warehouse, whichever way it is reached."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Literal, Protocol, Self

from txnpipe.errors import ExitCode, TxnpipeError

Dialect = Literal["redshift", "postgres"]
Parameters = Mapping[str, object]
"""Values of the `:name` parameters: str, int, bool, Decimal, datetime (naive, UTC), date, None, or a
non-empty tuple of these where the SQL says `IN :name`."""

MAX_BATCH = 40
"""Statements of one batch (Redshift Data API)."""


@dataclass(frozen=True)
class Result:
    """Rows of a query. Values are str, int, float, bool, Decimal, datetime (naive, UTC), date or None."""

    columns: tuple[str, ...]
    rows: list[tuple[Any, ...]]


@dataclass(frozen=True)
class Statement:
    """One statement of a batch and its parameters."""

    sql: str
    parameters: Parameters = field(default_factory=dict)


class WarehouseError(TxnpipeError):
    """The warehouse refused a statement or could not be reached.

    sql_state: the five characters of the SQL standard ("42P01"), "" where the way there does not tell them
    (the Data API).
    """

    def __init__(
        self,
        cause: str,
        fix: str,
        *,
        sql_state: str = "",
        exit_code: ExitCode = ExitCode.SERVICE,
        details: tuple[str, ...] = (),
    ) -> None:
        super().__init__(cause, fix, exit_code, details=details)
        self.sql_state = sql_state


class Warehouse(Protocol):
    """A warehouse that takes SQL as the administrator. Every call stands alone: it commits or raises.

    All raise WarehouseError (SERVICE; TIMEOUT when a statement takes too long).
    """

    @property
    def dialect(self) -> Dialect:
        """What it says it is: Redshift, or the PostgreSQL that stands in for it."""
        ...

    def query(self, sql: str, parameters: Parameters | None = None, *, read_only: bool = False) -> Result:
        """Runs one statement and returns its rows (none for a statement without a result).

        read_only: refuse whatever changes something; the database itself refuses, too, where it is reached
        directly.
        """
        ...

    def execute(self, sql: str, parameters: Parameters | None = None) -> int:
        """Runs one statement; returns the number of rows it changed, -1 where that means nothing."""
        ...

    def run_batch(self, statements: Sequence[str | Statement]) -> None:
        """Runs up to 40 statements in one transaction: all of them or none."""
        ...

    def close(self) -> None:
        """Gives the connection back."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


def dialect_of(version: str) -> Dialect:
    """The dialect behind an answer of `SELECT version()`: Redshift names itself after PostgreSQL 8.0.2."""
    return "redshift" if "redshift" in version.lower() else "postgres"


def statement_error(message: str, sql_state: str = "", details: tuple[str, ...] = ()) -> WarehouseError:
    """The error of a refused statement. `message` is the database's own, one line, without the statement."""
    exit_code = ExitCode.TIMEOUT if sql_state == "57014" else ExitCode.SERVICE
    state = f" (SQL state {sql_state})" if sql_state else ""
    return WarehouseError(
        f"The warehouse refused the statement: {message.strip().rstrip('.')}{state}.",
        _fix(message, sql_state),
        sql_state=sql_state,
        exit_code=exit_code,
        details=details,
    )


def _fix(message: str, sql_state: str) -> str:
    if sql_state in _FIXES:
        return _FIXES[sql_state]
    if sql_state[:2] in _FIXES:
        return _FIXES[sql_state[:2]]
    if "does not exist" in message and "relation" in message:
        return _FIXES["42P01"]
    if "permission denied" in message:
        return _FIXES["42501"]
    return "Correct the statement, then run it again."


_FIXES = {
    "42P01": "Check the name; the pipeline's own tables come with txnpipe setup.",
    "42501": "Use the warehouse's administrator, or ask for the privilege.",
    "25006": "Pass --write to change data.",
    "57014": "Ask for less at once, or raise the time-out.",
    "40": "Run the same command again: another transaction was in the way.",
    "28": "Run txnpipe setup: it repairs users and passwords.",
    "53": "Wait until the warehouse has less to do or more room, then run the same command again.",
    "08": "Run the same command again.",
    "57": "Run the same command again.",
}
