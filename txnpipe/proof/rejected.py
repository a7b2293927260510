"""Compares the rejects since a run began with the bad records that it sent on purpose.

A reject is the run's own where its payload names the run. The warehouse finds and counts them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from txnpipe.operate.rejects import Reject, count_rejects, payload_patterns, rejects_with
from txnpipe.proof.rows import portions, stored_under_any_run
from txnpipe.proof.sources import CLOCK_TOLERANCE, Sources
from txnpipe.traffic.content import content_of_transaction, digest
from txnpipe.traffic.manifest import Manifest
from txnpipe.transactions import parse
from txnpipe.warehouse.interface import Warehouse

OWN_EVENT_BYTES = 4096
"""No event that `send` writes is larger: all its fields are bounded."""
NAMED = 1000
"""So many rejects of a run are named; all are counted."""
_REJECTS_PER_QUERY = 200

Stored = Mapping[tuple[bytes, str], int]
"""Rejects of one run: (SHA-256 of the payload, reason) → copies."""


@dataclass(frozen=True)
class Planted:
    """Bad records that a run sent on purpose for one reason, and how many were rejected for that reason."""

    sent: int
    rejected: int


@dataclass(frozen=True)
class RejectProof:
    """Rejects since the run began. own: of records that this run sent, the first of own_count; explained:
    those of them that say what a stored row says; others: of other origin, only counted."""

    own: tuple[Reject, ...]
    own_count: int
    explained: int
    others: int
    by_reason: Mapping[str, int]
    planted: Mapping[str, Planted] = field(default_factory=dict)
    """By reason, the bad records that the run sent on purpose; not among `own` where rejected for it."""

    @property
    def planted_count(self) -> int:
        """Bad records that the run sent on purpose."""
        return sum(each.sent for each in self.planted.values())

    @property
    def planted_missing(self) -> int:
        """Those of them that were not rejected for the reason that they have."""
        return sum(each.sent - each.rejected for each in self.planted.values())

    @property
    def unexplained(self) -> int:
        """Own rejects that nothing explains."""
        return self.own_count - self.explained


def since_run_began(manifest: Manifest) -> datetime:
    """When the first reject of a run may have arrived, UTC without a zone."""
    return manifest.created_at.astimezone(UTC).replace(tzinfo=None) - CLOCK_TOLERANCE


def own_rejects(sources: Sources, manifest: Manifest) -> Stored:
    """The rejects whose payload names the run."""
    result = sources.warehouse.query(
        "SELECT payload_sha256, reason, COUNT(*) FROM rejected_transactions "
        "WHERE stream = :stream AND arrived_at >= :since AND payload_bytes <= :most "
        "AND (payload LIKE :p0 OR payload LIKE :p1 OR payload LIKE :p2) "
        "GROUP BY payload_sha256, reason",
        {
            "stream": sources.names.stream,
            "since": since_run_began(manifest),
            "most": OWN_EVENT_BYTES,
            **{f"p{n}": each for n, each in enumerate(payload_patterns(manifest.run_id.encode()))},
        },
    )
    return {(bytes.fromhex(str(sha256)), str(reason)): int(copies) for sha256, reason, copies in result.rows}


def rejected_as_planted(stored: Stored, bad: Mapping[bytes, str]) -> dict[bytes, int]:
    """The planted bad records that were rejected for their reason: SHA-256 → copies."""
    return {sha256: copies for (sha256, reason), copies in stored.items() if bad.get(sha256) == reason}


def prove_rejects(sources: Sources, manifest: Manifest, bad: Mapping[bytes, str]) -> RejectProof:
    """Counts the rejects since the run began and names those of the run that were not planted.

    bad: SHA-256 of every planted bad record → its reason.
    """
    stored = own_rejects(sources, manifest)
    right = rejected_as_planted(stored, bad)
    unplanned = [key for key in stored if bad.get(key[0]) != key[1]]
    own_count = sum(stored[key] for key in unplanned)
    named: list[Reject] = []
    explained = 0
    for rejects in _fetched(sources, manifest, unplanned):
        explained += _stored_already(sources.warehouse, rejects)
        named += rejects[: NAMED - len(named)]
    by_reason = count_rejects(sources.warehouse, since_run_began(manifest))
    return RejectProof(
        own=tuple(sorted(named, key=lambda each: (each.arrived_at, each.sequence_number), reverse=True)),
        own_count=own_count,
        explained=explained,
        others=sum(by_reason.values()) - own_count - sum(right.values()),
        by_reason=by_reason,
        planted=_by_reason(bad, right),
    )


def _by_reason(bad: Mapping[bytes, str], right: Mapping[bytes, int]) -> dict[str, Planted]:
    sent = Counter(bad.values())
    rejected = Counter(bad[sha256] for sha256 in right)
    return {reason: Planted(sent[reason], rejected[reason]) for reason in sorted(sent)}


def _fetched(
    sources: Sources, manifest: Manifest, keys: Sequence[tuple[bytes, str]]
) -> Iterator[list[Reject]]:
    """The rejects with these hashes and reasons, some at a time."""
    since, wanted = since_run_began(manifest), set(keys)
    hashes = sorted({sha256 for sha256, _ in keys})
    for some in portions(hashes, _REJECTS_PER_QUERY):
        found = rejects_with(sources.warehouse, [sha256.hex() for sha256 in some], since=since)
        yield [each for each in found if (bytes.fromhex(each.payload_sha256), each.reason) in wanted]


def _stored_already(warehouse: Warehouse, rejects: Sequence[Reject]) -> int:
    """How many rejects say what a stored row says: an input that was sent before, under another run_id."""
    contents = [content_of_transaction(parse(each.payload)) for each in rejects if each.reason == "id_reused"]
    stored = stored_under_any_run(warehouse, [each.transaction_id for each in contents])
    return sum(digest(each) in stored.get(each.transaction_id, ()) for each in contents)
