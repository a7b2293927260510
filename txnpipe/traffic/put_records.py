"""PutRecords through a boto3 client, without the parts of it that cost the most.

A call of 500 records spends nine tenths of boto3's time in its serialiser (base64 and JSON, value by value)
and its parser. Here msgspec writes the body and reads the answer. Everything else stays botocore's: a
rehearsal call shows what the client would send (endpoint, headers, user agent) and hands out its endpoint
object, which then makes, signs and sends each request: credentials that refresh, TLS, proxies and time-outs
are the client's own. Nothing is retried; the client must be made so, too.
"""

from __future__ import annotations

import contextvars
import io
import threading
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from txnpipe.traffic.queues import Outgoing

OPERATION = "PutRecords"


class Entry(msgspec.Struct, rename="pascal", gc=False):
    """What PutRecords answers for one record: where it is stored, or the error code why it is not."""

    shard_id: str = ""
    sequence_number: str = ""
    error_code: str = ""


class UnreadableAnswer(Exception):  # noqa: N818 - like CallFailed: the call is made again
    """The service answered 200 with something that is no answer of PutRecords."""


@dataclass(frozen=True)
class Answer:
    """The answer of PutRecords: one entry per record, in order, and how many of them failed."""

    entries: Sequence[Entry]
    failed: int


class PutRecords:
    """Makes PutRecords calls to one stream. Safe to be used from several threads."""

    def __init__(self, client: Any, stream: str) -> None:
        self._client = client
        self._stream = stream
        self._rehearsing = threading.Lock()
        self._rehearsal: _Rehearsal | None = None

    def __call__(self, records: Sequence[Outgoing]) -> Answer:
        """One call. Raises ClientError and BotoCoreError as the client does, and UnreadableAnswer."""
        rehearsal = self._rehearsal or self._rehearse()
        body = _encoder.encode(_Request(self._stream, [_Record(data, key) for _, key, data in records]))
        response = rehearsal.send(body)
        content: bytes = response.content
        if response.status_code >= 300:  # what botocore takes for an error
            raise rehearsal.error(response, content)
        return _answer(content, len(records))

    def _rehearse(self) -> _Rehearsal:
        with self._rehearsing:
            if self._rehearsal is None:
                self._rehearsal = _rehearse(self._client, self._stream)
            return self._rehearsal


class _Record(msgspec.Struct, rename="pascal", gc=False):
    data: bytes
    partition_key: str


class _Request(msgspec.Struct, rename="pascal", gc=False):
    stream_name: str
    records: list[_Record]


class _Answered(msgspec.Struct, rename="pascal", gc=False):
    records: list[Entry]


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(_Answered)


def _answer(content: bytes, count: int) -> Answer:
    try:
        entries = _decoder.decode(content).records
    except msgspec.MsgspecError as error:
        raise UnreadableAnswer(f"PutRecords answered what cannot be read: {error}") from error
    if len(entries) != count:
        raise UnreadableAnswer(f"PutRecords answered {len(entries)} entries for {count} records")
    # Each entry tells itself whether it failed; FailedRecordCount is only their number.
    return Answer(entries, sum([not entry.sequence_number for entry in entries]))


@dataclass(frozen=True)
class _Rehearsal:
    """What a call of the client consists of. `request` is botocore's request dictionary, with its context.

    features: the context variables of the call; of them botocore makes a part of the user agent.
    """

    endpoint: Any
    operation: Any
    request: dict[str, Any]
    features: contextvars.Context

    def send(self, body: bytes) -> Any:
        """Makes, signs and sends one request, as botocore's Endpoint does it."""
        context = self.request["context"] | {"retries": {"attempt": 1, "invocation-id": str(uuid.uuid4())}}
        made = self.request | {"body": body, "headers": dict(self.request["headers"]), "context": context}
        prepared = self.features.copy().run(self.endpoint.create_request, made, self.operation)
        return self.endpoint.http_session.send(prepared)

    def error(self, response: Any, content: bytes) -> Exception:
        """The ClientError that botocore makes of an answer."""
        from botocore.exceptions import ClientError
        from botocore.parsers import create_parser

        answer = {
            "headers": response.headers,
            "status_code": response.status_code,
            "body": content,
            "context": {"operation_name": OPERATION},
        }
        parser = create_parser(self.operation.service_model.resolved_protocol)
        return ClientError(parser.parse(answer, self.operation.output_shape), OPERATION)


def _rehearse(client: Any, stream: str) -> _Rehearsal:
    """Lets the client make a call whose answer is made up here, and notes what passes by its hooks."""
    from botocore.awsrequest import AWSResponse
    from botocore.compat import HTTPHeaders

    seen: dict[str, Any] = {}
    thread = threading.get_ident()

    def called(model: Any, params: dict[str, Any], context: dict[str, Any], **_: Any) -> None:
        if threading.get_ident() == thread:
            seen.update(operation=model, request=params | {"context": dict(context)})

    def sending(request: Any, **_: Any) -> Any:
        if threading.get_ident() == thread:
            return AWSResponse(request.url, 200, HTTPHeaders(), _Body())
        return None

    def judged(endpoint: Any, **_: Any) -> None:
        if threading.get_ident() == thread:
            seen.update(endpoint=endpoint, features=contextvars.copy_context())

    events = client.meta.events
    events.register_last(f"before-call.kinesis.{OPERATION}", called)
    events.register_first(f"before-send.kinesis.{OPERATION}", sending)
    events.register_first(f"needs-retry.kinesis.{OPERATION}", judged)
    try:
        client.put_records(StreamName=stream, Records=[{"Data": b"", "PartitionKey": "-"}])
    finally:
        events.unregister(f"before-call.kinesis.{OPERATION}", called)
        events.unregister(f"before-send.kinesis.{OPERATION}", sending)
        events.unregister(f"needs-retry.kinesis.{OPERATION}", judged)
    return _Rehearsal(**seen)


class _Body(io.BytesIO):
    """An empty JSON object, read as urllib3's responses are."""

    def __init__(self) -> None:
        super().__init__(b"{}")

    def stream(self) -> Iterator[bytes]:
        yield self.read()
