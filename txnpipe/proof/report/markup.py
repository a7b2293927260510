"""Elements of HTML and SVG. Text is escaped unless an element made it: there is no way around."""

from __future__ import annotations

import html
from collections.abc import Mapping

_EMPTY = frozenset({"meta", "circle", "line", "polyline", "rect"})


class Markup(str):
    """Text that is markup already."""

    __slots__ = ()


def element(name: str, attributes: Mapping[str, object] | None = None, *children: object) -> Markup:
    """One element. Children that are no Markup become text; None is left out, of attributes as well."""
    given = "".join(
        f' {key}="{text(value)}"' for key, value in (attributes or {}).items() if value is not None
    )
    if name in _EMPTY:
        return Markup(f"<{name}{given}/>")
    return Markup(f"<{name}{given}>{join(*children)}</{name}>")


def join(*children: object) -> Markup:
    """Elements and texts, one after the other."""
    return Markup("".join(text(child) for child in children if child is not None))


def text(value: object) -> str:
    """A value as it may stand in an element or in a quoted attribute.

    What does not print is a backslash sequence: no document may hold some of it, and what turns the direction
    of writing would make one id look like another.
    """
    if isinstance(value, Markup):
        return value
    given = str(value)
    if not given.isprintable():
        given = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in given)
    return html.escape(given)
