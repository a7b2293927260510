"""What the operations share: which stream a request means, and pages of a listing."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from txnpipe.local.kinesis import tokens
from txnpipe.local.kinesis.engine import KinesisEngine
from txnpipe.local.kinesis.model import Consumer, stream_arn
from txnpipe.local.kinesis.stream import Stream, not_found
from txnpipe.local.part import ACCOUNT
from txnpipe.local.service import ServiceError

T = TypeVar("T")

_STREAM_ARN = re.compile(
    r"(arn:aws[\w-]*:kinesis:[^:]*:(\d{12}):stream/[A-Za-z0-9_.-]+)(?:/consumer/([\w.:-]+))?"
)


def invalid(message: str) -> ServiceError:
    """An InvalidArgumentException."""
    return ServiceError("InvalidArgumentException", message)


def stream_of(engine: KinesisEngine, region: str, request: dict[str, Any]) -> Stream:
    """The stream that StreamARN or StreamName (in `region`) names; ResourceNotFoundException."""
    return find_stream(engine, region, request.get("StreamName"), request.get("StreamARN"))


def find_stream(engine: KinesisEngine, region: str, name: str | None, arn: str | None) -> Stream:
    """As `stream_of`. Where both are given they must agree."""
    if arn:
        found = _STREAM_ARN.fullmatch(arn)
        if found is None or found[3]:
            raise invalid(f"StreamARN {arn} is not the ARN of a stream.")
        if name and arn.rpartition("/")[2] != name:
            raise invalid(f"StreamARN {arn} and StreamName {name} do not name the same stream.")
        if found[2] != ACCOUNT:
            raise not_found(arn.rpartition("/")[2])
        return engine.stream(arn)
    if name:
        return engine.stream(stream_arn(region, name))
    raise invalid("Either StreamName or StreamARN must be provided.")


def resource_of(engine: KinesisEngine, arn: str) -> tuple[Stream, Consumer | None]:
    """The stream, or the stream and its consumer, that a ResourceARN names."""
    found = _STREAM_ARN.fullmatch(arn)
    if found is None:
        raise invalid(f"ResourceARN {arn} is not the ARN of a stream or of a consumer.")
    stream = engine.stream(found[1])
    if not found[3]:
        return stream, None
    for consumer in stream.document.consumers:
        if consumer.arn == arn:
            return stream, consumer
    raise ServiceError("ResourceNotFoundException", f"Consumer {arn}, account {ACCOUNT} not found.")


def page_of(
    items: Sequence[T],
    name_of: Callable[[T], str],
    *,
    after: str | None,
    limit: int,
    subject: str,
    now: float,
    shard_filter: dict[str, Any] | None = None,
) -> tuple[list[T], str | None]:
    """The items whose names come after `after`, `limit` of them, and the token for the next page if any.

    `items` are in order of their names; shard_filter: what left these of more, kept in the token.
    """
    rest = [item for item in items if after is None or name_of(item) > after]
    page = list(rest[:limit])
    if len(rest) <= limit:
        return page, None
    return page, tokens.encode(tokens.PageToken(subject, name_of(page[-1]), now, shard_filter))
