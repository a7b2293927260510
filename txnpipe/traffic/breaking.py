"""Turns a good record into a bad one: every way in which a small record breaks the event contract.

Each way is named by the reason for which the loader rejects the record. All records stay below 4,096 bytes,
hold no line end and keep the run's id where it can be found.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from txnpipe.transactions import MAX_DEPTH, MAX_DIGITS


def _set(name: str, value: str) -> Callable[[str], str]:
    """Gives a field another value, written as JSON."""
    field = re.compile(rf'"{name}":(?:"[^"]*"|[^,}}]*)')
    return lambda record: field.sub(lambda _: f'"{name}":{value}', record, count=1)


def _with(name: str, value: str) -> Callable[[str], str]:
    """Adds a field."""
    return lambda record: f'{record[:-1]},"{name}":{value}}}'


_WAYS: Mapping[str, Callable[[str], str]] = {
    "invalid_json": lambda record: record[:-2],
    "not_an_object": lambda record: f"[{record}]",
    "too_deep": _with("note", "[" * MAX_DEPTH + "]" * MAX_DEPTH),
    "number_too_long": _with("note", "7" * (MAX_DIGITS + 1)),
    "missing_field": _set("amount", "null"),
    "wrong_type": _set("transaction_type", "7"),
    "empty_field": _set("transaction_type", '""'),
    "too_long": _set("transaction_type", '"purchase by instalments"'),
    "control_character": _set("merchant", r'"Corner\u0000Grocery"'),
    "surrounding_space": lambda record: record.replace('"transaction_id":"', '"transaction_id":" ', 1),
    "invalid_amount": _set("amount", '"12,50"'),
    "amount_precision": _set("amount", "1.005"),
    "amount_out_of_range": _set("amount", "100000000.00"),
    "invalid_timestamp": _set("timestamp", '"2026-02-30T12:00:00Z"'),
    "timestamp_out_of_range": _set("timestamp", '"9999-12-31T23:59:59-01:00"'),
    "invalid_utf8": _set("merchant", '"Caf\udce9"'),
}

BROKEN_REASONS: tuple[str, ...] = tuple(_WAYS)
"""Every reason that `broken` can give a record; their order is part of what a manifest means."""


def broken(payload: bytes, reason: str) -> bytes:
    """The record, so that the loader rejects it for this reason. payload: as the generator makes it."""
    return _WAYS[reason](payload.decode()).encode(errors="surrogateescape")
