"""The rows of an input run, read from its spool in the bucket."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from txnpipe.traffic.buckets import BUCKET_SQL, BucketSums, bucket_of
from txnpipe.traffic.content import Checksum, Content, content_of_transaction
from txnpipe.traffic.runs import RunStore
from txnpipe.traffic.spool import id_of, read_part, spooled_events
from txnpipe.transactions import parse


class SpooledRows:
    """See `Expected`. Ids are the user's, so a bucket is named by the first digits of their MD5."""

    bucket_sql = BUCKET_SQL
    ids_are_ours = False

    def __init__(self, store: RunStore, run_id: str) -> None:
        self.run_id = run_id
        self._store = store

    def begin(self) -> None:
        """See `Expected`. The spool may still grow."""

    def close(self) -> None:
        """See `Expected`."""

    def count(self) -> int:
        """See `Expected`."""
        keys = self._store.part_keys(self.run_id)
        return read_part(self._store, keys[-1])[0].end if keys else 0

    def checksums(self) -> dict[str, Checksum]:
        """See `Expected`. `send` has added them up; only an unfinished run's spool is read."""
        stored = self._store.buckets(self.run_id)
        if stored is not None:
            return stored
        sums = BucketSums()
        for _, event in self._events():
            sums.add(parse(event))
        return sums.checksums()

    def members(self, buckets: Collection[str]) -> Iterator[tuple[str, dict[str, Content]]]:
        """See `Expected`. One pass over the spool for all of them; only their rows are read in full."""
        found: dict[str, dict[str, Content]] = {bucket: {} for bucket in buckets}
        for transaction_id, event in self._events():
            rows = found.get(bucket_of(transaction_id))
            if rows is not None and transaction_id not in rows:
                rows[transaction_id] = content_of_transaction(parse(event))
        yield from found.items()

    def find(self, ids: Collection[str]) -> dict[str, Content]:
        """See `Expected`. One pass over the spool for all of them."""
        wanted, found = set(ids), dict[str, Content]()
        for transaction_id, event in self._events() if wanted else ():
            if transaction_id in wanted:
                found[transaction_id] = content_of_transaction(parse(event))
                wanted.remove(transaction_id)
                if not wanted:
                    break
        return found

    def positions(self, ids: Collection[str]) -> dict[str, int]:
        """See `Expected`. One pass over the spool for all of them."""
        wanted, found = set(ids), dict[str, int]()
        for position, (transaction_id, _) in enumerate(self._events() if wanted else ()):
            if transaction_id in wanted:
                found.setdefault(transaction_id, position)
        return found

    def rejects(self) -> Mapping[bytes, str]:
        """See `Expected`. What is no transaction is not sent."""
        return {}

    def reason(self, transaction_id: str) -> None:
        """See `Expected`."""

    def planted(self) -> Mapping[str, int] | None:
        """See `Expected`. Nothing is known of what an input holds."""
        return None

    def story(self, transaction_id: str) -> None:
        """See `Expected`."""

    def _events(self) -> Iterator[tuple[str, bytes]]:
        for _, events in spooled_events(self._store, self.run_id):
            for event in events:
                yield id_of(event), event
