"""Sequence numbers: 56 decimal digits, the same length always, so that text order is number order too.

A number holds the stream's counter and the shard, laid out like AWS's own (2^185 plus fields, the last
hexadecimal digit is the version 2):

    bit 184..187  always 2
    bit 120..182  counter: one per record, and one per start and end of a shard
    bit   4..35   shard index, so that a number used on another shard can be refused with AWS's message
    bit   0..3    always 2

The counter belongs to the whole stream and only ever grows: numbers are unique in the stream, and a child
shard's are larger than its parents'. It starts from the clock once, when the stream is made, so that a stream
made again under an old name continues above it; after that the clock plays no part.
"""

from __future__ import annotations

STEP = 1 << 120
"""What two neighbouring counters of one shard differ by, as sequence numbers."""

_BASE = 2 << 184
_SHARD_SHIFT = 4
_VERSION = 2
_COUNTER_MASK = (1 << 63) - 1
_SHARD_MASK = (1 << 32) - 1


def first_counter(created_at: float) -> int:
    """The counter a stream made at `created_at` (epoch seconds) starts from: room for 2^20 numbers a ms."""
    return int(created_at * 1000) << 20


def encode(shard_index: int, counter: int) -> int:
    """The sequence number as an integer. str() of it is what the API shows."""
    return _BASE + counter * STEP + (shard_index << _SHARD_SHIFT) + _VERSION


def decode(text: str) -> tuple[int, int]:
    """(shard index, counter) of a sequence number. ValueError where it is none of ours."""
    if not (text.isascii() and text.isdigit()):
        raise ValueError(text)
    number = int(text)
    shard_index = number >> _SHARD_SHIFT & _SHARD_MASK
    counter = number >> 120 & _COUNTER_MASK
    if encode(shard_index, counter) != number:
        raise ValueError(text)
    return shard_index, counter


def shard_id(index: int) -> str:
    """The shard's name in the API."""
    return f"shardId-{index:012d}"


def shard_index(name: str) -> int | None:
    """The index in a shard's name, None where it is not a shard's name. AWS also takes the bare number."""
    digits = name.removeprefix("shardId-")
    return int(digits) if digits.isascii() and digits.isdigit() and len(digits) <= 12 else None
