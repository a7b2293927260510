"""`txnpipe sql`."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from txnpipe.cli.frame import Invocation, command
from txnpipe.errors import usage_error

if TYPE_CHECKING:
    from txnpipe.warehouse import Result, Warehouse

_WRITE_HELP = "Allow statements that change something."


@command(needs_target=True)
def sql(
    run: Invocation,
    statement: Annotated[
        str | None, typer.Argument(help="One SQL statement; - reads it from standard input.")
    ] = None,
    write: Annotated[bool, typer.Option("--write", help=_WRITE_HELP)] = False,
) -> None:
    """Ask the warehouse, with one statement or at a prompt.

    txnpipe sql "SELECT COUNT(*) FROM transactions"

    txnpipe sql "SELECT rule, COUNT(*) FROM alerts GROUP BY rule" --json

    txnpipe sql - < question.sql

    txnpipe sql                      a prompt; \\q leaves it, \\? helps

    Only reads, unless --write allows changes.
    """
    from txnpipe.warehouse import open_warehouse

    text = _statement(run, statement)
    with open_warehouse(run.target, run.settings, run.names) as warehouse:
        if text is None:
            from txnpipe.cli.sql_prompt import SqlPrompt

            SqlPrompt(run, warehouse, lambda line: run_statement(run, warehouse, line, write=write)).loop()
        else:
            run_statement(run, warehouse, text, write=write)


def _statement(run: Invocation, given: str | None) -> str | None:
    """The one statement to run; None for a prompt. Raises TxnpipeError (USAGE)."""
    from txnpipe.sqltext import statements

    fix = 'Pass one statement: txnpipe sql "SELECT COUNT(*) FROM transactions".'
    if given is None:
        if run.json or not run.environment.interactive:
            raise usage_error("There is no statement, and no terminal to ask for one.", fix)
        return None
    found = statements(run.environment.stdin.read() if given == "-" else given)
    if not found:
        raise usage_error("The statement is empty.", fix)
    if len(found) > 1:
        raise usage_error(f"These are {len(found)} statements.", "Run them one by one.")
    return found[0]


def run_statement(run: Invocation, warehouse: Warehouse, text: str, *, write: bool) -> None:
    """Runs one statement and shows what it returned or changed. Raises TxnpipeError."""
    from txnpipe.sqltext import bare_words
    from txnpipe.warehouse.read_only import READING

    began = time.monotonic()
    words = bare_words(text)
    if write and words and words[0] not in READING:
        with run.out.status("Running …"):
            changed = warehouse.execute(text)
        run.out.say(f"{words[0]}{f' {changed:,}' if changed >= 0 else ''}")
        run.out.result("sql", {"columns": [], "rows": [], "row_count": 0, "changed": max(changed, 0)})
        return
    with run.out.status("Running …"):
        result = warehouse.query(text, read_only=not write)
    _show(run, result, time.monotonic() - began)


def _show(run: Invocation, result: Result, seconds: float) -> None:
    names = unique_names(result.columns)
    run.out.result(
        "sql",
        {
            "columns": names,
            "rows": [dict(zip(names, map(_plain, row), strict=True)) for row in result.rows],
            "row_count": len(result.rows),
            "changed": 0,
        },
    )
    if not result.columns:
        return
    rows = [tuple(_cell(value) for value in row) for row in result.rows]
    numeric = [
        name
        for index, name in enumerate(names)
        if any(_is_number(row[index]) for row in result.rows) and " " not in name
    ]
    run.out.table(None, names, rows, right=" ".join(numeric))
    run.out.say(f"{len(rows):,} {'row' if len(rows) == 1 else 'rows'} in {seconds:.2f} s")


def unique_names(columns: tuple[str, ...]) -> list[str]:
    """The columns' names, those that repeat with a number: a, a_2."""
    names: list[str] = []
    for column in columns:
        name, number = column, 1
        while name in names:
            number += 1
            name = f"{column}_{number}"
        names.append(name)
    return names


def _is_number(value: Any) -> bool:
    from decimal import Decimal

    return isinstance(value, int | float | Decimal) and not isinstance(value, bool)


def _cell(value: Any) -> str:
    """A value as text in a table: exact, without thousands separators; NULL is shown as such."""
    if value is None:
        return "NULL"
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def _plain(value: Any) -> Any:
    """A value in a JSON document: what JSON has no exact form of as text (decimals, times, NaN)."""
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    return value if value is None or isinstance(value, bool | int | str) else str(value)
