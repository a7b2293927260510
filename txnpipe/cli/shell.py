"""Environment variables in the syntax of a shell."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping


def exports(variables: Mapping[str, str], removed: Iterable[str], shell: str) -> str:
    """Lines that set `variables` and unset `removed` when the shell ("bash" or "fish") evaluates them."""
    if shell == "fish":
        lines = [f"set -gx {name} {_fish_quote(value)}" for name, value in variables.items()]
        return "\n".join([*lines, *(f"set -e {name}" for name in removed)])
    lines = [f"export {name}={shlex.quote(value)}" for name, value in variables.items()]
    return "\n".join([*lines, f"unset {' '.join(removed)}"])


def _fish_quote(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"
