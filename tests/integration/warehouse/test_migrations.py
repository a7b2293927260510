"""Migrations on a real database: whole or not at all, once, also when two run at once."""

from __future__ import annotations

import itertools
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.integration.warehouse.conftest import Installation, Opener
from tests.waiting import PATIENCE_S
from txnpipe.errors import ExitCode, TxnpipeError
from txnpipe.warehouse import WarehouseError, migrations

NAMES = ["transactions", "alerts", "rejected_transactions", "loader_mutex"]


def write(directory: Path, **files: str) -> Path:
    for number, (name, text) in enumerate(sorted(files.items()), 1):
        (directory / f"{number:03d}_{name.split('_', 1)[1]}.sql").write_text(text)
    return directory


def test_everything_is_applied_once_and_recorded(opener: Opener, fresh_database: str) -> None:
    with opener(fresh_database) as warehouse:
        assert [each.name for each in migrations.pending(warehouse)] == NAMES
        now = datetime(2026, 11, 24, 5, 30, tzinfo=UTC)
        assert [each.name for each in migrations.apply(warehouse, now=lambda: now)] == NAMES
        assert migrations.apply(warehouse) == []
        assert migrations.pending(warehouse) == []
        recorded = warehouse.query("SELECT version, name, applied_at FROM schema_migrations ORDER BY 1").rows
        assert recorded == [(number, name, now.replace(tzinfo=None)) for number, name in enumerate(NAMES, 1)]
        for name in NAMES:
            assert warehouse.query(f"SELECT COUNT(*) FROM {name}").rows == [(0,)]


def test_asking_what_is_pending_changes_nothing(opener: Opener, fresh_database: str) -> None:
    with opener(fresh_database) as warehouse:
        migrations.pending(warehouse)
        tables = warehouse.query(
            "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'"
        )
    assert tables.rows == []


def test_the_local_side_gets_plain_indexes(opener: Opener, fresh_database: str) -> None:
    with opener(fresh_database) as warehouse:
        migrations.apply(warehouse)
        indexes = warehouse.query(
            "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'public' ORDER BY 1"
        ).rows
    assert {"transactions_transaction_id", "transactions_run_id", "alerts_alert_id"} <= {
        row[0] for row in indexes
    }
    assert not any("UNIQUE" in row[1] for row in indexes)


def test_two_migrators_at_once_apply_everything_once(installation: Installation, fresh_database: str) -> None:
    barrier = threading.Barrier(4)

    def migrate(opener: Opener) -> list[str]:
        with opener(fresh_database) as warehouse:
            barrier.wait(PATIENCE_S)
            return [each.name for each in migrations.apply(warehouse)]

    ways = (installation.direct, installation.direct, installation.direct, installation.data_api)
    with ThreadPoolExecutor(len(ways)) as pool:
        applied = list(pool.map(migrate, ways))
    assert sorted(itertools.chain(*applied)) == sorted(NAMES)
    with installation.direct(fresh_database) as warehouse:
        assert warehouse.query("SELECT COUNT(*) FROM schema_migrations").rows == [(4,)]


def test_a_migration_that_fails_leaves_nothing_and_is_tried_again(
    opener: Opener, fresh_database: str, tmp_path: Path
) -> None:
    write(tmp_path, a_one="CREATE TABLE one (a INT);", b_two="CREATE TABLE two (a INT); SELECT 1 / 0;")
    with opener(fresh_database) as warehouse:
        with pytest.raises(WarehouseError, match="division by zero"):
            migrations.apply(warehouse, tmp_path)
        assert [each.name for each in migrations.pending(warehouse, tmp_path)] == ["two"]
        with pytest.raises(WarehouseError, match="two"):
            warehouse.query("SELECT * FROM two")
        write(tmp_path, a_one="CREATE TABLE one (a INT);", b_two="CREATE TABLE two (a INT);")
        assert [each.name for each in migrations.apply(warehouse, tmp_path)] == ["two"]


def test_a_file_that_was_changed_afterwards_is_refused(
    installation: Installation, fresh_database: str, tmp_path: Path
) -> None:
    write(tmp_path, a_one="CREATE TABLE one (a INT);")
    with installation.direct(fresh_database) as warehouse:
        migrations.apply(warehouse, tmp_path)
        write(tmp_path, a_one="CREATE TABLE one (a BIGINT);")
        with pytest.raises(TxnpipeError, match=r"001_one\.sql was changed") as refused:
            migrations.apply(warehouse, tmp_path)
        assert refused.value.exit_code is ExitCode.CONFLICT


def test_a_warehouse_ahead_of_the_program_is_refused(
    installation: Installation, fresh_database: str, tmp_path: Path
) -> None:
    write(tmp_path, a_one="CREATE TABLE one (a INT);", b_two="CREATE TABLE two (a INT);")
    with installation.direct(fresh_database) as warehouse:
        migrations.apply(warehouse, tmp_path)
        (tmp_path / "002_two.sql").unlink()
        with pytest.raises(TxnpipeError, match="002_two, which this txnpipe does not know") as refused:
            migrations.pending(warehouse, tmp_path)
        assert refused.value.exit_code is ExitCode.CONFLICT
