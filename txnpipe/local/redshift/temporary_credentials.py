"""Temporary database credentials: `IAM:user` with a password that expires.

On Redshift these are a way to log in as `user`. Here `IAM:user` is a role of its own that may do what `user`
may and acts as `user` from its first statement on. All that ask within one life time get the same password;
asking again moves the expiry and never shortens it.
"""

from __future__ import annotations

import secrets
import threading
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from psycopg2 import sql

from txnpipe.local.files import read_json, write_json
from txnpipe.local.postgres.database import superuser
from txnpipe.local.postgres.server import PostgresServer

SHORTEST_S, LONGEST_S, DEFAULT_S = 900, 3600, 900
"""Bounds of DurationSeconds (Redshift API reference, GetClusterCredentials)."""

_ISSUING = threading.Lock()
"""Two that ask at once must get one password; and PostgreSQL refuses to change a role twice at once."""


class NoSuchUserError(Exception):
    """The database has no such user, and it was not to be made."""


@dataclass(frozen=True)
class TemporaryCredentials:
    """A login for some minutes."""

    user: str
    password: str
    expires_at: datetime


def issue(
    server: PostgresServer,
    user: str,
    now: datetime,
    duration_s: int = DEFAULT_S,
    *,
    auto_create: bool = False,
) -> TemporaryCredentials:
    """A login that acts as `user` until it expires. Raises NoSuchUserError."""
    with _ISSUING:
        return _issue(server, user, now, duration_s, auto_create=auto_create)


def _issue(
    server: PostgresServer, user: str, now: datetime, duration_s: int, *, auto_create: bool
) -> TemporaryCredentials:
    login = f"{'IAMA' if auto_create else 'IAM'}:{user}"
    file = server.directory / "temporary.json"
    known = read_json(file) or {}
    entry = known.get(login, {})
    expires_at = now + timedelta(seconds=duration_s)
    with superuser(server) as cursor:
        cursor.execute("SELECT rolname FROM pg_roles WHERE rolname IN (%s, %s)", (user, login))
        roles = {row[0] for row in cursor.fetchall()}
        if user not in roles:
            if not auto_create:
                raise NoSuchUserError(user)
            cursor.execute(sql.SQL("CREATE ROLE {} LOGIN").format(sql.Identifier(user)))
        if login not in roles:
            cursor.execute(
                sql.SQL("CREATE ROLE {} LOGIN INHERIT IN ROLE {}").format(
                    sql.Identifier(login), sql.Identifier(user)
                )
            )
        if entry and datetime.fromisoformat(entry["expires_at"]) > now:
            password = entry["password"]
            expires_at = max(expires_at, datetime.fromisoformat(entry["expires_at"]))
        else:
            password = secrets.token_urlsafe(32)
        cursor.execute(
            sql.SQL("ALTER ROLE {} PASSWORD {} VALID UNTIL {}").format(
                sql.Identifier(login), sql.Literal(password), sql.Literal(expires_at.isoformat())
            )
        )
        cursor.execute(
            sql.SQL("ALTER ROLE {} SET role TO {}").format(sql.Identifier(login), sql.Literal(user))
        )
    write_json(file, known | {login: {"password": password, "expires_at": expires_at.isoformat()}})
    return TemporaryCredentials(login, password, expires_at)


def utc_now() -> datetime:
    """The time now, in UTC."""
    return datetime.now(UTC)
