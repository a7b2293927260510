"""Shards in memory, and which of them a record goes to."""

from __future__ import annotations

import threading
from bisect import bisect_right
from collections.abc import Mapping, Sequence

from txnpipe.local.kinesis import keyspace, sequence
from txnpipe.local.kinesis.keyspace import HashRange
from txnpipe.local.kinesis.limits import ShardLimits
from txnpipe.local.kinesis.model import ShardDocument


class Shard:
    """A shard in memory: its document, and what changes with every record."""

    def __init__(
        self, document: ShardDocument, limits: ShardLimits | None, tail: tuple[int, float] | None
    ) -> None:
        self.index = document.index
        self.id = sequence.shard_id(document.index)
        self.document = document
        self.range = HashRange(int(document.start_key), int(document.end_key))
        self.limits = limits
        self.last, self.peak = tail or (document.start_counter, 0.0)
        """Counter of the newest record, or of the shard's start; and the latest arrival."""
        self.trimmed = document.start_counter
        """No record at or below this counter can be read."""
        self.changed = threading.Condition()

    @property
    def open(self) -> bool:
        """Whether records still go here."""
        return self.document.end_counter is None

    def wake(self) -> None:
        """Wakes everyone who waits for this shard."""
        with self.changed:
            self.changed.notify_all()


class Routing:
    """The open shards in order of hash keys."""

    def __init__(self, shards: Sequence[Shard]) -> None:
        self.shards = sorted(shards, key=lambda shard: shard.range.start)
        self.starts = [shard.range.start for shard in self.shards]
        self._digests = [start.to_bytes(16) for start in self.starts]

    def groups(self, keys: Sequence[str], explicit: Mapping[int, int]) -> list[tuple[Shard, list[int]]]:
        """The shards that records go to, with their positions. `explicit`: hash key by position.

        None where there are no shards: the stream was deleted a moment ago.
        """
        if not self.shards:
            return []
        if len(self.shards) == 1:
            return [(self.shards[0], list(range(len(keys))))]
        groups: dict[int, list[int]] = {}
        digests = self._digests
        for position, key in enumerate(keys):
            digest = explicit[position].to_bytes(16) if position in explicit else keyspace.digest(key)
            groups.setdefault(bisect_right(digests, digest) - 1, []).append(position)
        return [(self.shards[index], positions) for index, positions in groups.items()]


def admitted(
    shard: Shard, positions: Sequence[int], sizes: Sequence[int], refused: list[tuple[int, Shard]]
) -> list[int]:
    """The positions that the shard's limits let through; the others are added to `refused`."""
    limits = shard.limits
    if limits is None:
        return list(positions)
    admitted = []
    for position in positions:
        if limits.admit(sizes[position]):
            admitted.append(position)
        else:
            refused.append((position, shard))
    return admitted
