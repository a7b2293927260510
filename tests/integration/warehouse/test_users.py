"""The loader's user may do what the loader does, and nothing else."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.integration.warehouse.conftest import Installation, Opener
from txnpipe.local.postgres import database
from txnpipe.warehouse import Warehouse, WarehouseError, migrations
from txnpipe.warehouse.users import ensure_loader_user, retire_user

PASSWORD = "Loader-Pass1"
ROW = "('r', 's', '1', 'not_json', NULL, 0, '', NULL, TIMESTAMP '2024-01-01', TIMESTAMP '2024-01-01')"


@pytest.fixture
def loader(opener: Opener, installation: Installation, fresh_database: str) -> Iterator[Warehouse]:
    with opener(fresh_database) as warehouse:
        migrations.apply(warehouse)
        ensure_loader_user(warehouse, "loader", PASSWORD)
        with installation.direct(fresh_database, "loader", PASSWORD) as loader:
            yield loader
    with database.superuser(installation.server, fresh_database) as cursor:
        cursor.execute("DROP OWNED BY loader")
        cursor.execute("DROP ROLE loader")


def test_it_locks_reads_and_inserts(loader: Warehouse) -> None:
    loader.run_batch(
        ["LOCK TABLE loader_mutex", f"INSERT INTO rejected_transactions VALUES {ROW}", "SELECT 1 FROM alerts"]
    )
    assert loader.query("SELECT COUNT(*) FROM rejected_transactions").rows == [(1,)]
    assert loader.query("SELECT COUNT(*) FROM transactions").rows == [(0,)]


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM transactions",
        "UPDATE alerts SET rule = ''",
        "TRUNCATE transactions",
        "DROP TABLE alerts",
        "SELECT * FROM schema_migrations",
        "CREATE TABLE own (a INT)",
        "CREATE USER another PASSWORD 'Another-1'",
        "COPY (SELECT 1) TO PROGRAM 'id'",
    ],
)
def test_it_may_do_nothing_else(loader: Warehouse, statement: str) -> None:
    with pytest.raises(WarehouseError) as refused:
        loader.execute(statement)
    assert refused.value.sql_state == "42501", refused.value.cause


def test_doing_it_again_changes_the_password_only(
    opener: Opener, loader: Warehouse, installation: Installation, fresh_database: str
) -> None:
    with opener(fresh_database) as warehouse:
        ensure_loader_user(warehouse, "loader", "Changed-Pass2")
    with installation.direct(fresh_database, "loader", "Changed-Pass2") as again:
        assert again.query("SELECT COUNT(*) FROM transactions").rows == [(0,)]
    with (
        installation.direct(fresh_database, "loader", PASSWORD) as stale,
        pytest.raises(WarehouseError) as refused,
    ):
        stale.query("SELECT 1")
    assert "password authentication failed" in refused.value.cause


def test_its_password_is_in_no_log(loader: Warehouse, installation: Installation) -> None:
    assert PASSWORD not in installation.server.log_file.read_text("utf-8")


def test_its_password_is_in_no_statement_that_is_kept(loader: Warehouse, installation: Installation) -> None:
    client = installation.client()
    pages = client.get_paginator("list_statements").paginate(RoleLevel=False)
    kept = json.dumps([page["Statements"] for page in pages], default=str)
    assert PASSWORD not in kept
    with database.superuser(installation.server) as cursor:
        cursor.execute("SELECT rolpassword FROM pg_authid WHERE rolname = 'loader'")
        assert cursor.fetchone()[0].startswith("SCRAM-SHA-256$4096:")


def test_a_former_user_is_locked_out_and_forgotten(
    opener: Opener, installation: Installation, fresh_database: str
) -> None:
    with opener(fresh_database) as warehouse:
        migrations.apply(warehouse)
        ensure_loader_user(warehouse, "former", PASSWORD)
        with installation.direct(fresh_database, "former", PASSWORD) as former:
            former.query("SELECT 1 FROM transactions")
            retire_user(warehouse, "former")
            retire_user(warehouse, "former")
            with pytest.raises(WarehouseError, match="permission denied"):
                former.query("SELECT 1 FROM transactions")
        assert warehouse.query("SELECT 1 FROM pg_user WHERE usename = 'former'").rows == []


def test_a_former_user_with_something_of_its_own_stays_without_the_loader_s_privileges(
    opener: Opener, installation: Installation, fresh_database: str
) -> None:
    with opener(fresh_database) as warehouse:
        migrations.apply(warehouse)
        ensure_loader_user(warehouse, "owner", PASSWORD)
        warehouse.run_batch(["CREATE SCHEMA own", "GRANT USAGE, CREATE ON SCHEMA own TO owner"])
        try:
            with installation.direct(fresh_database, "owner", PASSWORD) as owner:
                owner.execute("CREATE TABLE own.kept (a INT)")
                retire_user(warehouse, "owner")
                with pytest.raises(WarehouseError, match="permission denied"):
                    owner.query("SELECT 1 FROM transactions")
                assert owner.query("SELECT COUNT(*) FROM own.kept").rows == [(0,)]
        finally:
            with database.superuser(installation.server, fresh_database) as cursor:
                cursor.execute("DROP OWNED BY owner")
                cursor.execute("DROP ROLE owner")
