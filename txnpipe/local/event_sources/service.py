"""The REST API of event source mappings, and of their tags."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import parse_qs, unquote

from txnpipe.local.event_sources.mapping import Mapping, describe
from txnpipe.local.event_sources.registry import Registry
from txnpipe.local.event_sources.requests import invalid, parse_body, settings, source_and_start
from txnpipe.local.lambda_runtime.functions import function_arn
from txnpipe.local.service import Request, Response, ServiceError

_ROOT = "/2015-03-31/event-source-mappings"
_TAGS = "/2017-03-31/tags/"
MAX_ITEMS = 100
"""Mappings of one page where the request does not say."""


class EventSourceService:
    """Answers for the registry."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    @staticmethod
    def claims(_method: str, path: str, _target: str) -> bool:
        """Whether this is about event source mappings."""
        return path.startswith(_ROOT) or (
            path.startswith(_TAGS) and ":event-source-mapping:" in unquote(path)
        )

    def handle(self, request: Request) -> Response:
        """Answers. Raises ServiceError."""
        if request.path.startswith(_TAGS):
            return self._tags(request, unquote(request.path[len(_TAGS) :]).rpartition(":")[2])
        mapping_uuid = request.path[len(_ROOT) :].strip("/")
        match request.method, bool(mapping_uuid):
            case "POST", False:
                return self._shown(self._create(request), 202)
            case "GET", False:
                return self._list(request)
            case "GET", True:
                return self._shown(self._in_region(mapping_uuid, request.region), 200)
            case "PUT", True:
                return self._shown(self._update(request, mapping_uuid), 202)
            case "DELETE", True:
                self._in_region(mapping_uuid, request.region)
                return self._shown(self._registry.delete(mapping_uuid), 202)
        raise ServiceError("InvalidParameterValueException", f"No {request.method} on this resource.", 405)

    def _shown(self, mapping: Mapping, status: int) -> Response:
        return _json(status, describe(mapping, self._registry.last_result(mapping.uuid)))

    def _in_region(self, mapping_uuid: str, region: str) -> Mapping:
        mapping = self._registry.get(mapping_uuid)
        if mapping.region != region:
            raise ServiceError("ResourceNotFoundException", "The resource you requested does not exist.", 404)
        return mapping

    def _create(self, request: Request) -> Mapping:
        fields = parse_body("CreateEventSourceMapping", request.body)
        if "FunctionName" not in fields:
            raise invalid("FunctionName is required.")
        start = source_and_start(fields, request.region, self._registry.now())
        given = settings(fields) | {"tags": dict(fields.get("Tags", {}))}
        return self._registry.create(
            function_arn(fields["FunctionName"], request.region), request.region, start, given
        )

    def _update(self, request: Request, mapping_uuid: str) -> Mapping:
        self._in_region(mapping_uuid, request.region)
        fields = parse_body("UpdateEventSourceMapping", request.body)
        changes = settings(fields)
        if "FunctionName" in fields:
            changes["function_arn"] = function_arn(fields["FunctionName"], request.region)
        return self._registry.update(mapping_uuid, changes)

    def _list(self, request: Request) -> Response:
        query = {name: values[0] for name, values in parse_qs(request.query).items()}
        wanted = [
            mapping
            for mapping in self._registry.mappings()
            if mapping.region == request.region
            and query.get("EventSourceArn", mapping.source_arn) == mapping.source_arn
            and (
                "FunctionName" not in query
                or function_arn(query["FunctionName"], request.region) == mapping.function_arn
            )
        ]
        limit = _number(query.get("MaxItems"), MAX_ITEMS)
        begin = 0
        if marker := query.get("Marker"):
            begin = next((i + 1 for i, mapping in enumerate(wanted) if mapping.uuid == marker), -1)
            if begin < 0:
                raise invalid("The marker is not valid: the mapping that it names is gone.")
        page = wanted[begin : begin + limit]
        answer: dict[str, Any] = {
            "EventSourceMappings": [
                describe(mapping, self._registry.last_result(mapping.uuid)) for mapping in page
            ]
        }
        if begin + limit < len(wanted):
            answer["NextMarker"] = page[-1].uuid
        return _json(200, answer)

    def _tags(self, request: Request, mapping_uuid: str) -> Response:
        tags = dict(self._in_region(mapping_uuid, request.region).tags)
        match request.method:
            case "GET":
                return _json(200, {"Tags": tags})
            case "POST":
                tags |= parse_body("TagResource", request.body).get("Tags", {})
            case "DELETE":
                for key in parse_qs(request.query).get("tagKeys", []):
                    tags.pop(key, None)
        self._registry.set_tags(mapping_uuid, tags)
        return Response(204, b"", "application/json")


def _number(text: str | None, default: int) -> int:
    if text is None:
        return default
    if not text.isdecimal() or not 1 <= int(text) <= 10_000:
        raise invalid("MaxItems must be a number from 1 to 10000.")
    return int(text)


def _json(status: int, body: dict[str, Any]) -> Response:
    return Response(status, json.dumps(body).encode(), "application/json")
