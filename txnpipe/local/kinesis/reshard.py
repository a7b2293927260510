"""Carrying out a reshard on shard documents: closing parents, making children. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from txnpipe.local.kinesis import keyspace
from txnpipe.local.kinesis.keyspace import HashRange, Merge, Split
from txnpipe.local.kinesis.model import Change, ShardDocument


class Reshard:
    """Takes the open shards (in order of hash keys) through a change.

    Afterwards `changed` holds every shard that was closed or made, `next_index` and `counter` how far shard
    indices and the stream's counter have come. Each start and each end of a shard takes a counter, so an end
    is above all the shard's records, and a child's start above its parents' ends.
    """

    def __init__(
        self, open_shards: Sequence[ShardDocument], *, next_index: int, counter: int, now: float
    ) -> None:
        self._open = list(open_shards)
        self._changed: dict[int, ShardDocument] = {}
        self._now = now
        self.next_index = next_index
        self.counter = counter

    @property
    def changed(self) -> list[ShardDocument]:
        """The shards that are no longer as they were, by index."""
        return [self._changed[index] for index in sorted(self._changed)]

    def apply(self, change: Change) -> None:
        """Carries out a change of any kind; "settle" changes no shard."""
        if change.kind == "create":
            self._open = [self._make(part, ()) for part in keyspace.even_ranges(change.target)]
        elif change.kind == "scale":
            starts = [int(shard.start_key) for shard in self._open]
            for step in keyspace.plan_uniform(starts, change.target):
                self._step(step)
        elif change.kind == "split":
            self._step(Split(self._position(change.shard), int(change.at)))
        elif change.kind == "merge":
            self._step(Merge(min(self._position(change.shard), self._position(change.other))))

    def _position(self, index: int) -> int:
        return next(position for position, shard in enumerate(self._open) if shard.index == index)

    def _step(self, step: Split | Merge) -> None:
        if isinstance(step, Split):
            parent = self._close(self._open[step.index])
            start, end = int(parent.start_key), int(parent.end_key)
            children = [
                self._make(HashRange(start, step.at - 1), (parent.index,)),
                self._make(HashRange(step.at, end), (parent.index,)),
            ]
            self._open[step.index : step.index + 1] = children
        else:
            left, right = (self._close(shard) for shard in self._open[step.index : step.index + 2])
            joined = HashRange(int(left.start_key), int(right.end_key))
            self._open[step.index : step.index + 2] = [self._make(joined, (left.index, right.index))]

    def _close(self, shard: ShardDocument) -> ShardDocument:
        self.counter += 1
        closed = replace(shard, end_counter=self.counter, closed_at=self._now)
        self._changed[shard.index] = closed
        return closed

    def _make(self, part: HashRange, parents: tuple[int, ...]) -> ShardDocument:
        self.counter += 1
        shard = ShardDocument(
            index=self.next_index,
            start_key=str(part.start),
            end_key=str(part.end),
            parents=parents,
            start_counter=self.counter,
            created_at=self._now,
        )
        self.next_index += 1
        self._changed[shard.index] = shard
        return shard
