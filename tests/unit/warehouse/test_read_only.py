"""What may run without --write."""

from __future__ import annotations

import pytest

from txnpipe.errors import ExitCode, TxnpipeError
from txnpipe.warehouse.read_only import refuse_changes


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT COUNT(*) FROM transactions",
        "select 'DROP TABLE x' as \"update\" -- delete\n",
        "WITH a AS (SELECT 1) SELECT * FROM a;",
        "SHOW search_path",
        "EXPLAIN SELECT 1",
        "VALUES (1)",
    ],
)
def test_reading_is_allowed(sql: str) -> None:
    refuse_changes(sql)


@pytest.mark.parametrize(
    "sql",
    [
        "DELETE FROM transactions",
        "drop table transactions",
        "SELECT 1; DROP TABLE transactions",
        "WITH gone AS (DELETE FROM transactions RETURNING *) SELECT * FROM gone",
        "SELECT * INTO copy FROM transactions",
        "EXPLAIN ANALYZE DELETE FROM transactions",
        "/* SELECT */ TRUNCATE transactions",
        "COPY transactions FROM 's3://x'",
        "COMMIT",
        "",
        "-- nothing",
    ],
)
def test_anything_else_is_refused(sql: str) -> None:
    with pytest.raises(TxnpipeError) as refused:
        refuse_changes(sql)
    assert refused.value.exit_code is ExitCode.REFUSED
    assert "--write" in refused.value.fix
