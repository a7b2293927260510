"""Turns records into rows of the table that their stream belongs to, and into rejects with a reason."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any, NamedTuple

from txnpipe.functions.alerts import Alert, parse_alert
from txnpipe.functions.records import StreamRecord
from txnpipe.transactions import InvalidTransaction, Transaction, parse_values

NOT_BASE64 = "not_base64"
ID_REUSED = "id_reused"
"""The two reasons that the loader adds to `txnpipe.transactions.REASONS`."""


class Row(NamedTuple):
    """One row to be: `content` is the values of the table's content columns, the first of them the id."""

    content: tuple[Any, ...]
    record: StreamRecord


class Reject(NamedTuple):
    """One record that becomes a row of `rejected_transactions`."""

    record: StreamRecord
    reason: str
    detail: str

    @property
    def sha256(self) -> str:
        """Of the whole payload, in hexadecimal."""
        return hashlib.sha256(self.record.data).hexdigest()


@dataclass(frozen=True)
class Table:
    """One table that a stream is loaded into.

    `columns` are its content columns, the id first; `content` reads their values from one record's data.
    `ids_bind` says that two rows of one id must be equal: a transaction with another's id is a reject, while
    an alert found again a second later is the same alert. `apart_from` are columns that may differ even so.
    """

    name: str
    columns: tuple[str, ...]
    content: Callable[[bytes], tuple[Any, ...]]
    ids_bind: bool
    apart_from: frozenset[str] = frozenset()

    @property
    def id_column(self) -> str:
        return self.columns[0]

    def bound(self, content: tuple[Any, ...]) -> tuple[Any, ...]:
        """The part of a row's content that its id stands for."""
        named = zip(self.columns, content, strict=True)
        return tuple([value for name, value in named if name not in self.apart_from])


TRANSACTIONS = Table(
    "transactions",
    tuple(each.name for each in fields(Transaction)),
    parse_values,
    ids_bind=True,
    apart_from=frozenset({"run_id"}),  # the same file sent again is the same transactions
)
ALERTS = Table("alerts", Alert._fields, parse_alert, ids_bind=False)


def decode(table: Table, records: list[StreamRecord]) -> tuple[list[Row], list[Reject]]:
    """The records as rows, and those that break the contract as rejects; both in the records' order."""
    rows: list[Row] = []
    rejects: list[Reject] = []
    read = table.content
    for record in records:
        if not record.intact:
            rejects.append(Reject(record, NOT_BASE64, "the record's data in the event is not base64"))
            continue
        try:
            rows.append(Row(read(record.data), record))
        except InvalidTransaction as error:
            rejects.append(Reject(record, error.reason, error.detail))
    return rows, rejects
