"""Decides what becomes of each row of a batch, given what is stored already."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from txnpipe.functions.loader.decode import ID_REUSED, Reject, Row, Table


class Settled(NamedTuple):
    """New rows to insert, the number of repeats to drop, and rows whose id belongs to another content."""

    new: list[Row]
    repeats: int
    reused: list[Reject]


def settle(table: Table, rows: list[Row], stored: Iterable[tuple[Any, ...]]) -> Settled:
    """The first of an id is new unless it is stored; a later one with equal content is a repeat.

    `stored` are the contents of the stored rows whose ids occur in `rows`.
    """
    contents = list(stored)
    if not contents and len({row.content[0] for row in rows}) == len(rows):
        return Settled(rows, 0, [])  # nearly every batch
    known: dict[str, list[tuple[Any, ...]]] = {}
    for content in contents:
        known.setdefault(content[0], []).append(table.bound(content))
    new: list[Row] = []
    repeats = 0
    reused: list[Reject] = []
    for row in rows:
        bound = table.bound(row.content)
        same_id = known.get(bound[0])
        if same_id is None:
            known[bound[0]] = [bound]
            new.append(row)
        elif not table.ids_bind or bound in same_id:
            repeats += 1
        else:
            reused.append(Reject(row.record, ID_REUSED, _difference(table, bound, same_id[0])))
    return Settled(new, repeats, reused)


def _difference(table: Table, bound: tuple[Any, ...], first: tuple[Any, ...]) -> str:
    names = table.bound(table.columns)
    differing = [name for name, value, other in zip(names, bound, first, strict=True) if value != other]
    return f"{bound[0]!a} was stored before; they differ in {', '.join(differing)}"
