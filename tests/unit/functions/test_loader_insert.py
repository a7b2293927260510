"""The text of the INSERT statements, without a database."""

from __future__ import annotations

import re
from datetime import datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from txnpipe.functions.loader.decode import TRANSACTIONS, Row, Table
from txnpipe.functions.loader.insert import has_constant_tables, insert_rows
from txnpipe.functions.records import StreamRecord

ARRIVED = datetime(2026, 1, 1)
STORED = datetime(2026, 1, 1, 0, 0, 1, 250_000)
TABLE = Table("t", ("id", "amount", "timestamp", "note"), lambda data: (data,), ids_bind=True)
FORMS = pytest.mark.parametrize("constant_tables", [False, True], ids=["tuples", "constant table"])


def record(number: int = 0) -> StreamRecord:
    return StreamRecord("shardId-000000000000", str(10**55 + number), ARRIVED, b"x", intact=True)


def quote(text: str) -> str:
    """By the rules of SQL, where a backslash is a character like any other."""
    return "'" + text.replace("'", "''") + "'"


ROWS = [
    Row(("a", Decimal("-1.50"), datetime(1, 2, 3, 4, 5, 6, 7), None), record(1)),
    Row(("b", Decimal("0.00"), datetime(9999, 12, 31), "100%"), record(2)),
]
COLUMNS = '"id", "amount", "timestamp", "note", "arrived_at", "stored_at", "shard_id", "sequence_number"'


def test_tuples_hold_every_value() -> None:
    assert insert_rows(TABLE, ROWS, STORED, quote, constant_tables=False) == [
        f"INSERT INTO t ({COLUMNS}) VALUES "
        "('a','-1.50','0001-02-03 04:05:06.000007',NULL,'2026-01-01 00:00:00',"
        f"'2026-01-01 00:00:01.250000','shardId-000000000000','{10**55 + 1}'),"
        "('b','0.00','9999-12-31 00:00:00','100%','2026-01-01 00:00:00',"
        f"'2026-01-01 00:00:01.250000','shardId-000000000000','{10**55 + 2}')"
    ]


def test_a_constant_table_holds_what_differs() -> None:
    assert insert_rows(TABLE, ROWS, STORED, quote, constant_tables=True) == [
        f"INSERT INTO t ({COLUMNS}) SELECT "
        'v."id",CAST(v."amount" AS DECIMAL(10,2)),CAST(v."timestamp" AS TIMESTAMP),v."note",'
        "'2026-01-01 00:00:00','2026-01-01 00:00:01.250000','shardId-000000000000',v.\"sequence_number\""
        " FROM (VALUES "
        f"('a','-1.50','0001-02-03 04:05:06.000007',NULL,'{10**55 + 1}'),"
        f"('b','0.00','9999-12-31 00:00:00','100%','{10**55 + 2}')"
        ') v ("id", "amount", "timestamp", "note", "sequence_number")'
    ]


def test_a_single_row_still_has_a_table() -> None:
    (statement,) = insert_rows(TABLE, ROWS[:1], STORED, quote, constant_tables=True)
    assert statement.endswith(" FROM (VALUES ('a')) v (\"id\")")


@pytest.mark.parametrize(("version", "expected"), [(80_002, False), (80_200, True), (180_004, True)])
def test_the_servers_version_tells_whether_it_has_constant_tables(version: int, expected: bool) -> None:
    class Connection:
        server_version = version

    connection: Any = Connection()
    assert has_constant_tables(connection) is expected


def numbered(count: int) -> list[Row]:
    return [Row((f"id-{n}", Decimal(n), "p", ARRIVED, *[None] * 5), record(n)) for n in range(count)]


@pytest.mark.parametrize(("constant_tables", "rows"), [(False, [1201]), (True, [500, 500, 201])])
def test_tuples_are_one_statement_and_constant_tables_have_five_hundred_rows(
    constant_tables: bool, rows: list[int]
) -> None:
    statements = insert_rows(TRANSACTIONS, numbered(1201), STORED, quote, constant_tables=constant_tables)
    assert [statement.count("'id-") for statement in statements] == rows
    assert [int(number) for number in re.findall(r"'id-(\d+)'", "".join(statements))] == list(range(1201))


@FORMS
@pytest.mark.parametrize("text", ["'", "a','b", "\\", "\\'", "''"])
def test_text_that_could_end_a_literal_is_left_to_the_driver(text: str, constant_tables: bool) -> None:
    rows = [Row((text, None), record(1)), Row(("b", text), record(2))]
    table = Table("t", ("id", "note"), lambda data: (data,), ids_bind=True)
    (statement,) = insert_rows(table, rows, STORED, lambda text: f"<{text}>", constant_tables=constant_tables)
    assert f"(<{text}>,NULL," in statement
    assert f"(<b>,<{text}>," in statement


VALUES = st.none() | st.text(alphabet="ab'\\,()%s ", max_size=6)


@FORMS
@given(st.lists(st.tuples(VALUES, VALUES), min_size=1, max_size=6))
def test_no_text_leaves_its_literal(
    constant_tables: bool, values: list[tuple[str | None, str | None]]
) -> None:
    """Read back by the rules of SQL, every value is what it was, in its row and column."""
    rows = [Row((f"{n}", *pair), record(n)) for n, pair in enumerate(values)]
    table = Table("t", ("id", "x", "y"), lambda data: (data,), ids_bind=True)
    (statement,) = insert_rows(table, rows, STORED, quote, constant_tables=constant_tables)
    assert [row[1:3] for row in read_back(statement)] == values


def read_back(statement: str) -> list[tuple[str | None, ...]]:
    """The rows that a statement of either form inserts, read word by word."""
    words = re.findall(r"""'(?:[^']|'')*'|"[^"]*"|\w+|[^\s\w]""", statement)
    at = words.index("VALUES") + 1
    tuples: list[list[str]] = []
    while words[at : at + 1] == ["("]:
        end = words.index(")", at)
        tuples.append(words[at + 1 : end : 2])
        at = end + 2 if words[end + 1 : end + 2] == [","] else end + 1
    if "SELECT" in words:
        selected = words[words.index("SELECT") + 1 : words.index("FROM")]
        own = words[at + 3 : -1 : 2]
        listed = [word for word in selected if word[0] in "'\"" or word == "NULL"]
        tuples = [[row[own.index(word)] if word in own else word for word in listed] for row in tuples]
    return [
        tuple(None if word == "NULL" else word[1:-1].replace("''", "'") for word in row) for row in tuples
    ]
