"""One batch in one transaction: lock, ask, insert, commit.

Two round trips to the warehouse: the first message locks and asks, the second inserts and commits. Rejects,
which are rare, take a third one in between. The connection is in autocommit mode, so that BEGIN and COMMIT
travel inside these messages.

On an error the transaction stays open: whoever calls rolls it back or drops the connection.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from psycopg2.extensions import connection, cursor

from txnpipe.functions.loader import sql
from txnpipe.functions.loader.decode import Reject, Row, Table
from txnpipe.functions.loader.insert import has_constant_tables, insert_rows
from txnpipe.functions.loader.settle import Settled, settle


@dataclass(frozen=True)
class Stored:
    """What became of a batch. Times in milliseconds; `commit_ms` includes the inserts."""

    rows: int
    repeats: int
    rejects: list[Reject]
    rejects_stored: int
    ask_ms: float
    commit_ms: float


def store(
    open_connection: connection,
    table: Table,
    stream: str,
    rows: list[Row],
    rejects: list[Reject],
    *,
    window: timedelta,
    statement_timeout_ms: Callable[[], int],
    now: Callable[[], datetime],
) -> Stored:
    """Stores what is not stored yet. Raises psycopg2.Error."""
    quote = sql.quoter(open_connection)
    started = time.monotonic()
    with open_connection.cursor() as cur:
        settled = Settled([], 0, [])
        opening = sql.begin(statement_timeout_ms())
        if rows:
            since = min(row.record.arrived_at for row in rows) - window
            cur.execute(opening + sql.select_stored(table, rows, since, quote))
            settled = settle(table, rows, cur.fetchall())
            opening = ""
        all_rejects = rejects + settled.reused
        new_rejects = all_rejects
        if all_rejects:
            cur.execute(opening + sql.select_rejected(stream, all_rejects, quote))
            new_rejects = _unknown(all_rejects, cur)
        asked = time.monotonic()
        stored_at = now()  # as late as can be: the rows carry it
        statements = []
        if settled.new:
            statements += insert_rows(
                table,
                settled.new,
                stored_at,
                quote,
                constant_tables=has_constant_tables(open_connection),
            )
        if new_rejects:
            statements.append(sql.insert_rejects(stream, new_rejects, stored_at, quote))
        cur.execute(sql.commit(statements, statement_timeout_ms()))
    return Stored(
        rows=len(settled.new),
        repeats=settled.repeats,
        rejects=all_rejects,
        rejects_stored=len(new_rejects),
        ask_ms=(asked - started) * 1000,
        commit_ms=(time.monotonic() - asked) * 1000,
    )


def _unknown(rejects: list[Reject], answered: cursor) -> list[Reject]:
    known = set(answered.fetchall())
    fresh: dict[tuple[str, str], Reject] = {}
    for reject in rejects:
        key = (reject.record.shard_id, reject.record.sequence_number)
        if key not in known:
            fresh.setdefault(key, reject)
    return list(fresh.values())
