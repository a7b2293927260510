"""How an own service plugs into the local cloud's API server.

The server asks each service in turn whether it claims a request; what nobody claims goes to moto. A
service sees the request only after the guard has accepted it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True)
class Request:
    """One API request. `target` is the X-Amz-Target header ("" for REST services)."""

    method: str
    path: str
    query: str
    target: str
    region: str
    headers: Mapping[str, str]
    """Header names in lower case."""
    body: bytes


@dataclass(frozen=True)
class Response:
    """The answer to one API request."""

    status: int
    body: bytes
    content_type: str = "application/x-amz-json-1.1"
    headers: Mapping[str, str] = field(default_factory=dict)


class ServiceError(Exception):
    """A typed AWS error: what boto3 shows as ClientError with this code."""

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.status = status


class Service(Protocol):
    """An AWS service, or a part of one, that the local cloud implements itself."""

    def claims(self, method: str, path: str, target: str) -> bool:
        """Whether this request is for this service. Must be cheap: asked for every request."""
        ...

    def handle(self, request: Request) -> Response:
        """Answers a claimed request. A ServiceError becomes the service's typed error."""
        ...
