"""`txnpipe sql`: what it shows, and how its prompt takes statements. The warehouse is a double."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pytest

from txnpipe.cli.environment import Environment
from txnpipe.cli.frame import Invocation
from txnpipe.cli.output import Output
from txnpipe.cli.sql import run_statement, unique_names
from txnpipe.cli.sql_prompt import SqlPrompt
from txnpipe.errors import TxnpipeError
from txnpipe.names import Names
from txnpipe.warehouse.interface import Dialect, Parameters, Result, Statement, statement_error
from txnpipe.warehouse.read_only import refuse_changes


class Warehouse:
    """Remembers what it was asked; fails where the statement says so."""

    dialect: Dialect = "postgres"

    def __init__(self, result: Result | None = None) -> None:
        self.asked: list[str] = []
        self._result = result or Result(("a",), [(1,)])

    def query(self, sql: str, parameters: Parameters | None = None, *, read_only: bool = False) -> Result:
        if read_only:
            refuse_changes(sql)
        self.asked.append(sql)
        if "fail" in sql:
            raise statement_error("it failed", "42601")
        if "interrupt" in sql:
            raise KeyboardInterrupt
        return self._result

    def execute(self, sql: str, parameters: Parameters | None = None) -> int:
        self.asked.append(sql)
        return 1234

    def run_batch(self, statements: Sequence[str | Statement]) -> None:
        raise AssertionError("not used")

    def close(self) -> None:
        return None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None


class Session:
    """An invocation whose streams are strings."""

    def __init__(self, typed: str = "", *, as_json: bool = False) -> None:
        self.environment = Environment(
            stdin=io.StringIO(typed),
            stdout=io.StringIO(),
            stderr=io.StringIO(),
            variables={},
            directory=Path("/nonexistent"),
        )
        out = Output(self.environment, as_json=as_json, quiet=False, color=False)
        self.run = Invocation(self.environment, out, None, {})
        self.run.__dict__["names"] = Names("default", "000000000000", "us-east-1")

    @property
    def out(self) -> str:
        assert isinstance(self.environment.stdout, io.StringIO)
        return self.environment.stdout.getvalue()

    @property
    def err(self) -> str:
        assert isinstance(self.environment.stderr, io.StringIO)
        return self.environment.stderr.getvalue()


def prompt(typed: str) -> tuple[Session, Warehouse]:
    session, warehouse = Session(typed), Warehouse()

    def execute(statement: str) -> None:
        run_statement(session.run, warehouse, statement, write=False)

    SqlPrompt(session.run, warehouse, execute).loop()
    return session, warehouse


def test_a_table_shows_values_exactly() -> None:
    session = Session()
    rows: list[tuple[Any, ...]] = [
        (1234567, Decimal("0.10"), None, True, "[red]x", datetime(2024, 12, 21, 10))
    ]
    run_statement(session.run, Warehouse(Result(tuple("abcdef"), rows)), "SELECT", write=False)
    for shown in ("1234567", "0.10", "NULL", "true", "[red]x", "2024-12-21 10:00:00"):
        assert shown in session.out
    assert "1 row in" in session.err


def test_json_keeps_decimals_and_times_as_text() -> None:
    session = Session(as_json=True)
    rows: list[tuple[Any, ...]] = [(Decimal("0.10"), datetime(2024, 12, 21, 10), 5, None)]
    run_statement(session.run, Warehouse(Result(tuple("abcd"), rows)), "SELECT", write=False)
    document = json.loads(session.out)
    assert document["rows"] == [{"a": "0.10", "b": "2024-12-21 10:00:00", "c": 5, "d": None}]


def test_columns_that_repeat_are_numbered() -> None:
    assert unique_names(("a", "b", "a", "a", "a_2")) == ["a", "b", "a_2", "a_3", "a_2_2"]


def test_a_change_says_how_many_rows_it_changed() -> None:
    session, warehouse = Session(), Warehouse()
    run_statement(session.run, warehouse, "DELETE FROM t", write=True)
    assert "DELETE 1,234" in session.err
    with pytest.raises(TxnpipeError, match="Delete"):
        run_statement(session.run, warehouse, "DELETE FROM t", write=False)
    assert warehouse.asked == ["DELETE FROM t"]


def test_a_statement_spans_lines_until_its_semicolon() -> None:
    session, warehouse = prompt("SELECT 1,\n  ';', -- not yet;\n 2;\n")
    assert warehouse.asked == ["SELECT 1,\n  ';', -- not yet;\n 2"]
    assert "txnpipe=> txnpipe-> txnpipe-> " in session.err


def test_statements_of_one_line_run_in_order_until_one_fails() -> None:
    session, warehouse = prompt("SELECT 1; SELECT fail; SELECT 2;\nSELECT 3;\n")
    assert warehouse.asked == ["SELECT 1", "SELECT fail", "SELECT 3"]
    assert "error: The warehouse refused the statement: it failed" in session.err


def test_a_change_is_refused_and_the_prompt_goes_on() -> None:
    session, warehouse = prompt("DROP TABLE t;\nSELECT 1;\n")
    assert warehouse.asked == ["SELECT 1"]
    assert "--write" in session.err


def test_ctrl_c_ends_the_statement_and_not_the_prompt() -> None:
    _, warehouse = prompt("SELECT interrupt;\nSELECT 1;\n")
    assert warehouse.asked == ["SELECT interrupt", "SELECT 1"]


@pytest.mark.parametrize("leave", ["\\q\nSELECT 1;\n", "\n\n  \n\\quit\nSELECT 1;\n", ""])
def test_leaving(leave: str) -> None:
    assert prompt(leave)[1].asked == []


def test_backslash_commands_list_tables_columns_and_help() -> None:
    session, warehouse = prompt('\\d\n\\d "alerts";\n\\?\n\\unknown\n')
    assert ["information_schema.tables" in sql for sql in warehouse.asked] == [True, False]
    assert "information_schema.columns" in warehouse.asked[1]
    assert session.err.count("leave (as does Ctrl-D)") == 2


def test_a_statement_that_is_not_finished_is_not_run() -> None:
    assert prompt("SELECT 1")[1].asked == []


def test_json_has_no_nan() -> None:
    session = Session(as_json=True)
    rows: list[tuple[Any, ...]] = [(float("nan"), float("-inf"), 0.5)]
    run_statement(session.run, Warehouse(Result(("a", "b", "c"), rows)), "SELECT", write=False)
    assert json.loads(session.out)["rows"] == [{"a": "nan", "b": "-inf", "c": 0.5}]


def test_square_brackets_in_a_column_name_are_no_markup() -> None:
    session = Session()
    run_statement(session.run, Warehouse(Result(("[/b]", "[red]y"), [(1, 2)])), "SELECT", write=False)
    assert "[/b]" in session.out
    assert "[red]y" in session.out
