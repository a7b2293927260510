"""Streams themselves: create, delete, describe, list, and their settings."""

from __future__ import annotations

from typing import Any, Literal

from msgspec.structs import replace

from txnpipe.local.kinesis import limits, sequence, tokens
from txnpipe.local.kinesis.engine import KinesisEngine
from txnpipe.local.kinesis.limits import (
    DAY_S,
    KEY_CHANGES_PER_DAY,
    MAX_RETENTION_HOURS,
    MIN_RETENTION_HOURS,
    MODE_SWITCHES_PER_DAY,
)
from txnpipe.local.kinesis.model import Change, StreamDocument
from txnpipe.local.kinesis.operations_shards import shard_answer
from txnpipe.local.kinesis.operations_tags import check_tags
from txnpipe.local.kinesis.requests import invalid, page_of, stream_of
from txnpipe.local.kinesis.stream import Stream
from txnpipe.local.part import ACCOUNT
from txnpipe.local.service import ServiceError

_SETTLE = Change("settle")
_ALL_METRICS = (
    "IncomingBytes",
    "IncomingRecords",
    "IteratorAgeMilliseconds",
    "OutgoingBytes",
    "OutgoingRecords",
    "ReadProvisionedThroughputExceeded",
    "WriteProvisionedThroughputExceeded",
)


def create_stream(engine: KinesisEngine, region: str, request: dict[str, Any]) -> None:
    """CreateStream, in both modes. An on-demand stream gets its first shards and keeps them."""
    mode = request.get("StreamModeDetails", {}).get("StreamMode", "PROVISIONED")
    count = request.get("ShardCount")
    if mode == "ON_DEMAND" and count is not None:
        raise ServiceError(
            "ValidationException", "ShardCount must not be given for a stream in ON_DEMAND mode."
        )
    if mode == "PROVISIONED" and count is None:
        raise ServiceError(
            "ValidationException",
            "1 validation error detected: Value null at 'shardCount' failed to satisfy constraint: Member"
            " must not be null",
        )
    _refuse_on_demand_features(request)
    tags = request.get("Tags") or {}
    check_tags(request["StreamName"], {}, tags)
    now = round(engine.clock(), 3)
    engine.create(
        StreamDocument(
            name=request["StreamName"],
            region=region,
            created_at=now,
            status="CREATING",
            change=Change("create", target=count or limits.ON_DEMAND_SHARDS),
            counter_reserved=sequence.first_counter(now),
            mode=mode,
            max_record_kib=request.get("MaxRecordSizeInKiB", 1024),
            tags=tags,
        )
    )


def _refuse_on_demand_features(request: dict[str, Any]) -> None:
    if request.get("WarmThroughputMiBps") is not None:
        raise ServiceError(
            "ValidationException",
            "WarmThroughputMiBps needs an on-demand stream in an account with"
            " MinimumThroughputBillingCommitment.",
        )
    if request.get("RecordDistributionStrategy") == "AUTO":
        raise invalid("The record distribution strategy AUTO is not supported: use USER_PARTITION_KEY.")


def delete_stream(engine: KinesisEngine, region: str, request: dict[str, Any]) -> None:
    """DeleteStream. Consumers must be gone, or EnforceConsumerDeletion given."""
    stream = stream_of(engine, region, request)

    def change(document: StreamDocument) -> StreamDocument:
        stream.require_active()
        if document.consumers and not request.get("EnforceConsumerDeletion"):
            raise ServiceError(
                "ResourceInUseException",
                f"Stream {stream.name} under account {ACCOUNT} has registered consumers. Deregister them,"
                " or set EnforceConsumerDeletion.",
            )
        return replace(document, status="DELETING", change=Change("delete"))

    stream.update(change)


def describe_stream(engine: KinesisEngine, region: str, request: dict[str, Any]) -> dict[str, Any]:
    """DescribeStream: 100 shards a page unless told otherwise."""
    stream = stream_of(engine, region, request)
    shards, more = page_of(
        stream.shards,
        lambda shard: shard.id,
        after=request.get("ExclusiveStartShardId"),
        limit=request.get("Limit", 100),
        subject=stream.document.arn,
        now=engine.clock(),
    )
    return {
        "StreamDescription": {
            **_description(stream),
            "Shards": [shard_answer(shard) for shard in shards],
            "HasMoreShards": more is not None,
        }
    }


def describe_stream_summary(engine: KinesisEngine, region: str, request: dict[str, Any]) -> dict[str, Any]:
    """DescribeStreamSummary."""
    stream = stream_of(engine, region, request)
    return {
        "StreamDescriptionSummary": {
            **_description(stream),
            "OpenShardCount": len(stream.open_shards),
            "ConsumerCount": len(stream.document.consumers),
            "MaxRecordSizeInKiB": stream.document.max_record_kib,
        }
    }


def _description(stream: Stream) -> dict[str, Any]:
    document = stream.document
    answer = {
        "StreamName": document.name,
        "StreamARN": document.arn,
        "StreamStatus": document.status,
        "StreamModeDetails": {"StreamMode": document.mode},
        "RetentionPeriodHours": document.retention_hours,
        "StreamCreationTimestamp": document.created_at,
        "EnhancedMonitoring": [{"ShardLevelMetrics": list(document.metrics)}],
        "EncryptionType": "KMS" if document.kms_key else "NONE",
    }
    if document.kms_key:
        answer["KeyId"] = document.kms_key
    return answer


def list_streams(engine: KinesisEngine, region: str, request: dict[str, Any]) -> dict[str, Any]:
    """ListStreams: 100 a page unless told otherwise, continued by name or by token."""
    after = request.get("ExclusiveStartStreamName")
    if request.get("NextToken") is not None:
        after = tokens.decode_page(request["NextToken"], engine.clock()).after
    streams, token = page_of(
        engine.streams(region),
        lambda stream: stream.name,
        after=after,
        limit=request.get("Limit", 100),
        subject="",
        now=engine.clock(),
    )
    answer: dict[str, Any] = {
        "StreamNames": [stream.name for stream in streams],
        "HasMoreStreams": token is not None,
        "StreamSummaries": [
            {
                "StreamName": stream.name,
                "StreamARN": stream.document.arn,
                "StreamStatus": stream.document.status,
                "StreamModeDetails": {"StreamMode": stream.document.mode},
                "StreamCreationTimestamp": stream.document.created_at,
            }
            for stream in streams
        ],
    }
    if token:
        answer["NextToken"] = token
    return answer


def describe_limits(engine: KinesisEngine, region: str, request: dict[str, Any]) -> dict[str, Any]:
    """DescribeLimits of the account in a region."""
    del request
    on_demand = [stream for stream in engine.streams(region) if stream.document.mode == "ON_DEMAND"]
    return {
        "ShardLimit": engine.settings.shard_quota,
        "OpenShardCount": engine.open_shard_count(region),
        "OnDemandStreamCount": len(on_demand),
        "OnDemandStreamCountLimit": engine.settings.on_demand_quota,
    }


def update_stream_mode(engine: KinesisEngine, region: str, request: dict[str, Any]) -> None:
    """UpdateStreamMode: twice in 24 hours at most (API reference)."""
    stream = stream_of(engine, region, request)
    if request.get("WarmThroughputMiBps") is not None:
        _refuse_on_demand_features(request)
    mode = request["StreamModeDetails"]["StreamMode"]

    def change(document: StreamDocument) -> StreamDocument:
        stream.require_active()
        if document.mode == mode:
            raise invalid(f"Stream {stream.name} under account {ACCOUNT} is already in mode {mode}.")
        now = engine.clock()
        recent = tuple(at for at in document.mode_switches if at > now - DAY_S)
        if engine.enforce_limits and len(recent) >= MODE_SWITCHES_PER_DAY:
            raise ServiceError(
                "LimitExceededException",
                f"The mode of stream {stream.name} under account {ACCOUNT} was switched {len(recent)}"
                f" times in the last 24 hours; the limit is {MODE_SWITCHES_PER_DAY}.",
            )
        if mode == "ON_DEMAND":
            engine.check_on_demand_quota(region)
        return replace(document, status="UPDATING", change=_SETTLE, mode=mode, mode_switches=(*recent, now))

    stream.update(change)


def increase_retention(engine: KinesisEngine, region: str, request: dict[str, Any]) -> None:
    """IncreaseStreamRetentionPeriod: what has expired stays expired."""
    _change_retention(engine, region, request, "longer")


def decrease_retention(engine: KinesisEngine, region: str, request: dict[str, Any]) -> None:
    """DecreaseStreamRetentionPeriod: older records become inaccessible at once."""
    _change_retention(engine, region, request, "shorter")


def _change_retention(
    engine: KinesisEngine, region: str, request: dict[str, Any], way: Literal["longer", "shorter"]
) -> None:
    stream = stream_of(engine, region, request)
    hours = request["RetentionPeriodHours"]
    if hours < MIN_RETENTION_HOURS:
        raise invalid(
            f"Minimum allowed retention period is {MIN_RETENTION_HOURS} hours. Requested retention period"
            f" ({hours} hours) is too short."
        )
    if hours > MAX_RETENTION_HOURS:
        raise invalid(
            f"Maximum allowed retention period is {MAX_RETENTION_HOURS} hours. Requested retention period"
            f" ({hours} hours) is too long."
        )

    def change(document: StreamDocument) -> StreamDocument:
        stream.require_active()
        existing = document.retention_hours
        against = "shorter" if way == "longer" else "longer"
        if (hours < existing) if way == "longer" else (hours > existing):
            api = "DecreaseRetentionPeriod" if way == "longer" else "IncreaseRetentionPeriod"
            raise invalid(
                f"Requested retention period ({hours} hours) for stream {stream.name} can not be {against}"
                f" than existing retention period ({existing} hours). Use {api} API."
            )
        return replace(document, status="UPDATING", change=_SETTLE, retention_hours=hours)

    if way == "longer":
        stream.trim()
    stream.update(change)
    if way == "shorter":
        stream.trim()


def update_max_record_size(engine: KinesisEngine, region: str, request: dict[str, Any]) -> None:
    """UpdateMaxRecordSize."""
    stream = stream_of(engine, region, request)

    def change(document: StreamDocument) -> StreamDocument:
        stream.require_active()
        return replace(
            document, status="UPDATING", change=_SETTLE, max_record_kib=request["MaxRecordSizeInKiB"]
        )

    stream.update(change)


def start_encryption(engine: KinesisEngine, region: str, request: dict[str, Any]) -> None:
    """StartStreamEncryption: recorded and shown; the file on disk is protected by its mode alone."""
    if request["EncryptionType"] != "KMS":
        raise invalid("EncryptionType must be KMS to start encryption.")
    _set_key(engine, stream_of(engine, region, request), request["KeyId"])


def stop_encryption(engine: KinesisEngine, region: str, request: dict[str, Any]) -> None:
    """StopStreamEncryption."""
    if request["EncryptionType"] != "KMS":
        raise invalid("EncryptionType must be KMS to stop encryption.")
    _set_key(engine, stream_of(engine, region, request), None)


def _set_key(engine: KinesisEngine, stream: Stream, key: str | None) -> None:
    def change(document: StreamDocument) -> StreamDocument:
        stream.require_active()
        now = engine.clock()
        calls = document.key_starts if key else document.key_stops
        recent = tuple(at for at in calls if at > now - DAY_S)
        if engine.enforce_limits and len(recent) >= KEY_CHANGES_PER_DAY:
            raise ServiceError(
                "LimitExceededException",
                f"Encryption of stream {stream.name} under account {ACCOUNT} was"
                f" {'given a key' if key else 'stopped'} {len(recent)} times in the last 24 hours; the limit"
                f" is {KEY_CHANGES_PER_DAY}.",
            )
        counted = (*recent, now)
        return replace(
            document,
            status="UPDATING",
            change=_SETTLE,
            kms_key=key,
            key_starts=counted if key else document.key_starts,
            key_stops=document.key_stops if key else counted,
        )

    stream.update(change)


def enable_monitoring(engine: KinesisEngine, region: str, request: dict[str, Any]) -> dict[str, Any]:
    """EnableEnhancedMonitoring: the choice is kept; no metrics are published."""
    return _monitor(stream_of(engine, region, request), lambda current, named: current | named, request)


def disable_monitoring(engine: KinesisEngine, region: str, request: dict[str, Any]) -> dict[str, Any]:
    """DisableEnhancedMonitoring."""
    return _monitor(stream_of(engine, region, request), lambda current, named: current - named, request)


def _monitor(stream: Stream, combine: Any, request: dict[str, Any]) -> dict[str, Any]:
    named = set(request["ShardLevelMetrics"])
    if "ALL" in named:
        named = set(_ALL_METRICS)
    before: tuple[str, ...] = ()

    def change(document: StreamDocument) -> StreamDocument:
        nonlocal before
        stream.require_active()
        before = document.metrics
        return replace(document, metrics=tuple(sorted(combine(set(before), named))))

    stream.update(change)
    return {
        "StreamName": stream.name,
        "StreamARN": stream.document.arn,
        "CurrentShardLevelMetrics": list(before),
        "DesiredShardLevelMetrics": list(stream.document.metrics),
    }
