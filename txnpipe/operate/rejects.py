"""Records that are no transactions, as the loader put them aside: with the reason and the payload."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from datetime import datetime

from txnpipe.operate.printable import printable
from txnpipe.warehouse.interface import Warehouse


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
    conditions = ["1 = 1"]
    parameters: dict[str, object] = {"limit": limit}
    if reason is not None:
        conditions.append("reason = :reason")
        parameters["reason"] = reason
    if since is not None:
        conditions.append("arrived_at >= :since")
        parameters["since"] = since
    if at_most_bytes is not None:
        conditions.append("payload_bytes <= :at_most_bytes")
        parameters["at_most_bytes"] = at_most_bytes
    result = warehouse.query(
        f"SELECT {_COLUMNS} FROM rejected_transactions WHERE {' AND '.join(conditions)} "  # noqa: S608 - constants
        "ORDER BY arrived_at DESC, sequence_number LIMIT :limit",
        parameters,
    )
    return [_reject(row) for row in result.rows]


def find_reject(warehouse: Warehouse, sequence_number: str) -> Reject | None:
    """The reject with this sequence number."""
    result = warehouse.query(
        f"SELECT {_COLUMNS} FROM rejected_transactions WHERE sequence_number = :sequence",  # noqa: S608 - constants
        {"sequence": sequence_number},
    )
    return _reject(result.rows[0]) if result.rows else None


def count_rejects(warehouse: Warehouse, since: datetime | None = None) -> dict[str, int]:
    """Rejects by reason, most frequent first."""
    condition = "" if since is None else "WHERE arrived_at >= :since "
    result = warehouse.query(
        f"SELECT reason, COUNT(*) FROM rejected_transactions {condition}"  # noqa: S608 - constants
        "GROUP BY reason ORDER BY COUNT(*) DESC, reason",
        {} if since is None else {"since": since},
    )
    return {str(reason): int(count) for reason, count in result.rows}


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
