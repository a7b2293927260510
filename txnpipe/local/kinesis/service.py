"""The Kinesis API: `X-Amz-Target: Kinesis_20131202.OPERATION`, JSON 1.1."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson

from txnpipe.local.kinesis import (
    operations_consumers as consumers,
)
from txnpipe.local.kinesis import (
    operations_records as records,
)
from txnpipe.local.kinesis import (
    operations_shards as shards,
)
from txnpipe.local.kinesis import (
    operations_streams as streams,
)
from txnpipe.local.kinesis import (
    operations_tags as tags,
)
from txnpipe.local.kinesis.engine import KinesisEngine
from txnpipe.local.kinesis.validation import operations, validate
from txnpipe.local.service import Request, Response, ServiceError

TARGET_PREFIX = "Kinesis_20131202."

_JSON_ONLY = (
    "The local cloud's Kinesis speaks JSON only. Set AWS_CBOR_ENABLED=false (AWS SDK for Java 2) or"
    " AWS_CBOR_DISABLE=true (version 1)."
)

Operation = Callable[[KinesisEngine, str, dict[str, Any]], dict[str, Any] | None]

OPERATIONS: dict[str, Operation] = {
    "AddTagsToStream": tags.add_tags,
    "CreateStream": streams.create_stream,
    "DecreaseStreamRetentionPeriod": streams.decrease_retention,
    "DeleteResourcePolicy": tags.delete_policy,
    "DeleteStream": streams.delete_stream,
    "DeregisterStreamConsumer": consumers.deregister_consumer,
    "DescribeLimits": streams.describe_limits,
    "DescribeStream": streams.describe_stream,
    "DescribeStreamConsumer": consumers.describe_consumer,
    "DescribeStreamSummary": streams.describe_stream_summary,
    "DisableEnhancedMonitoring": streams.disable_monitoring,
    "EnableEnhancedMonitoring": streams.enable_monitoring,
    "GetRecords": records.get_records,
    "GetResourcePolicy": tags.get_policy,
    "GetShardIterator": records.get_shard_iterator,
    "IncreaseStreamRetentionPeriod": streams.increase_retention,
    "ListShards": shards.list_shards,
    "ListStreamConsumers": consumers.list_consumers,
    "ListStreams": streams.list_streams,
    "ListTagsForResource": tags.list_resource_tags,
    "ListTagsForStream": tags.list_tags,
    "MergeShards": shards.merge_shards,
    "PutRecord": records.put_record,
    "PutResourcePolicy": tags.put_policy,
    "RegisterStreamConsumer": consumers.register_consumer,
    "RemoveTagsFromStream": tags.remove_tags,
    "SplitShard": shards.split_shard,
    "StartStreamEncryption": streams.start_encryption,
    "StopStreamEncryption": streams.stop_encryption,
    "SubscribeToShard": consumers.subscribe_to_shard,
    "TagResource": tags.tag_resource,
    "UntagResource": tags.untag_resource,
    "UpdateMaxRecordSize": streams.update_max_record_size,
    "UpdateShardCount": shards.update_shard_count,
    "UpdateStreamMode": streams.update_stream_mode,
}
"""Everything but PutRecords, which has a path of its own from bytes to bytes."""


class KinesisService:
    """Answers Kinesis requests from an engine."""

    def __init__(self, engine: KinesisEngine) -> None:
        self._engine = engine

    def claims(self, method: str, path: str, target: str) -> bool:
        """Whether the request is for Kinesis."""
        del method, path
        return target.startswith(TARGET_PREFIX)

    def handle(self, request: Request) -> Response:
        """Answers one request; ServiceError is the typed error."""
        if "cbor" in request.headers.get("content-type", ""):
            raise ServiceError("SerializationException", _JSON_ONLY)
        name = request.target.removeprefix(TARGET_PREFIX)
        if name == "PutRecords":
            return Response(200, records.put_records(self._engine, request.region, request.body))
        operation = OPERATIONS.get(name)
        if operation is None:
            raise _not_offered(name)
        body = _parse(request.body)
        validate(name, body)
        # null counts as absent, so that no operation needs to tell the two apart.
        body = {key: value for key, value in body.items() if value is not None}
        self._check_rate(name, request.region, body)
        answer = operation(self._engine, request.region, body)
        return Response(200, b"" if answer is None else orjson.dumps(answer))

    def _check_rate(self, name: str, region: str, body: dict[str, Any]) -> None:
        if not self._engine.enforce_limits:
            return
        stream = str(body.get("StreamARN") or body.get("StreamName") or "").rpartition("/")[2]
        if not self._engine.rates.admit(name, region, stream):
            raise ServiceError("LimitExceededException", f"Rate exceeded for {name} in region {region}.")


def _parse(body: bytes) -> dict[str, Any]:
    try:
        parsed = orjson.loads(body or b"{}")
    except orjson.JSONDecodeError as error:
        raise ServiceError("SerializationException", f"The request is not JSON: {error}") from error
    if not isinstance(parsed, dict):
        raise ServiceError("SerializationException", "Expected structure or null")
    return parsed


def _not_offered(name: str) -> ServiceError:
    if name in operations():
        return ServiceError(
            "UnsupportedOperationException", f"The local cloud does not offer the Kinesis operation {name}."
        )
    return ServiceError("UnknownOperationException", f"Kinesis has no operation {name!r}.")
