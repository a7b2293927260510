"""Refuses statements that change something, before they are sent.

Where the warehouse is reached directly the transaction is READ ONLY as well. The Data API offers no such
transaction, so there this check is what there is; it errs on the side of refusing.
"""

from __future__ import annotations

from txnpipe.errors import ExitCode, TxnpipeError
from txnpipe.sqltext import bare_words, statements

READING = frozenset({"SELECT", "WITH", "SHOW", "EXPLAIN", "VALUES", "TABLE"})
CHANGING = frozenset({
    "ABORT", "ALTER", "ANALYZE", "ATTACH", "BEGIN", "CALL", "CANCEL", "CLUSTER", "COMMIT", "COPY", "CREATE",
    "DEALLOCATE", "DELETE", "DETACH", "DO", "DROP", "EXECUTE", "GRANT", "IMPORT", "INSERT", "INTO", "LOCK",
    "MERGE", "PREPARE", "REFRESH", "REINDEX", "RESET", "REVOKE", "ROLLBACK", "SET", "TRUNCATE", "UNLOAD",
    "UPDATE", "VACUUM",
})  # fmt: skip


def refuse_changes(sql: str) -> None:
    """Raises TxnpipeError (REFUSED) unless the text is one statement that only reads."""
    found = statements(sql)
    words = bare_words(sql)
    if len(found) > 1:
        cause = f"{len(found)} statements at once can do more than read."
    elif not words or words[0] not in READING:
        cause = f"{words[0].capitalize() if words else 'This'} is not a statement that only reads."
    elif changing := next((word for word in words if word in CHANGING), ""):
        cause = f"The statement says {changing}, which can change something."
    else:
        return
    raise TxnpipeError(
        cause, "Pass --write to allow changes; quote a name that only looks like one.", ExitCode.REFUSED
    )
