"""Records that are no transactions, as the loader put them aside: with the reason and the payload."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Sequence
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
    holding: Sequence[bytes] = (),
) -> list[Reject]:
    """At most `limit` rejects, the last arrived first. since: of arrival, UTC without a zone.

    holding: only those whose payload holds one of these texts (see `payload_patterns`).
    """
    conditions, parameters = _conditions(reason, since)
    parameters["limit"] = limit
    texts = (pattern for text in holding for pattern in payload_patterns(text))
    patterns = {f"holding_{n}": pattern for n, pattern in enumerate(texts)}
    if patterns:
        conditions.append(f"({' OR '.join(f'payload LIKE :{name}' for name in patterns)})")
        parameters |= patterns
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


def rejects_with(warehouse: Warehouse, hashes: Sequence[str], *, since: datetime) -> list[Reject]:
    """The rejects that arrived then or later and whose payload has one of these SHA-256, in hexadecimal; at
    least one must be asked for."""
    result = warehouse.query(
        f"SELECT {_COLUMNS} FROM rejected_transactions "  # noqa: S608 - constants
        "WHERE arrived_at >= :since AND payload_sha256 IN :hashes ORDER BY arrived_at, sequence_number",
        {"since": since, "hashes": tuple(hashes)},
    )
    return [_reject(row) for row in result.rows]


def payload_patterns(text: bytes) -> tuple[str, str, str]:
    """LIKE patterns of which one matches the stored payload of every record that holds `text`.

    Payloads are stored in base64, which turns three bytes into four characters: what becomes of a text
    depends on whether it begins at the first, second or third of three, and at its ends on its neighbours.
    The patterns leave out those ends, at most one byte at each: who needs certainty looks at the payload.
    """
    first, second, third = (_pattern(text, before) for before in range(3))
    return first, second, third


def _pattern(text: bytes, before: int) -> str:
    encoded = base64.b64encode(b"\0" * before + text).decode()
    known_from, known_to = -(-before * 8 // 6), (before + len(text)) * 8 // 6
    return f"%{encoded[known_from:known_to]}%"


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
