"""Shard iterators and pagination tokens: opaque text that carries a position and its time of issue.

They hold all they need, so they outlive a restart of the server, as AWS's do.
"""

from __future__ import annotations

import binascii
from base64 import b64decode, b64encode
from datetime import UTC, datetime
from typing import Any, NamedTuple, TypeVar

import msgspec

from txnpipe.local.kinesis.limits import ITERATOR_LIFETIME_S, TOKEN_LIFETIME_S
from txnpipe.local.service import ServiceError

T = TypeVar("T")


class ShardIterator(NamedTuple):
    """A place in a shard. `after`: counter; `stream_created_at` tells a stream from an earlier namesake."""

    stream_arn: str
    stream_created_at: float
    shard: int
    after: int
    issued_at: float


class PageToken(NamedTuple):
    """Where the next page of a listing starts: after the item named `after` of `subject` (an ARN, or "").

    shard_filter: the ShardFilter that the listing began with.
    """

    subject: str
    after: str
    issued_at: float
    shard_filter: dict[str, Any] | None = None


def encode(token: ShardIterator | PageToken) -> str:
    """The token as text of at most 512 characters."""
    return b64encode(msgspec.json.encode(token)).decode()


def decode_iterator(text: str, now: float) -> ShardIterator:
    """The iterator in `text`. InvalidArgumentException, ExpiredIteratorException (after five minutes)."""
    iterator = _decode(text, ShardIterator)
    if iterator is None:
        raise ServiceError("InvalidArgumentException", "Invalid ShardIterator.")
    if now - iterator.issued_at > ITERATOR_LIFETIME_S:
        raise ServiceError(
            "ExpiredIteratorException",
            f"Iterator expired. The iterator was created at time {_java_date(iterator.issued_at)} while"
            f" right now it is {_java_date(now)} which is further in the future than the tolerated delay of"
            f" {ITERATOR_LIFETIME_S * 1000} milliseconds.",
        )
    return iterator


def decode_page(text: str, now: float) -> PageToken:
    """The pagination token in `text`. InvalidArgumentException, ExpiredNextTokenException."""
    token = _decode(text, PageToken)
    if token is None:
        raise ServiceError("InvalidArgumentException", "NextToken is invalid.")
    if now - token.issued_at > TOKEN_LIFETIME_S:
        raise ServiceError(
            "ExpiredNextTokenException", "The NextToken has expired: it is valid for 300 seconds."
        )
    return token


def _decode(text: str, kind: type[T]) -> T | None:
    try:
        return msgspec.json.decode(b64decode(text, validate=True), type=kind)
    except (binascii.Error, msgspec.DecodeError, UnicodeDecodeError, ValueError):
        return None


def _java_date(timestamp: float) -> str:
    return datetime.fromtimestamp(timestamp, UTC).strftime("%a %b %d %H:%M:%S UTC %Y")
