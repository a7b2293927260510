"""Records that are no transactions, as the loader put them aside: with the reason and the payload."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from txnpipe.operate.printable import printable
from txnpipe.transactions import REASONS
from txnpipe.warehouse.interface import Warehouse

MEANINGS = {
    **REASONS,
    "not_base64": "the record's data in the event is not base64",
    "id_reused": "a transaction with the same transaction_id and other content is stored",
}
"""Every reason that a reject can have: the contract's, and the two that the loader adds."""

_PAGE = 500
"""Rejects read at once: 32 KB of payload each at most, as base64."""


@dataclass(frozen=True)
class Reject:
    """One row of `rejected_transactions`; times are UTC without a zone.

    payload: the first 32 KB of the record, of payload_bytes in all. Stream, shard and sequence number are its
    identity.
    """

    stream: str
    shard_id: str
    sequence_number: str
    reason: str
    detail: str
    payload_bytes: int
    payload_sha256: str
    payload: bytes
    arrived_at: datetime
    stored_at: datetime

    @property
    def whole(self) -> bool:
        """Whether all of the payload was kept."""
        return len(self.payload) == self.payload_bytes

    @property
    def preview(self) -> str:
        """The beginning of the payload as printable text."""
        text = self.payload[:200].decode(errors="replace")
        return "".join(c if c.isprintable() else "\N{MIDDLE DOT}" for c in text)

    @property
    def text(self) -> str:
        """What is kept of the payload, safe for a terminal."""
        return printable(self.payload)


_COLUMNS = (
    "stream, shard_id, sequence_number, reason, detail, payload_bytes, payload_sha256, payload, "
    "arrived_at, stored_at"
)


def newest_rejects(
    warehouse: Warehouse,
    *,
    limit: int,
    reason: str | None = None,
    since: datetime | None = None,
    at_most_bytes: int | None = None,
) -> list[Reject]:
    """At most `limit` rejects, the last arrived first. since: of arrival, UTC without a zone."""
    conditions, parameters = _conditions(reason, since)
    parameters["limit"] = limit
    if at_most_bytes is not None:
        conditions.append("payload_bytes <= :at_most_bytes")
        parameters["at_most_bytes"] = at_most_bytes
    result = warehouse.query(
        f"SELECT {_COLUMNS} FROM rejected_transactions WHERE {' AND '.join(conditions)} "  # noqa: S608 - constants
        "ORDER BY arrived_at DESC, sequence_number LIMIT :limit",
        parameters,
    )
    return [_reject(row) for row in result.rows]


def rejects_of(
    warehouse: Warehouse, stream: str, *, reason: str | None = None, since: datetime | None = None
) -> Iterator[Reject]:
    """All rejects of a stream, the first arrived first, read page by page. since: as above."""
    conditions, parameters = _conditions(reason, since)
    conditions.append("stream = :stream")
    parameters |= {"stream": stream, "page": _PAGE}
    after = ""
    while True:
        result = warehouse.query(
            f"SELECT {_COLUMNS} FROM rejected_transactions WHERE {' AND '.join(conditions)}{after} "  # noqa: S608 - constants
            "ORDER BY arrived_at, sequence_number, shard_id LIMIT :page",
            parameters,
        )
        found = [_reject(row) for row in result.rows]
        yield from found
        if len(found) < _PAGE:
            return
        last = found[-1]
        parameters |= {"at": last.arrived_at, "sequence": last.sequence_number, "shard": last.shard_id}
        after = (
            " AND (arrived_at > :at OR (arrived_at = :at AND (sequence_number > :sequence"
            " OR (sequence_number = :sequence AND shard_id > :shard))))"
        )


def find_rejects(warehouse: Warehouse, ending: str) -> list[Reject]:
    """Rejects whose sequence number ends so, at most three."""
    result = warehouse.query(
        f"SELECT {_COLUMNS} FROM rejected_transactions "  # noqa: S608 - constants
        "WHERE RIGHT(sequence_number, :length) = :ending ORDER BY arrived_at DESC LIMIT 3",
        {"ending": ending, "length": len(ending)},
    )
    return [_reject(row) for row in result.rows]


def count_rejects(
    warehouse: Warehouse, since: datetime | None = None, reason: str | None = None
) -> dict[str, int]:
    """Rejects by reason, most frequent first."""
    conditions, parameters = _conditions(reason, since)
    result = warehouse.query(
        f"SELECT reason, COUNT(*) FROM rejected_transactions WHERE {' AND '.join(conditions)} "  # noqa: S608 - constants
        "GROUP BY reason ORDER BY COUNT(*) DESC, reason",
        parameters,
    )
    return {str(reason): int(count) for reason, count in result.rows}


def _conditions(reason: str | None, since: datetime | None) -> tuple[list[str], dict[str, object]]:
    conditions = ["1 = 1"]
    parameters: dict[str, object] = {}
    if reason is not None:
        conditions.append("reason = :reason")
        parameters["reason"] = reason
    if since is not None:
        conditions.append("arrived_at >= :since")
        parameters["since"] = since
    return conditions, parameters


def _reject(row: tuple[object, ...]) -> Reject:
    stream, shard_id, sequence, reason, detail, size, sha256, payload, arrived_at, stored_at = row
    if not isinstance(arrived_at, datetime) or not isinstance(stored_at, datetime):
        raise TypeError("arrived_at and stored_at are timestamps")
    return Reject(
        str(stream),
        str(shard_id),
        str(sequence),
        str(reason),
        str(detail or ""),
        int(str(size)),
        str(sha256),
        base64.b64decode(str(payload or "")),
        arrived_at,
        stored_at,
    )
