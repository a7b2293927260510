"""The loader's database user: may read and add rows to the tables it fills, and nothing else.

The password comes from whoever made its secret. CREATE USER takes no parameters, so the password has to stand
in the statement: it is therefore restricted to letters, digits and a few marks that need no quoting, and no
error that leaves here holds the statement.
"""

from __future__ import annotations

import re

from txnpipe.errors import usage_error
from txnpipe.warehouse.interface import Warehouse

LOADER_TABLES = ("transactions", "alerts", "rejected_transactions")
MUTEX = "loader_mutex"

_USER = re.compile(r"[a-z_][a-z0-9_]{0,62}")
_PASSWORD = re.compile(r"[A-Za-z0-9!#$%&()*+,.:;<=>?^_{|}~-]{8,64}")
"""Redshift: 8-64 printable ASCII characters without quotes, backslash, slash, at sign and blank."""


def ensure_loader_user(warehouse: Warehouse, user: str, password: str) -> None:
    """Makes the user, or gives it this password, and its privileges. Idempotent; the tables must exist.

    Locking the empty mutex table needs more than INSERT on Redshift, so the loader may also delete from it:
    there is never anything to delete.
    Raises TxnpipeError: USAGE for a name or password that Redshift refuses, SERVICE from the warehouse.
    """
    if not _USER.fullmatch(user):
        raise usage_error(
            f"{user!r} cannot be a database user.", "Use lower-case letters, digits and underscores."
        )
    if not acceptable(password):
        raise usage_error(
            f"The password for {user} does not meet Redshift's rules.",
            "Use 8-64 characters: upper case, lower case and a digit at least, no quotes, no blanks.",
        )
    verb = "ALTER" if _exists(warehouse, user) else "CREATE"
    tables = ", ".join(LOADER_TABLES)
    warehouse.run_batch(
        [
            f"{verb} USER {user} PASSWORD '{password}'",
            f"GRANT USAGE ON SCHEMA public TO {user}",
            f"GRANT SELECT, INSERT ON {tables} TO {user}",
            f"GRANT SELECT, INSERT, UPDATE, DELETE ON {MUTEX} TO {user}",
        ]
    )


def acceptable(password: str) -> bool:
    """Whether Redshift takes it, and it needs no quoting."""
    return bool(
        _PASSWORD.fullmatch(password)
        and re.search(r"[A-Z]", password)
        and re.search(r"[a-z]", password)
        and re.search(r"\d", password)
    )


def _exists(warehouse: Warehouse, user: str) -> bool:
    found = warehouse.query("SELECT usename FROM pg_user WHERE usename = :name", {"name": user})
    return bool(found.rows)
