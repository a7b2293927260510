"""Brings the warehouse's tables up to sql/schema.

Every migration is one transaction with its own row in `schema_migrations`: both or neither. Two migrators at
once are kept apart by a lock on that table; whoever comes second finds the migration applied (a deliberate
division by zero ends its transaction) and goes on with the next. A file that was changed after it had been
applied is refused: tables grow by new files.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from txnpipe.errors import ExitCode, TxnpipeError
from txnpipe.warehouse.interface import Warehouse, WarehouseError
from txnpipe.warehouse.schema import Migration, load

_CREATE = """CREATE TABLE IF NOT EXISTS schema_migrations (
    version INTEGER NOT NULL,
    name VARCHAR(100) NOT NULL,
    checksum VARCHAR(64) NOT NULL,
    applied_at TIMESTAMP NOT NULL
)"""
_LOCK = "LOCK TABLE schema_migrations"
_STOP_IF_APPLIED = "SELECT 1 / (1 - COUNT(*)) FROM schema_migrations WHERE version = {version}"
_RECORD = (
    "INSERT INTO schema_migrations (version, name, checksum, applied_at)"
    " VALUES ({version}, '{name}', '{checksum}', TIMESTAMP '{now:%Y-%m-%d %H:%M:%S}')"
)
_APPLIED = "SELECT version, name, checksum FROM schema_migrations ORDER BY version"
_TABLE_EXISTS = (
    "SELECT COUNT(*) FROM information_schema.tables"
    " WHERE table_schema = 'public' AND table_name = 'schema_migrations'"
)


def pending(warehouse: Warehouse, directory: Path | None = None) -> list[Migration]:
    """The migrations still to be applied. Changes nothing.

    Raises TxnpipeError: CONFLICT when an applied file was changed or the warehouse is ahead of this program.
    """
    migrations = load(directory)
    applied = _applied(warehouse)
    known = {migration.version: migration for migration in migrations}
    for version, (name, checksum) in sorted(applied.items()):
        if version not in known:
            raise TxnpipeError(
                f"The warehouse has migration {version:03d}_{name}, which this txnpipe does not know.",
                "Use the newer txnpipe that applied it.",
                ExitCode.CONFLICT,
            )
        if checksum != known[version].checksum:
            raise TxnpipeError(
                f"sql/schema/{version:03d}_{known[version].name}.sql was changed after it had been applied.",
                "Restore the file, and put the change into a new one.",
                ExitCode.CONFLICT,
            )
    return [migration for migration in migrations if migration.version not in applied]


def apply(
    warehouse: Warehouse,
    directory: Path | None = None,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> list[Migration]:
    """Applies what is pending, in order, and returns what this call applied. Idempotent.

    Raises as `pending` does, and WarehouseError (SERVICE) when a migration fails; it is then not applied.
    """
    if not pending(warehouse, directory):
        return []
    _ensure_table(warehouse)
    done: list[Migration] = []
    for migration in pending(warehouse, directory):
        try:
            warehouse.run_batch(_batch(warehouse, migration, now()))
        except WarehouseError:
            if _applied(warehouse).get(migration.version) != (migration.name, migration.checksum):
                raise
            continue  # somebody else applied it meanwhile
        done.append(migration)
    return done


def _batch(warehouse: Warehouse, migration: Migration, now: datetime) -> list[str]:
    values = {
        "version": migration.version,
        "name": migration.name,  # [a-z0-9_]+
        "checksum": migration.checksum,  # hexadecimal
        "now": now,
    }
    return [
        _LOCK,
        _STOP_IF_APPLIED.format(**values),
        *migration.statements(warehouse.dialect),
        _RECORD.format(**values),
    ]


def _ensure_table(warehouse: Warehouse) -> None:
    try:
        warehouse.execute(_CREATE)
    except WarehouseError:
        # Two at once can collide in the catalogue in spite of IF NOT EXISTS.
        if not _table_exists(warehouse):
            raise


def _table_exists(warehouse: Warehouse) -> bool:
    return bool(warehouse.query(_TABLE_EXISTS).rows[0][0])


def _applied(warehouse: Warehouse) -> dict[int, tuple[str, str]]:
    if not _table_exists(warehouse):
        return {}
    return {version: (name, checksum) for version, name, checksum in warehouse.query(_APPLIED).rows}
