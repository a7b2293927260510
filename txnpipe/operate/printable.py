"""Strangers' bytes as text that cannot control a terminal."""

from __future__ import annotations


def printable(data: bytes) -> str:
    """The text of `data`. Line ends and tabs stay; what else does not print, or is no UTF-8, is escaped."""
    text = data.decode(errors="backslashreplace")
    return "".join(c if c.isprintable() or c in "\n\t" else ascii(c)[1:-1] for c in text)
