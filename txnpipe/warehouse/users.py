"""The loader's database user: may read and add rows to the tables it fills, and nothing else.

The password comes from whoever made its secret. CREATE USER takes no parameters, so something of the password
has to stand in the statement: a hash of it (`passwords`). The password itself leaves this process in no
statement, to no log.
"""

from __future__ import annotations

import re

from txnpipe.errors import usage_error
from txnpipe.warehouse.interface import Warehouse, WarehouseError
from txnpipe.warehouse.passwords import hashed

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
            f"{verb} USER {user} PASSWORD '{hashed(warehouse.dialect, user, password)}'",
            f"GRANT USAGE ON SCHEMA public TO {user}",
            f"GRANT SELECT, INSERT ON {tables} TO {user}",
            f"GRANT SELECT, INSERT, UPDATE, DELETE ON {MUTEX} TO {user}",
        ]
    )


def retire_user(warehouse: Warehouse, user: str) -> None:
    """Takes a former loader's privileges and drops it. Idempotent; a user that is not there is fine.

    One that owns something, or was given more by others, stays in the database: without the loader's
    privileges, and for those others to remove. Raises TxnpipeError (SERVICE) from the warehouse.
    """
    if not _exists(warehouse, user):
        return
    tables = ", ".join((*LOADER_TABLES, MUTEX))
    warehouse.run_batch([f"REVOKE ALL ON {tables} FROM {user}", f"REVOKE USAGE ON SCHEMA public FROM {user}"])
    try:
        warehouse.execute(f"DROP USER {user}")
    except WarehouseError as error:
        if not _STILL_NEEDED.search(error.cause):
            raise


_STILL_NEEDED = re.compile(r"(cannot|can't) be dropped")
"""PostgreSQL: "role … cannot be dropped because some objects depend on it"; Redshift: "user … can't be
dropped because the user owns some object" (DROP USER, Redshift Database Developer Guide). The Data API gives
no SQL state."""


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
