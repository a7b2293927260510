"""The new rows of a batch as INSERT statements.

    INSERT INTO t (a, b, c) VALUES ('1','x','s'),('2','y','s'),...                           tuples
    INSERT INTO t (a, b, c) SELECT v.a,v.b,'s' FROM (VALUES ('1','x'),('2','y'),...) v (a,b)  a constant table

Tuples are what Redshift's documentation asks for: one statement with many rows. It has no constant tables
("VALUES list used as constant tables" is among its unsupported features of PostgreSQL). PostgreSQL has, and
takes half as long for one: of tuples it plans the check of each VARCHAR's length as an expression of its own,
of a table's column it plans one. A value that all rows share is then sent and read only once.

The text is built column by column. Row by row it took more of a batch's time than reading the records did.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple

from psycopg2.extensions import connection

from txnpipe.functions.loader.decode import Row, Table
from txnpipe.functions.loader.sql import Quote, names

ROWS_PER_CONSTANT_TABLE = 500
"""The memory of 1,000 is more than PostgreSQL's allocator keeps: giving back and fetching again its pages
each time, it takes a third longer a row."""

_TYPES = {Decimal: "DECIMAL(10,2)", datetime: "TIMESTAMP"}
"""What a text is read as on its way from a constant table. VARCHAR needs no word: assigned it is checked for
its length, while CAST would cut it."""


def has_constant_tables(open_connection: connection) -> bool:
    """Whether the server reads VALUES as a table: PostgreSQL since 8.2. Redshift calls itself 8.0.2."""
    return open_connection.server_version >= 80_200


def insert_rows(
    table: Table, rows: list[Row], stored_at: datetime, quote: Quote, *, constant_tables: bool
) -> list[str]:
    """The statements, one of tuples or several of constant tables. There is at least one row."""
    contents, records = zip(*rows, strict=True)
    values: list[Sequence[Any]] = list(zip(*contents, strict=True))
    values.append([record.arrived_at for record in records])
    values.append([stored_at])
    values.append([record.shard_id for record in records])
    values.append([record.sequence_number for record in records])
    columns = (*table.columns, "arrived_at", "stored_at", "shard_id", "sequence_number")
    found = [
        _column(name, value, quote, shareable=name != table.id_column)
        for name, value in zip(columns, values, strict=True)
    ]
    into = f"INSERT INTO {table.name} ({names(columns)}) "
    if not constant_tables:
        return [f"{into}VALUES {','.join(_tuples(found))}"]
    own = [column for column in found if column.shared is None]
    tuples = _tuples(own)
    select = f"{into}SELECT {','.join([column.selected for column in found])} FROM (VALUES "  # noqa: S608 - ours
    end = f") v ({names([column.name for column in own])})"
    starts = range(0, len(tuples), ROWS_PER_CONSTANT_TABLE)
    return [select + ",".join(tuples[start : start + ROWS_PER_CONSTANT_TABLE]) + end for start in starts]


class _Column(NamedTuple):
    """One column of all rows: a literal that they share, or else a value for each and its place in a tuple.

    `place` is "'%s'" where every value fits between quotes as it is, and "%s" where they are literals.
    """

    name: str
    shared: str | None
    place: str
    values: Sequence[Any]
    type: str | None

    @property
    def selected(self) -> str:
        """The column in the SELECT list over a constant table."""
        if self.shared is not None:
            return self.shared
        return f'v."{self.name}"' if self.type is None else f'CAST(v."{self.name}" AS {self.type})'


def _column(name: str, values: Sequence[Any], quote: Quote, *, shareable: bool) -> _Column:
    first = values[0]
    if shareable and values.count(first) == len(values):
        return _Column(name, _literal(first, quote), "", (), None)
    if None in values:
        present = next(value for value in values if value is not None)
        literals = [_literal(value, quote) for value in values]
        return _Column(name, None, "%s", literals, _TYPES.get(type(present)))
    kind = type(first)
    if kind is str:
        text = "".join(values)
        if "'" in text or "\\" in text:
            return _Column(name, None, "%s", [quote(value) for value in values], None)
    elif kind is datetime:
        values = [value.isoformat(" ") for value in values]
    return _Column(name, None, "'%s'", values, _TYPES.get(kind))


def _literal(value: Any, quote: Quote) -> str:
    """A value in quotes, which its column reads as its own type; None as NULL."""
    return "NULL" if value is None else quote(str(value))


def _tuples(columns: list[_Column]) -> list[str]:
    """Each row as "(literal,literal,...)"."""
    places = [
        column.place if column.shared is None else column.shared.replace("%", "%%") for column in columns
    ]
    row = f"({','.join(places)})"
    return [
        row % values
        for values in zip(*[column.values for column in columns if column.shared is None], strict=True)
    ]
