"""The hash-key space of a stream and how shards divide it.

A partition key's MD5, read as a 128-bit unsigned integer, says which shard a record belongs to (Kinesis
Developer Guide, "Key concepts": partition key). At any moment the open shards partition the whole space.
A reshard is a list of splits and merges; this module plans it, `stream` carries it out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import md5

END = 1 << 128
"""One past the largest hash key."""

_SNAP = 1 << 64
"""Boundaries closer than this are the same boundary.

Two even partitions of the space disagree by a few units where they share a boundary, because each rounds its
own shard size down. Without tolerance a reshard from 3 to 6 shards would cut off shards one key wide.
"""


@dataclass(frozen=True)
class HashRange:
    """A shard's part of the space, both ends included, as in the API."""

    start: int
    end: int


@dataclass(frozen=True)
class Split:
    """Cut the open shard at position `index` (in order of hash keys); the right half begins at `at`."""

    index: int
    at: int


@dataclass(frozen=True)
class Merge:
    """Join the open shards at positions `index` and `index + 1`."""

    index: int


def digest(partition_key: str) -> bytes:
    """The hash key of a partition key, as 16 big-endian bytes (which order as the integer does)."""
    return md5(partition_key.encode(), usedforsecurity=False).digest()


def even_starts(count: int) -> list[int]:
    """Where `count` even shards start. AWS rounds the shard size down; the last shard takes the rest."""
    size = END // count
    return [size * i for i in range(count)]


def even_ranges(count: int) -> list[HashRange]:
    """The ranges of `count` even shards, in order."""
    return ranges_of(even_starts(count))


def ranges_of(starts: Sequence[int]) -> list[HashRange]:
    """The ranges that begin at `starts` (ascending, the first is 0) and cover the space."""
    ends = [start - 1 for start in starts[1:]] + [END - 1]
    return [HashRange(start, end) for start, end in zip(starts, ends, strict=True)]


def plan_uniform(starts: Sequence[int], target: int) -> list[Split | Merge]:
    """The splits and merges that turn the open shards into `target` even ones.

    starts: where the open shards start, ascending. Splits come first, so that only neighbours without a
    wanted boundary between them are left to merge: no step ever undoes another. As on AWS this can make
    shards that live for a moment only (API reference, UpdateShardCount). Indices count the shards open at
    that step.
    """
    current = list(starts)
    wanted = [_nearest(current, start) for start in even_starts(target)]
    steps: list[Split | Merge] = []
    for start in wanted:
        if start not in current:
            index = sum(1 for other in current if other < start) - 1
            steps.append(Split(index, start))
            current.insert(index + 1, start)
    keep = set(wanted)
    index = 1
    while index < len(current):
        if current[index] in keep:
            index += 1
        else:
            steps.append(Merge(index - 1))
            del current[index]
    return steps


def _nearest(starts: Sequence[int], wanted: int) -> int:
    """The existing boundary that `wanted` means, or `wanted` itself."""
    return next((start for start in starts if abs(start - wanted) < _SNAP), wanted)
