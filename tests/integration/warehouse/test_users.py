"""The loader's user may do what the loader does, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.integration.warehouse.conftest import Installation, Opener
from txnpipe.local.postgres import database
from txnpipe.warehouse import Warehouse, WarehouseError, migrations
from txnpipe.warehouse.users import ensure_loader_user

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
