"""Errors on the wire: the same typed error in the protocol of whichever service was called.

AWS services speak five protocols and each has its own form of an error. boto3 shows all of them as a
ClientError with a code and a message, provided that the form is right.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from enum import Enum
from typing import Any
from xml.sax.saxutils import escape

from txnpipe.local.service import Response

_REST_XML = frozenset({"s3", "cloudfront", "route53"})
"""Services of the rest-xml protocol, by signing name (botocore's service models)."""


class Protocol(Enum):
    """How a service and its clients talk."""

    JSON = "json"
    REST_JSON = "rest-json"
    CBOR = "smithy-rpc-v2-cbor"
    QUERY = "query"
    EC2 = "ec2"
    REST_XML = "rest-xml"


class Code(Enum):
    """What went wrong."""

    DENIED = "denied"
    WRONG_KEY = "wrong key"
    UNKNOWN_OPERATION = "unknown operation"
    INTERNAL = "internal"
    UNAVAILABLE = "unavailable"

    def in_protocol(self, protocol: Protocol) -> str:
        """The code as AWS names it in a protocol."""
        usual, special = _NAMES[self]
        return special.get(protocol, usual)


_NAMES: dict[Code, tuple[str, dict[Protocol, str]]] = {
    Code.DENIED: (
        "AccessDeniedException",
        {Protocol.REST_XML: "AccessDenied", Protocol.QUERY: "AccessDenied"},
    ),
    Code.WRONG_KEY: (
        "UnrecognizedClientException",
        {
            Protocol.QUERY: "InvalidClientTokenId",
            Protocol.EC2: "AuthFailure",
            Protocol.REST_XML: "InvalidAccessKeyId",
        },
    ),
    Code.UNKNOWN_OPERATION: (
        "UnknownOperationException",
        {
            Protocol.QUERY: "InvalidAction",
            Protocol.EC2: "InvalidAction",
            Protocol.REST_XML: "NotImplemented",
        },
    ),
    Code.INTERNAL: (
        "InternalFailure",
        {
            Protocol.REST_JSON: "ServiceException",
            Protocol.EC2: "InternalError",
            Protocol.REST_XML: "InternalError",
        },
    ),
    Code.UNAVAILABLE: (
        "ServiceUnavailableException",
        {
            Protocol.QUERY: "ServiceUnavailable",
            Protocol.EC2: "Unavailable",
            Protocol.REST_XML: "ServiceUnavailable",
        },
    ),
}
"""The usual name of each code, and its names in protocols of their own."""


def protocol_of(environ: Mapping[str, Any], service: str) -> Protocol:
    """The protocol of a request, from its headers and the service it was signed for ("" for unsigned)."""
    if environ.get("HTTP_SMITHY_PROTOCOL") == "rpc-v2-cbor":
        return Protocol.CBOR
    if "HTTP_X_AMZ_TARGET" in environ:
        return Protocol.JSON
    if service == "ec2":
        return Protocol.EC2
    if service in _REST_XML or not service:
        return Protocol.REST_XML
    content_type = environ.get("CONTENT_TYPE", "")
    if content_type.startswith("application/x-www-form-urlencoded") or "Action=" in environ.get(
        "QUERY_STRING", ""
    ):
        return Protocol.QUERY
    return Protocol.REST_JSON


def error_response(protocol: Protocol, code: str, message: str, status: int) -> Response:
    """A typed error as the service would send it."""
    request_id = new_request_id()
    if protocol is Protocol.CBOR:
        return Response(
            status,
            _cbor_map({"__type": code, "message": message}),
            "application/cbor",
            {"smithy-protocol": "rpc-v2-cbor"},
        )
    if protocol in (Protocol.JSON, Protocol.REST_JSON):
        body = json.dumps({"__type": code, "message": message, "Message": message}).encode()
        kind = "application/x-amz-json-1.1" if protocol is Protocol.JSON else "application/json"
        return Response(status, body, kind, {"x-amzn-ErrorType": code})
    error = f"<Code>{escape(code)}</Code><Message>{escape(message)}</Message>"
    if protocol is Protocol.EC2:
        text = (
            f"<Response><Errors><Error>{error}</Error></Errors><RequestID>{request_id}</RequestID></Response>"
        )
    elif protocol is Protocol.QUERY:
        kind = "Sender" if status < 500 else "Receiver"
        text = (
            f"<ErrorResponse><Error><Type>{kind}</Type>{error}</Error>"
            f"<RequestId>{request_id}</RequestId></ErrorResponse>"
        )
    else:
        text = f"<Error>{error}<RequestId>{request_id}</RequestId></Error>"
    return Response(status, b'<?xml version="1.0" encoding="UTF-8"?>\n' + text.encode(), "text/xml")


def new_request_id() -> str:
    """A random request id in AWS's form."""
    digits = os.urandom(16).hex()
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def _cbor_map(values: dict[str, str]) -> bytes:
    """A CBOR map of text strings (RFC 8949), as far as an error needs it."""
    parts = [bytes([0xA0 | len(values)])]
    for key, value in values.items():
        parts += [_cbor_text(key), _cbor_text(value)]
    return b"".join(parts)


def _cbor_text(text: str) -> bytes:
    data = text.encode()
    if len(data) < 24:
        return bytes([0x60 | len(data)]) + data
    if len(data) < 0x100:
        return bytes([0x78, len(data)]) + data
    return b"\x79" + min(len(data), 0xFFFF).to_bytes(2, "big") + data[:0xFFFF]
