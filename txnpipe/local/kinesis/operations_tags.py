"""Tags and resource policies of streams and consumers."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

import orjson
from msgspec.structs import replace

from txnpipe.local.kinesis.engine import KinesisEngine
from txnpipe.local.kinesis.limits import MAX_TAGS
from txnpipe.local.kinesis.model import StreamDocument
from txnpipe.local.kinesis.requests import invalid, page_of, resource_of, stream_of
from txnpipe.local.part import ACCOUNT
from txnpipe.local.service import ServiceError

_ILLEGAL = re.compile(r"[^\w\s./\-=+@:]")
"""AWS: letters, white space and digits of any script, and _ . / = + - @ :"""

_Tags = dict[str, str]


def check_tags(stream_name: str, present: Mapping[str, str], added: Mapping[str, str]) -> None:
    """InvalidArgumentException where the added tags are not allowed, or too many with those present."""
    if any(_ILLEGAL.search(text) for pair in added.items() for text in pair):
        raise invalid(
            "Some tags contain invalid characters. Valid characters: Unicode letters, digits, white space,"
            " _ . / = + - @ :."
        )
    if any(key.lower().startswith("aws:") for key in added):
        raise invalid("Tag keys that begin with aws: are reserved.")
    if len({*present, *added}) > MAX_TAGS:
        raise invalid(
            f"Failed to add tags to stream {stream_name} under account {ACCOUNT} because a given stream"
            f" cannot have more than {MAX_TAGS} tags associated with it."
        )


def add_tags(engine: KinesisEngine, region: str, request: dict[str, Any]) -> None:
    """AddTagsToStream."""
    _add(engine, stream_of(engine, region, request).document.arn, request["Tags"])


def remove_tags(engine: KinesisEngine, region: str, request: dict[str, Any]) -> None:
    """RemoveTagsFromStream."""
    _remove(engine, stream_of(engine, region, request).document.arn, request["TagKeys"])


def list_tags(engine: KinesisEngine, region: str, request: dict[str, Any]) -> dict[str, Any]:
    """ListTagsForStream: a page continues after a tag's key."""
    stream = stream_of(engine, region, request)
    tags, token = page_of(
        sorted(stream.document.tags.items()),
        lambda pair: pair[0],
        after=request.get("ExclusiveStartTagKey"),
        limit=request.get("Limit", MAX_TAGS),
        subject="",
        now=engine.clock(),
    )
    return {"Tags": _listed(tags), "HasMoreTags": token is not None}


def tag_resource(engine: KinesisEngine, region: str, request: dict[str, Any]) -> None:
    """TagResource, of a stream or a consumer."""
    del region
    _add(engine, request["ResourceARN"], request["Tags"])


def untag_resource(engine: KinesisEngine, region: str, request: dict[str, Any]) -> None:
    """UntagResource."""
    del region
    _remove(engine, request["ResourceARN"], request["TagKeys"])


def list_resource_tags(engine: KinesisEngine, region: str, request: dict[str, Any]) -> dict[str, Any]:
    """ListTagsForResource."""
    del region
    stream, consumer = resource_of(engine, request["ResourceARN"])
    return {"Tags": _listed(sorted((consumer or stream.document).tags.items()))}


def _listed(tags: list[tuple[str, str]]) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in tags]


def _add(engine: KinesisEngine, arn: str, added: _Tags) -> None:
    stream, _ = resource_of(engine, arn)

    def change(present: _Tags) -> _Tags:
        check_tags(stream.name, present, added)
        return present | added

    _retag(engine, arn, change)


def _remove(engine: KinesisEngine, arn: str, keys: list[str]) -> None:
    _retag(engine, arn, lambda present: {key: value for key, value in present.items() if key not in keys})


def _retag(engine: KinesisEngine, arn: str, retag: Callable[[_Tags], _Tags]) -> None:
    stream, consumer = resource_of(engine, arn)

    def change(document: StreamDocument) -> StreamDocument:
        if document.status == "CREATING":
            stream.require_active()
        if consumer is None:
            return replace(document, tags=retag(document.tags))
        consumers = tuple(
            replace(other, tags=retag(other.tags)) if other.arn == arn else other
            for other in document.consumers
        )
        return replace(document, consumers=consumers)

    stream.update(change)


def put_policy(engine: KinesisEngine, region: str, request: dict[str, Any]) -> None:
    """PutResourcePolicy: kept and returned; the local cloud has one account and enforces nothing."""
    del region
    arn, policy = request["ResourceARN"], request["Policy"]
    try:
        document = orjson.loads(policy)
    except orjson.JSONDecodeError:
        document = None
    if not isinstance(document, dict) or "Statement" not in document:
        raise invalid("Policy is not a valid policy document.")
    stream, _ = resource_of(engine, arn)
    stream.update(lambda document: replace(document, policies=document.policies | {arn: policy}))


def get_policy(engine: KinesisEngine, region: str, request: dict[str, Any]) -> dict[str, Any]:
    """GetResourcePolicy."""
    del region
    arn = request["ResourceARN"]
    stream, _ = resource_of(engine, arn)
    return {"Policy": _policy(stream.document, arn)}


def delete_policy(engine: KinesisEngine, region: str, request: dict[str, Any]) -> None:
    """DeleteResourcePolicy."""
    del region
    arn = request["ResourceARN"]
    stream, _ = resource_of(engine, arn)

    def change(document: StreamDocument) -> StreamDocument:
        _policy(document, arn)
        return replace(
            document, policies={key: text for key, text in document.policies.items() if key != arn}
        )

    stream.update(change)


def _policy(document: StreamDocument, arn: str) -> str:
    try:
        return document.policies[arn]
    except KeyError:
        raise ServiceError(
            "ResourceNotFoundException", f"No resource policy found for resource ARN {arn}."
        ) from None
