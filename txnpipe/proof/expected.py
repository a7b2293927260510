"""What a run should have stored, bucket by bucket, computed from its manifest or read from its spool.

Neither holds the run in memory: checksums are built in one pass, and the rows of single buckets only where a
difference asks for them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Protocol

from txnpipe.proof.generated_rows import GeneratedRows, Story
from txnpipe.proof.spooled_rows import SpooledRows
from txnpipe.traffic.content import Checksum, Content
from txnpipe.traffic.manifest import Manifest
from txnpipe.traffic.runs import RunStore


class Expected(Protocol):
    """The rows of one run."""

    run_id: str
    bucket_sql: str
    """The bucket of a row, as an SQL expression over `transactions`."""
    ids_are_ours: bool
    """Whether no other run can have the same ids."""

    def count(self) -> int:
        """How many rows the run asks for; of an input, how many records it has."""
        ...

    def checksums(self) -> dict[str, Checksum]:
        """The checksum of every bucket. Records with the same id are counted as often as they were sent."""
        ...

    def members(self, buckets: Collection[str]) -> Iterator[tuple[str, dict[str, Content]]]:
        """The rows of these buckets, by id; of records with the same id the first one counts."""
        ...

    def find(self, ids: Collection[str]) -> dict[str, Content]:
        """Those of the rows with these ids that there are."""
        ...

    def positions(self, ids: Collection[str]) -> dict[str, int]:
        """Where in the order of sending the rows with these ids come."""
        ...

    def rejects(self) -> Mapping[bytes, str]:
        """The bad records of the run: SHA-256 of the payload → the reason to reject it for."""
        ...

    def reason(self, transaction_id: str) -> str | None:
        """Why the loader must reject the record with this id; None for a good one, and for none at all."""
        ...

    def planted(self) -> Mapping[str, int] | None:
        """The anomalies that the run planted, by rule; None where it has no labels.

        A story that the end of the run cuts off before its decisive event was not planted.
        """
        ...

    def story(self, transaction_id: str) -> Story | None:
        """The planted anomaly that a row belongs to, if any."""
        ...

    def begin(self) -> None:
        """Begins to compute what the other questions need, in worker processes where that is worth it."""
        ...

    def close(self) -> None:
        """Ends what `begin` began."""
        ...


def expected_of(store: RunStore, manifest: Manifest) -> Expected:
    """What a run should have stored; of a run without a known count, what it has sent so far."""
    if manifest.source == "generated":
        return GeneratedRows(store.with_count(manifest))
    return SpooledRows(store, manifest.run_id)
