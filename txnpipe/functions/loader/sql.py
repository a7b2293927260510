"""The loader's statements, as text that Redshift and PostgreSQL read alike; `insert` has that of new rows.

Text is quoted by psycopg2, which knows the server's rules for backslashes, unless it holds neither a quote
nor a backslash; then quotes around it are all there is to do.

Sizes: an invocation carries at most 6 MB (Lambda), base64 and envelope included, and a record's row is
shorter than its envelope and data. So a batch always fits into Redshift's 16 MB a statement.
"""

from __future__ import annotations

import binascii
from collections.abc import Callable, Iterable
from datetime import datetime

from psycopg2.extensions import QuotedString, connection

from txnpipe.functions.loader.decode import Reject, Row, Table

PAYLOAD_BYTES = 32_768
"""Of a rejected record's payload, what is kept; its base64 fits into VARCHAR(65535)."""
DETAIL_CHARACTERS = 500
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
        f"SELECT {names(table.columns)} FROM {table.name} "  # noqa: S608
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


def names(columns: Iterable[str]) -> str:
    # "timestamp" is a reserved word of Redshift; quoting all of them is right everywhere.
    return ", ".join([f'"{name}"' for name in columns])
