"""Enhanced fan-out consumers: registered and listed, so that clients and `DeleteStream` behave as on AWS.

Reading through them (SubscribeToShard, an HTTP/2 event stream) is not offered: the pipeline polls.
"""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from txnpipe.local.kinesis import limits, tokens
from txnpipe.local.kinesis.engine import KinesisEngine
from txnpipe.local.kinesis.model import Consumer, StreamDocument
from txnpipe.local.kinesis.operations_tags import check_tags
from txnpipe.local.kinesis.requests import invalid, page_of, resource_of, stream_of
from txnpipe.local.kinesis.stream import Stream
from txnpipe.local.part import ACCOUNT
from txnpipe.local.service import ServiceError


def register_consumer(engine: KinesisEngine, region: str, request: dict[str, Any]) -> dict[str, Any]:
    """RegisterStreamConsumer."""
    stream = stream_of(engine, region, request)
    name, tags = request["ConsumerName"], request.get("Tags") or {}
    check_tags(stream.name, {}, tags)
    now = round(engine.clock(), 3)
    arn = f"{stream.document.arn}/consumer/{name}:{int(now)}"
    consumer = Consumer(name=name, arn=arn, status="CREATING", created_at=now, tags=tags)

    def change(document: StreamDocument) -> StreamDocument:
        stream.require_usable()
        if any(other.name == name for other in document.consumers):
            raise ServiceError(
                "ResourceInUseException",
                f"Consumer {name} under stream {stream.name}, account {ACCOUNT} already exists.",
            )
        creating = sum(1 for other in document.consumers if other.status == "CREATING")
        if len(document.consumers) >= limits.MAX_CONSUMERS or creating >= limits.MAX_CREATING_CONSUMERS:
            raise ServiceError(
                "LimitExceededException",
                f"Stream {stream.name} under account {ACCOUNT} can have {limits.MAX_CONSUMERS} consumers, and"
                f" {limits.MAX_CREATING_CONSUMERS} of them in state CREATING.",
            )
        return replace(document, consumers=(*document.consumers, consumer))

    stream.update(change)
    return {"Consumer": _answer(consumer)}


def deregister_consumer(engine: KinesisEngine, region: str, request: dict[str, Any]) -> None:
    """DeregisterStreamConsumer."""
    stream, consumer = _named(engine, region, request)

    def change(document: StreamDocument) -> StreamDocument:
        consumers = tuple(
            replace(other, status="DELETING") if other.arn == consumer.arn else other
            for other in document.consumers
        )
        return replace(document, consumers=consumers)

    stream.update(change)


def describe_consumer(engine: KinesisEngine, region: str, request: dict[str, Any]) -> dict[str, Any]:
    """DescribeStreamConsumer."""
    stream, consumer = _named(engine, region, request)
    return {"ConsumerDescription": {**_answer(consumer), "StreamARN": stream.document.arn}}


def list_consumers(engine: KinesisEngine, region: str, request: dict[str, Any]) -> dict[str, Any]:
    """ListStreamConsumers: 100 a page unless told otherwise."""
    stream = stream_of(engine, region, request)
    now = engine.clock()
    after = tokens.decode_page(request["NextToken"], now).after if request.get("NextToken") else None
    consumers, token = page_of(
        sorted(stream.document.consumers, key=lambda consumer: consumer.name),
        lambda consumer: consumer.name,
        after=after,
        limit=request.get("MaxResults", 100),
        subject=stream.document.arn,
        now=now,
    )
    answer: dict[str, Any] = {"Consumers": [_answer(consumer) for consumer in consumers]}
    if token:
        answer["NextToken"] = token
    return answer


def subscribe_to_shard(engine: KinesisEngine, region: str, request: dict[str, Any]) -> None:
    """SubscribeToShard: refused, with the way that works."""
    del engine, region, request
    raise ServiceError(
        "UnsupportedOperationException",
        "The local cloud does not offer SubscribeToShard (enhanced fan-out): read with GetShardIterator and"
        " GetRecords.",
    )


def _answer(consumer: Consumer) -> dict[str, Any]:
    return {
        "ConsumerName": consumer.name,
        "ConsumerARN": consumer.arn,
        "ConsumerStatus": consumer.status,
        "ConsumerCreationTimestamp": consumer.created_at,
    }


def _named(engine: KinesisEngine, region: str, request: dict[str, Any]) -> tuple[Stream, Consumer]:
    arn, name = request.get("ConsumerARN"), request.get("ConsumerName")
    if arn:
        stream, found = resource_of(engine, arn)
        if found is None:
            raise invalid(f"ConsumerARN {arn} is not the ARN of a consumer.")
        return stream, found
    if not name or not request.get("StreamARN"):
        raise invalid("Either ConsumerARN, or StreamARN and ConsumerName, must be provided.")
    stream = stream_of(engine, region, request)
    for consumer in stream.document.consumers:
        if consumer.name == name:
            return stream, consumer
    raise ServiceError(
        "ResourceNotFoundException",
        f"Consumer {name} under stream {stream.name}, account {ACCOUNT} not found.",
    )
