"""Renders sql/schema for the warehouse at hand.

The files hold what Redshift and PostgreSQL share. What only one of them understands hides in a comment that
names it, and is brought out for that one:

    -- redshift: COMPOUND SORTKEY (arrived_at)
    -- postgres: CREATE INDEX transactions_run_id ON transactions (run_id);
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

from txnpipe.assets import sql_directory
from txnpipe.sqltext import statements
from txnpipe.warehouse.interface import Dialect

_FILE_NAME = re.compile(r"(\d{3})_([a-z0-9_]+)\.sql")
_MARKED = re.compile(r"^([ \t]*)-- (redshift|postgres): ?(.*)$", re.MULTILINE)


@dataclass(frozen=True)
class Migration:
    """One file of sql/schema. The checksum is of its bytes, SHA-256 in hex."""

    version: int
    name: str
    text: str
    checksum: str

    def statements(self, dialect: Dialect) -> list[str]:
        """Its statements as this dialect wants them."""
        return statements(render(self.text, dialect))


def render(text: str, dialect: Dialect) -> str:
    """Brings out the lines that are marked for the dialect and takes out those of the other."""
    return _MARKED.sub(
        lambda match: match.group(1) + match.group(3) if match.group(2) == dialect else "", text
    )


def load(directory: Path | None = None) -> list[Migration]:
    """The migrations in order. Raises ValueError for a misnamed file, a gap or a number used twice."""
    found: list[Migration] = []
    for path in sorted((directory or sql_directory("schema")).glob("*.sql")):
        match = _FILE_NAME.fullmatch(path.name)
        if match is None:
            raise ValueError(f"{path.name} is not named NNN_name.sql")
        content = path.read_bytes()
        found.append(
            Migration(
                int(match.group(1)),
                match.group(2),
                content.decode("utf-8"),
                hashlib.sha256(content).hexdigest(),
            )
        )
    numbers = [migration.version for migration in found]
    if numbers != list(range(1, len(found) + 1)):
        raise ValueError(f"migrations must be numbered 1, 2, 3, ...; found {numbers}")
    return found
