"""sql/schema: what it declares, and that Redshift and PostgreSQL would both read it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import sqlglot
from sqlglot import exp

from txnpipe.sqltext import bare_words
from txnpipe.warehouse.interface import Dialect
from txnpipe.warehouse.schema import load, render

FIRST_FOUR = [
    ("transaction_id", "VARCHAR(50)"),
    ("amount", "DECIMAL(10, 2)"),
    ("transaction_type", "VARCHAR(20)"),
    ("timestamp", "TIMESTAMP"),
]
CONTRACT = {
    "transactions": [
        *FIRST_FOUR,
        ("account_id", "VARCHAR(50)"),
        ("merchant", "VARCHAR(100)"),
        ("country", "VARCHAR(10)"),
        ("currency", "VARCHAR(10)"),
        ("run_id", "VARCHAR(50)"),
        ("arrived_at", "TIMESTAMP"),
        ("stored_at", "TIMESTAMP"),
        ("shard_id", "VARCHAR(30)"),
        ("sequence_number", "VARCHAR(60)"),
    ],
    "alerts": [
        ("alert_id", "VARCHAR(120)"),
        ("rule", "VARCHAR(50)"),
        ("transaction_id", "VARCHAR(50)"),
        ("account_id", "VARCHAR(50)"),
        ("amount", "DECIMAL(10, 2)"),
        ("event_time", "TIMESTAMP"),
        ("detected_at", "TIMESTAMP"),
        ("run_id", "VARCHAR(50)"),
        ("detail", "VARCHAR(1000)"),
        ("arrived_at", "TIMESTAMP"),
        ("stored_at", "TIMESTAMP"),
        ("shard_id", "VARCHAR(30)"),
        ("sequence_number", "VARCHAR(60)"),
    ],
    "rejected_transactions": [
        ("stream", "VARCHAR(128)"),
        ("shard_id", "VARCHAR(30)"),
        ("sequence_number", "VARCHAR(60)"),
        ("reason", "VARCHAR(50)"),
        ("detail", "VARCHAR(500)"),
        ("payload_bytes", "INTEGER"),
        ("payload_sha256", "VARCHAR(64)"),
        ("payload", "VARCHAR(65535)"),
        ("arrived_at", "TIMESTAMP"),
        ("stored_at", "TIMESTAMP"),
    ],
}


def parsed(dialect: Dialect) -> list[Any]:
    return [
        sqlglot.parse_one(statement, read=dialect, error_level=sqlglot.ErrorLevel.RAISE)
        for migration in load()
        for statement in migration.statements(dialect)
    ]


def tables(dialect: Dialect) -> dict[str, Any]:
    return {
        tree.this.this.name: tree
        for tree in parsed(dialect)
        if isinstance(tree, exp.Create) and tree.kind == "TABLE"
    }


@pytest.mark.parametrize("dialect", ["redshift", "postgres"])
def test_every_statement_parses_in_its_dialect(dialect: Dialect) -> None:
    for tree in parsed(dialect):
        assert isinstance(tree, exp.Create), tree


@pytest.mark.parametrize("dialect", ["redshift", "postgres"])
@pytest.mark.parametrize("table", sorted(CONTRACT))
def test_tables_have_the_columns_that_loader_and_proof_rely_on(dialect: Dialect, table: str) -> None:
    columns = [
        (
            column.name,
            column.kind.sql(dialect="redshift").replace("INT", "INTEGER").replace("INTEGEREGER", "INTEGER"),
        )
        for column in tables(dialect)[table].find_all(exp.ColumnDef)
    ]
    assert columns == CONTRACT[table]


def test_redshift_sorts_by_arrival_and_has_no_indexes() -> None:
    for name in CONTRACT:
        rendered = tables("redshift")[name].sql(dialect="redshift")
        assert "COMPOUND SORTKEY(arrived_at)" in rendered, rendered
    assert not any(tree.kind == "INDEX" for tree in parsed("redshift") if isinstance(tree, exp.Create))


def test_no_key_is_enforced_anywhere_since_redshift_enforces_none() -> None:
    dialects: tuple[Dialect, ...] = ("redshift", "postgres")
    for dialect in dialects:
        words = {word for each in load() for text in each.statements(dialect) for word in bare_words(text)}
        assert not words & {"PRIMARY", "UNIQUE", "REFERENCES", "FOREIGN", "CHECK"}


def test_postgresql_sees_nothing_of_redshifts_own() -> None:
    for migration in load():
        text = " ".join(migration.statements("postgres")).upper()
        assert not {"DISTKEY", "SORTKEY", "ENCODE", "DISTSTYLE"} & set(text.replace("(", " ").split())


def test_a_marked_line_is_brought_out_for_its_dialect_only() -> None:
    text = (
        "CREATE TABLE t (a INT)\n-- redshift: DISTKEY (a)\n;\n"
        "  -- postgres: CREATE INDEX i ON t (a);\n-- kept"
    )
    assert render(text, "redshift") == "CREATE TABLE t (a INT)\nDISTKEY (a)\n;\n\n-- kept"
    assert render(text, "postgres") == "CREATE TABLE t (a INT)\n\n;\n  CREATE INDEX i ON t (a);\n-- kept"


@pytest.mark.parametrize(
    "names",
    [["1_a.sql"], ["001_A.sql"], ["002_a.sql"], ["001_a.sql", "003_b.sql"], ["001_a.sql", "001_b.sql"]],
)
def test_misnamed_missing_and_repeated_numbers_are_refused(tmp_path: Path, names: list[str]) -> None:
    for name in names:
        (tmp_path / name).write_text("SELECT 1")
    with pytest.raises(ValueError):
        load(tmp_path)


def test_the_checksum_is_of_the_bytes(tmp_path: Path) -> None:
    (tmp_path / "001_a.sql").write_text("SELECT 1;")
    before = load(tmp_path)[0].checksum
    (tmp_path / "001_a.sql").write_text("SELECT 1; ")
    assert load(tmp_path)[0].checksum != before
