"""What a database holds: its schemas, tables and columns, as the Data API lists them."""

from __future__ import annotations

from typing import Any

from psycopg2.extras import RealDictCursor

_DATABASES = """
    SELECT datname AS name FROM pg_database
    WHERE NOT datistemplate AND datname <> 'postgres' AND has_database_privilege(datname, 'CONNECT')
    ORDER BY 1
"""
_SCHEMAS = """
    SELECT nspname AS name FROM pg_namespace
    WHERE nspname NOT LIKE 'pg\\_toast%%' AND nspname NOT LIKE 'pg\\_temp%%' AND nspname LIKE %(schema)s
    ORDER BY 1
"""
_TABLES = """
    SELECT c.relname AS name, n.nspname AS schema,
        CASE WHEN n.nspname IN ('pg_catalog', 'information_schema') THEN 'SYSTEM ' ELSE '' END
        || CASE WHEN c.relkind IN ('v', 'm') THEN 'VIEW' ELSE 'TABLE' END AS type
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p', 'v', 'm') AND n.nspname LIKE %(schema)s AND c.relname LIKE %(table)s
        AND n.nspname NOT LIKE 'pg\\_toast%%'
    ORDER BY n.nspname, c.relname
"""
_COLUMNS = """
    SELECT a.attname AS name, n.nspname AS schema, t.typname AS type, NOT a.attnotnull AS nullable,
        pg_get_expr(d.adbin, d.adrelid) AS default_value,
        CASE WHEN t.typname IN ('varchar', 'bpchar') AND a.atttypmod > 4 THEN a.atttypmod - 4
             WHEN t.typname = 'numeric' AND a.atttypmod > 4 THEN (a.atttypmod - 4) >> 16
             ELSE 0 END AS precision,
        CASE WHEN t.typname = 'numeric' AND a.atttypmod > 4 THEN (a.atttypmod - 4) & 65535 ELSE 0 END AS scale
    FROM pg_attribute a
    JOIN pg_class c ON c.oid = a.attrelid
    JOIN pg_namespace n ON n.oid = c.relnamespace
    JOIN pg_type t ON t.oid = a.atttypid
    LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
    WHERE n.nspname = %(schema)s AND c.relname = %(table)s AND a.attnum > 0 AND NOT a.attisdropped
    ORDER BY a.attnum
"""


def databases(connection: Any) -> list[str]:
    """Names of the databases that the user may enter."""
    return [str(row["name"]) for row in _rows(connection, _DATABASES)]


def schemas(connection: Any, pattern: str) -> list[str]:
    """Names of the schemas that match a LIKE pattern."""
    return [str(row["name"]) for row in _rows(connection, _SCHEMAS, schema=pattern)]


def tables(connection: Any, schema: str, table: str) -> list[dict[str, str]]:
    """The tables and views that match LIKE patterns: name, schema, type."""
    return [dict(row) for row in _rows(connection, _TABLES, schema=schema, table=table)]


def columns(connection: Any, schema: str, table: str) -> list[dict[str, Any]]:
    """ColumnMetadata of a table's columns."""
    return [
        {
            "columnDefault": row["default_value"] or "",
            "isCaseSensitive": row["type"] in ("varchar", "bpchar", "text"),
            "isCurrency": False,
            "isSigned": row["type"] in ("int2", "int4", "int8", "float4", "float8", "numeric"),
            "label": row["name"],
            "length": row["precision"],
            "name": row["name"],
            "nullable": int(row["nullable"]),
            "precision": row["precision"],
            "scale": row["scale"],
            "schemaName": row["schema"],
            "tableName": table,
            "typeName": row["type"],
        }
        for row in _rows(connection, _COLUMNS, schema=schema, table=table)
    ]


def _rows(connection: Any, query: str, **values: str) -> list[Any]:
    with connection.cursor(cursor_factory=RealDictCursor) as cursor:
        cursor.execute(query, values)
        return list(cursor.fetchall())
