"""Finds the files that are shipped beside the code: sql/schema, sql/rules, sql/verify."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).parent


def sql_directory(kind: str) -> Path:
    """The directory of SQL files of a kind ("schema", "rules", "verify").

    In the wheel they lie inside the package, in a source checkout beside it.
    """
    installed = _PACKAGE / "sql" / kind
    return installed if installed.is_dir() else _PACKAGE.parent / "sql" / kind
