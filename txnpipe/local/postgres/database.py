"""What a customer has inside a server: a database, its administrator, and roles with temporary passwords.

The administrator is an ordinary role that owns the database and may make other roles. (On Redshift it is a
superuser; a superuser of PostgreSQL can read files and run programs, which is no customer's business.)
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg2
from psycopg2 import sql

from txnpipe.local.postgres.server import HOST, SUPERUSER, PostgresServer

MAINTENANCE_DATABASE = "postgres"


@contextmanager
def superuser(server: PostgresServer, database: str = MAINTENANCE_DATABASE) -> Iterator[Any]:
    """A cursor of the superuser; every statement commits by itself."""
    connection = psycopg2.connect(
        host=HOST,
        port=server.port,
        user=SUPERUSER,
        password=server.superuser_password,
        dbname=database,
        connect_timeout=10,
        application_name="txnpipe local cloud",
    )
    try:
        connection.autocommit = True
        with connection.cursor() as cursor:
            yield cursor
    finally:
        connection.close()


def provision(server: PostgresServer, database: str, admin: str, password: str) -> None:
    """Makes the administrator (or gives it this password) and the database it owns. Idempotent."""
    with superuser(server) as cursor:
        _ensure_role(cursor, admin)
        cursor.execute(
            sql.SQL("ALTER ROLE {} LOGIN CREATEDB CREATEROLE PASSWORD {}").format(
                sql.Identifier(admin), sql.Literal(password)
            )
        )
        cursor.execute(sql.SQL("GRANT pg_monitor, pg_signal_backend TO {}").format(sql.Identifier(admin)))
        cursor.execute("SELECT 1 FROM pg_database WHERE datname = %s", (database,))
        if cursor.fetchone() is None:
            cursor.execute(
                sql.SQL("CREATE DATABASE {} OWNER {}").format(sql.Identifier(database), sql.Identifier(admin))
            )
        cursor.execute(sql.SQL("REVOKE CONNECT ON DATABASE postgres, template1 FROM PUBLIC"))


def set_password(server: PostgresServer, user: str, password: str) -> None:
    """Gives an existing role another password."""
    with superuser(server) as cursor:
        cursor.execute(
            sql.SQL("ALTER ROLE {} PASSWORD {}").format(sql.Identifier(user), sql.Literal(password))
        )


def _ensure_role(cursor: Any, role: str) -> None:
    cursor.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (role,))
    if cursor.fetchone() is None:
        cursor.execute(sql.SQL("CREATE ROLE {}").format(sql.Identifier(role)))
