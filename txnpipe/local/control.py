"""The daemon's own questions: is it ready, what does it run. Served like an AWS service, behind the guard."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from txnpipe.local.service import Request, Response, ServiceError

PREFIX = "/_txnpipe/"
"""No S3 bucket can be called that: bucket names have no underscore."""
PING, STATUS = "ping", "status"


class ControlService:
    """Answers `GET /_txnpipe/ping` and `GET /_txnpipe/status`."""

    def __init__(self, status: Callable[[], dict[str, Any]], is_ready: Callable[[], bool]) -> None:
        self._status = status
        self._is_ready = is_ready

    def claims(self, method: str, path: str, target: str) -> bool:
        """Everything below the prefix."""
        del method, target
        return path.startswith(PREFIX)

    def handle(self, request: Request) -> Response:
        """Answers as JSON."""
        name = request.path.removeprefix(PREFIX)
        if name == PING:
            return _json({"ready": self._is_ready()})
        if name == STATUS:
            return _json(self._status())
        raise ServiceError("NotFoundException", f"There is no {request.path}.", 404)


def _json(document: dict[str, Any]) -> Response:
    return Response(200, json.dumps(document).encode(), "application/json")
