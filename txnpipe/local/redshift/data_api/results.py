"""Rows of finished statements, on disk, in the Data API's typed form.

One file per result: a JSON line with the columns, then one per row. A page ends before it exceeds 1 MB; its
NextToken is where in the file the next one begins.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from psycopg2.extensions import new_array_type, new_type, register_type

PAGE_BYTES = 1_000_000
"""The service's pages are at most 1 MB (Data API, considerations)."""

_TYPES = {
    16: ("bool", "booleanValue", 1, 0),
    20: ("int8", "longValue", 19, 0),
    21: ("int2", "longValue", 5, 0),
    23: ("int4", "longValue", 10, 0),
    26: ("oid", "longValue", 10, 0),
    700: ("float4", "doubleValue", 8, 8),
    701: ("float8", "doubleValue", 17, 17),
    19: ("name", "stringValue", 63, 0),
    25: ("varchar", "stringValue", 65535, 0),  # Redshift's TEXT is a VARCHAR
    1042: ("bpchar", "stringValue", 0, 0),
    1043: ("varchar", "stringValue", 0, 0),
    1082: ("date", "stringValue", 13, 0),
    1083: ("time", "stringValue", 15, 6),
    1114: ("timestamp", "stringValue", 29, 6),
    1184: ("timestamptz", "stringValue", 35, 6),
    1700: ("numeric", "stringValue", 0, 0),
    17: ("varbyte", "stringValue", 0, 0),
}
"""PostgreSQL's type numbers: Redshift's name of the type, field of the value, precision, scale."""

_NATIVE = {16, 20, 21, 23, 26, 700, 701}
_TEXT = new_type(
    tuple(oid for oid in _TYPES if oid not in _NATIVE), "DATA_API_TEXT", lambda value, _cursor: value
)
_TEXT_ARRAY = new_array_type((1231, 1115, 1182, 1185), "DATA_API_TEXT_ARRAY", _TEXT)


def read_as_text(connection: Any) -> None:
    """Makes a connection give numbers, times and the like exactly as the database writes them."""
    register_type(_TEXT, connection)
    register_type(_TEXT_ARRAY, connection)


def column_metadata(description: Iterable[Any]) -> list[dict[str, Any]]:
    """The Data API's ColumnMetadata of a psycopg2 cursor's description."""
    columns = []
    for column in description:
        type_name, _, precision, scale = _TYPES.get(column.type_code, ("varchar", "", 65535, 0))
        # psycopg2 counts the width of VARCHAR and BPCHAR in `internal_size`.
        length = column.internal_size if column.internal_size and column.internal_size > 0 else 0
        columns.append(
            {
                "isCaseSensitive": type_name in ("varchar", "bpchar", "name"),
                "isCurrency": False,
                "isSigned": type_name in ("int2", "int4", "int8", "float4", "float8", "numeric"),
                "label": column.name,
                "length": 0 if type_name in ("numeric", "timestamp", "date") else length,
                "name": column.name,
                "nullable": 1,
                "precision": column.precision
                or (length if type_name in ("varchar", "bpchar") else precision),
                "scale": column.scale or scale,
                "schemaName": "",
                "tableName": "",
                "typeName": type_name,
            }
        )
    return columns


def field_names(description: Iterable[Any]) -> list[str]:
    """For each column the member of Field that holds its values."""
    return [_TYPES.get(column.type_code, ("", "stringValue", 0, 0))[1] for column in description]


def typed_field(name: str, value: Any) -> dict[str, Any]:
    """One value as the Data API's Field."""
    if value is None:
        return {"isNull": True}
    if name == "stringValue":
        return {name: bytes(value).hex() if isinstance(value, memoryview) else str(value)}
    return {name: value}


def write(path: Path, description: Sequence[Any], rows: Iterable[Sequence[Any]]) -> tuple[int, int]:
    """Writes a result; returns the number of rows and of bytes."""
    names = field_names(description)
    count = 0
    with path.open("w", encoding="utf-8") as file:
        file.write(json.dumps(column_metadata(description)) + "\n")
        start = file.tell()
        for row in rows:
            record = [typed_field(name, value) for name, value in zip(names, row, strict=True)]
            file.write(json.dumps(record) + "\n")
            count += 1
        return count, file.tell() - start


def read_page(path: Path, token: str | None) -> tuple[list[Any], list[Any], str | None]:
    """One page: columns, records, and the token of the next page.

    Raises ValueError for a token that is not ours.
    """
    with path.open("rb") as file:
        columns = json.loads(file.readline())
        if token:
            if not token.isdigit() or not file.tell() <= int(token) <= path.stat().st_size:
                raise ValueError("the token is invalid")
            file.seek(int(token))
        records: list[Any] = []
        size = 0
        while True:
            position = file.tell()
            line = file.readline()
            if not line:
                return columns, records, None
            size += len(line)
            if size > PAGE_BYTES and records:
                return columns, records, str(position)
            records.append(json.loads(line))
