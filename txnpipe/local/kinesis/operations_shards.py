"""ListShards, SplitShard, MergeShards and UpdateShardCount."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from msgspec.structs import replace

from txnpipe.local.kinesis import sequence, tokens
from txnpipe.local.kinesis.engine import KinesisEngine
from txnpipe.local.kinesis.limits import DAY_S, MAX_STREAM_SHARDS, SCALINGS_PER_DAY
from txnpipe.local.kinesis.model import Change, StreamDocument
from txnpipe.local.kinesis.requests import invalid, page_of, stream_of
from txnpipe.local.kinesis.shard import Shard
from txnpipe.local.kinesis.stream import Stream
from txnpipe.local.part import ACCOUNT
from txnpipe.local.service import ServiceError


def shard_answer(shard: Shard) -> dict[str, Any]:
    """A shard as DescribeStream and ListShards show it."""
    document = shard.document
    numbers = {"StartingSequenceNumber": str(sequence.encode(shard.index, document.start_counter))}
    if document.end_counter is not None:
        numbers["EndingSequenceNumber"] = str(sequence.encode(shard.index, document.end_counter))
    answer: dict[str, Any] = {
        "ShardId": shard.id,
        "HashKeyRange": {"StartingHashKey": document.start_key, "EndingHashKey": document.end_key},
        "SequenceNumberRange": numbers,
    }
    for name, parent in zip(("ParentShardId", "AdjacentParentShardId"), document.parents, strict=False):
        answer[name] = sequence.shard_id(parent)
    return answer


def list_shards(engine: KinesisEngine, region: str, request: dict[str, Any]) -> dict[str, Any]:
    """ListShards: 1,000 a page unless told otherwise, with every ShardFilter."""
    now = engine.clock()
    after, shard_filter = request.get("ExclusiveStartShardId"), request.get("ShardFilter")
    if request.get("NextToken") is not None:
        clashing = ("StreamName", "StreamARN", "StreamCreationTimestamp", "ExclusiveStartShardId")
        if any(request.get(name) is not None for name in clashing):
            raise invalid("NextToken and StreamName cannot be provided together.")
        token = tokens.decode_page(request["NextToken"], now)
        stream = engine.stream(token.subject)
        after, shard_filter = token.after, token.shard_filter
    else:
        stream = stream_of(engine, region, request)
        created_at = request.get("StreamCreationTimestamp")
        if created_at is not None and int(created_at) != int(stream.document.created_at):
            raise ServiceError(
                "ResourceNotFoundException",
                f"Stream {stream.name} under account {ACCOUNT} was not created at {created_at}.",
            )
    shards = stream.shards
    if shard_filter:
        shards, filter_after = _filtered(stream, shards, shard_filter, now)
        after = after or filter_after
    shards, next_token = page_of(
        shards,
        lambda shard: shard.id,
        after=after,
        limit=request.get("MaxResults", 1000),
        subject=stream.document.arn,
        now=now,
        shard_filter=shard_filter,
    )
    answer: dict[str, Any] = {"Shards": [shard_answer(shard) for shard in shards]}
    if next_token:
        answer["NextToken"] = next_token
    return answer


def _filtered(
    stream: Stream, shards: Sequence[Shard], shard_filter: dict[str, Any], now: float
) -> tuple[list[Shard], str | None]:
    """The shards a ShardFilter leaves, and the shard id it starts after, if it does."""
    kind = shard_filter["Type"]
    named, timestamp = shard_filter.get("ShardId"), shard_filter.get("Timestamp")
    if (kind == "AFTER_SHARD_ID") != (named is not None):
        raise invalid("ShardId goes with the shard filter type AFTER_SHARD_ID, and with no other.")
    if (kind in ("AT_TIMESTAMP", "FROM_TIMESTAMP")) != (timestamp is not None):
        raise invalid(
            "Timestamp goes with the shard filter types AT_TIMESTAMP and FROM_TIMESTAMP, and with no other."
        )
    if kind == "AFTER_SHARD_ID":
        return list(shards), named
    if kind == "AT_LATEST":
        return [shard for shard in shards if shard.open], None
    horizon = max(stream.document.created_at, now - stream.document.retention_hours * 3600)
    since = max(horizon, timestamp or 0.0)
    living = [
        shard for shard in shards if shard.document.closed_at is None or shard.document.closed_at >= since
    ]
    if kind in ("FROM_TRIM_HORIZON", "FROM_TIMESTAMP"):
        return living, None
    # What was open at `since`. Before the stream's shards came to be, its first ones stand in for that.
    first = min((shard.document.created_at for shard in shards), default=since)
    at = max(since, first)
    return [
        shard
        for shard in living
        if shard.document.created_at <= at and (shard.open or (shard.document.closed_at or 0) > at)
    ], None


def split_shard(engine: KinesisEngine, region: str, request: dict[str, Any]) -> None:
    """SplitShard."""
    stream = stream_of(engine, region, request)
    shard = stream.shard(request["ShardToSplit"])
    at = int(request["NewStartingHashKey"])
    if not shard.range.start + 1 < at < shard.range.end:
        raise invalid(
            f"NewStartingHashKey {at} used in SplitShard() on shard {shard.id} in stream {stream.name} under"
            f" account {ACCOUNT} is not both greater than one plus the shard's StartingHashKey"
            f" {shard.range.start} and less than the shard's EndingHashKey {shard.range.end}."
        )

    def change(document: StreamDocument) -> StreamDocument:
        _require_provisioned(document)
        stream.require_active()
        _require_open(stream, shard)
        engine.check_shard_quota(document.region, 1)
        return replace(document, status="UPDATING", change=Change("split", shard=shard.index, at=str(at)))

    stream.update(change)


def merge_shards(engine: KinesisEngine, region: str, request: dict[str, Any]) -> None:
    """MergeShards."""
    stream = stream_of(engine, region, request)
    shard = stream.shard(request["ShardToMerge"])
    other = stream.shard(request["AdjacentShardToMerge"])

    def change(document: StreamDocument) -> StreamDocument:
        _require_provisioned(document)
        stream.require_active()
        _require_open(stream, shard)
        _require_open(stream, other)
        if not (shard.range.end + 1 == other.range.start or other.range.end + 1 == shard.range.start):
            raise invalid(
                f"Shards {shard.id} and {other.id} in stream {stream.name} under account {ACCOUNT} are not an"
                " adjacent pair of shards eligible for merging"
            )
        return replace(
            document, status="UPDATING", change=Change("merge", shard=shard.index, other=other.index)
        )

    stream.update(change)


def update_shard_count(engine: KinesisEngine, region: str, request: dict[str, Any]) -> dict[str, Any]:
    """UpdateShardCount, with the rules of its API reference. Calls are counted across restarts."""
    stream = stream_of(engine, region, request)
    target = request["TargetShardCount"]
    current = 0

    def change(document: StreamDocument) -> StreamDocument:
        nonlocal current
        _require_provisioned(document)
        stream.require_active()
        current = len(stream.open_shards)
        counts = f"Current open shard count: {current}, Target shard count: {target}"
        now = engine.clock()
        recent = tuple(at for at in document.scalings if at > now - DAY_S)
        if engine.enforce_limits and len(recent) >= SCALINGS_PER_DAY:
            raise _limit(
                f"UpdateShardCount was called {len(recent)} times on stream {stream.name} under account"
                f" {ACCOUNT} in the last 24 hours; the limit is {SCALINGS_PER_DAY}. {counts}"
            )
        if target > MAX_STREAM_SHARDS:
            raise _limit(
                "Target shard count or number of open shards cannot be greater than"
                f" {MAX_STREAM_SHARDS}. {counts}"
            )
        if target > current * 2:
            raise _limit(
                f"UpdateShardCount cannot scale up over double your current open shard count. {counts}"
            )
        if target * 2 < current:
            raise _limit(
                f"UpdateShardCount cannot scale down below half your current open shard count. {counts}"
            )
        if target > current:
            engine.check_shard_quota(document.region, target - current)
        return replace(
            document, status="UPDATING", change=Change("scale", target=target), scalings=(*recent, now)
        )

    stream.update(change)
    return {
        "StreamName": stream.name,
        "StreamARN": stream.document.arn,
        "CurrentShardCount": current,
        "TargetShardCount": target,
    }


def _limit(message: str) -> ServiceError:
    return ServiceError("LimitExceededException", message)


def _require_provisioned(document: StreamDocument) -> None:
    if document.mode != "PROVISIONED":
        raise ServiceError(
            "ValidationException",
            f"Request is invalid. Stream {document.name} under account {ACCOUNT} is in On-Demand mode.",
        )


def _require_open(stream: Stream, shard: Shard) -> None:
    if not shard.open:
        raise invalid(
            f"Shard {shard.id} in stream {stream.name} under account {ACCOUNT} is closed: it was split or"
            " merged before."
        )
