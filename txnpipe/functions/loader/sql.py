"""The loader's statements, as text that Redshift and PostgreSQL read alike.

Whole statements are built here, values included, because most of a batch's time would otherwise go into
formatting it value by value. Text is quoted by psycopg2, which knows the server's rules for backslashes,
unless it holds neither a quote nor a backslash; then quotes around it are all there is to do.

Sizes: an invocation carries at most 6 MB (Lambda), base64 and envelope included, and a record's row is
shorter than its envelope and data. So a batch always fits into Redshift's 16 MB a statement.
"""

from __future__ import annotations

import binascii
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any

from psycopg2.extensions import QuotedString, connection

from txnpipe.functions.loader.decode import Reject, Row, Table

PAYLOAD_BYTES = 32_768
"""Of a rejected record's payload, what is kept; its base64 fits into VARCHAR(65535)."""
DETAIL_CHARACTERS = 500
ROWS_PER_STATEMENT = 500
"""Few statements are best for Redshift. But the memory of one with 1,000 rows is more than PostgreSQL's
allocator keeps: giving back and fetching again 2,500 pages each time, it takes half as long again a row."""

Quote = Callable[[str], str]


def quoter(open_connection: connection) -> Quote:
    """Makes SQL literals of text, by the rules of the server that the connection leads to."""

    def quote(text: str) -> str:
        if "'" not in text and "\\" not in text:
            return f"'{text}'"
        adapted = QuotedString(text)
        adapted.prepare(open_connection)
        return adapted.getquoted().decode()

    return quote


def begin(statement_timeout_ms: int) -> str:
    """Opens the transaction and waits for its turn.

    Neither SET nor LOCK takes a snapshot, so what follows sees the commit of whoever held the lock before.
    """
    return f"BEGIN;SET statement_timeout TO {statement_timeout_ms};LOCK TABLE loader_mutex;"


def commit(statements: Iterable[str], statement_timeout_ms: int) -> str:
    """The end of the transaction in one message; an error in it leaves the transaction open and failed."""
    return ";".join([f"SET statement_timeout TO {statement_timeout_ms}", *statements, "COMMIT"])


def select_stored(table: Table, rows: list[Row], since: datetime, quote: Quote) -> str:
    """The contents of stored rows that have one of the rows' ids and arrived at `since` or later."""
    ids = ",".join([quote(name) for name in dict.fromkeys([row.content[0] for row in rows])])
    return (  # names are ours, values are quoted
        f"SELECT {_names(table.columns)} FROM {table.name} "  # noqa: S608
        f"WHERE arrived_at >= '{since}' AND {table.id_column} IN ({ids})"
    )


def select_rejected(stream: str, rejects: list[Reject], quote: Quote) -> str:
    """(shard_id, sequence_number) of those rejects of a stream that are stored."""
    since = min(reject.record.arrived_at for reject in rejects)
    numbers = ",".join([quote(reject.record.sequence_number) for reject in rejects])
    return (
        "SELECT shard_id, sequence_number FROM rejected_transactions "  # noqa: S608
        f"WHERE arrived_at >= '{since}' AND stream = {quote(stream)} AND sequence_number IN ({numbers})"
    )


def insert_rows(table: Table, rows: list[Row], stored_at: datetime, quote: Quote) -> list[str]:
    """Statements of at most ROWS_PER_STATEMENT rows each."""
    columns = (*table.columns, "arrived_at", "stored_at", "shard_id", "sequence_number")
    stored = str(stored_at)
    values = []
    for content, record in rows:
        origin = (record.arrived_at, stored, record.shard_id, record.sequence_number)
        values.append(f"({_literals(content + origin, quote)})")
    insert = f"INSERT INTO {table.name} ({_names(columns)}) VALUES "  # noqa: S608 - names are ours
    starts = range(0, len(values), ROWS_PER_STATEMENT)
    return [insert + ",".join(values[start : start + ROWS_PER_STATEMENT]) for start in starts]


def insert_rejects(stream: str, rejects: list[Reject], stored_at: datetime, quote: Quote) -> str:
    """One statement for all rejects."""
    values = []
    for reject in rejects:
        record = reject.record
        payload = binascii.b2a_base64(record.data[:PAYLOAD_BYTES], newline=False).decode("ascii")
        values.append(
            f"({quote(stream)},{quote(record.shard_id)},{quote(record.sequence_number)},"
            f"{quote(reject.reason)},{quote(reject.detail[:DETAIL_CHARACTERS])},{len(record.data)},"
            f"'{reject.sha256}','{payload}','{record.arrived_at}','{stored_at}')"
        )
    return (
        "INSERT INTO rejected_transactions (stream, shard_id, sequence_number, reason, detail, "  # noqa: S608
        f"payload_bytes, payload_sha256, payload, arrived_at, stored_at) VALUES {','.join(values)}"
    )


def _literals(content: tuple[Any, ...], quote: Quote) -> str:
    """Every value as a literal in quotes, which each column reads as its own type; None as NULL."""
    literals = ["NULL" if value is None else f"'{value}'" for value in content]
    text = ",".join(literals)
    # No quotes but ours and no backslash: nothing needs escaping. Looking once is faster than value by value.
    if text.count("'") == 2 * (len(literals) - literals.count("NULL")) and "\\" not in text:
        return text
    return ",".join(["NULL" if value is None else quote(str(value)) for value in content])


def _names(columns: Iterable[str]) -> str:
    # "timestamp" is a reserved word of Redshift; quoting all of them is right everywhere.
    return ", ".join([f'"{name}"' for name in columns])
