"""Speaks Redshift Serverless (JSON 1.1, target prefix RedshiftServerless)."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

from txnpipe.local.redshift import temporary_credentials
from txnpipe.local.redshift.serverless.limits import Tags, UsageLimits
from txnpipe.local.redshift.serverless.store import NAMESPACES, WORKGROUPS, public
from txnpipe.local.redshift.serverless.warehouses import Warehouses
from txnpipe.local.service import Request, Response, ServiceError

PREFIX = "RedshiftServerless."
IDENTITY = "root"
MOST_TAGS_AT_CREATION = 50

_NAME = re.compile(r"[a-z0-9-]{3,64}")

Document = dict[str, Any]


class ServerlessService:
    """Answers Redshift Serverless's calls."""

    def __init__(self, warehouses: Warehouses, limits: UsageLimits, tags: Tags) -> None:
        self._warehouses = warehouses
        self._limits = limits
        self._tags = tags
        self._calls: dict[str, Callable[[str, Document], Document]] = {
            "CreateNamespace": self._with_name("namespace", warehouses.create_namespace),
            "UpdateNamespace": self._with_name("namespace", warehouses.update_namespace),
            "DeleteNamespace": self._with_name("namespace", warehouses.delete_namespace),
            "GetNamespace": self._with_name("namespace", self._get_namespace),
            "ListNamespaces": lambda region, request: self._list(NAMESPACES, region, request),
            "CreateWorkgroup": self._with_name("workgroup", warehouses.create_workgroup),
            "UpdateWorkgroup": self._with_name("workgroup", warehouses.update_workgroup),
            "DeleteWorkgroup": self._with_name("workgroup", warehouses.delete_workgroup),
            "GetWorkgroup": self._with_name("workgroup", self._get_workgroup),
            "ListWorkgroups": lambda region, request: self._list(WORKGROUPS, region, request),
            "GetCredentials": self._get_credentials,
            "CreateUsageLimit": self._usage_limit(lambda region, request: limits.create(region, request)),
            "GetUsageLimit": self._usage_limit(
                lambda region, request: limits.get(region, request["usageLimitId"])
            ),
            "UpdateUsageLimit": self._usage_limit(limits.update),
            "DeleteUsageLimit": self._usage_limit(
                lambda region, request: limits.delete(region, request["usageLimitId"])
            ),
            "ListUsageLimits": self._list_usage_limits,
            "TagResource": self._tag,
            "UntagResource": self._untag,
            "ListTagsForResource": lambda _region, request: {"tags": tags.all(request["resourceArn"])},
        }

    def claims(self, method: str, path: str, target: str) -> bool:  # noqa: ARG002 - Service
        """Everything with Serverless's target prefix."""
        return target.startswith(PREFIX)

    def handle(self, request: Request) -> Response:
        """Answers a call. Raises ServiceError."""
        operation = request.target.removeprefix(PREFIX)
        call = self._calls.get(operation)
        if call is None:
            raise ServiceError("UnknownOperationException", f"{operation} is not implemented.")
        try:
            answer = call(request.region, json.loads(request.body or b"{}"))
        except KeyError as missing:
            raise ServiceError("ValidationException", f"{missing.args[0]} is required.") from missing
        except ValueError as error:
            raise ServiceError("SerializationException", "The body is not what was expected.") from error
        return Response(200, json.dumps(answer).encode())

    def _with_name(
        self, kind: str, call: Callable[[str, Document], Document]
    ) -> Callable[[str, Document], Document]:
        """Checks the resource's name, and wraps the answer as `{"namespace": {...}}`."""

        def checked(region: str, request: Document) -> Document:
            name = request[f"{kind}Name"]
            if not _NAME.fullmatch(name):
                raise ServiceError("ValidationException", f"{kind}Name {name!r} is not valid.")
            if len(request.get("tags") or []) > MOST_TAGS_AT_CREATION:
                raise ServiceError("TooManyTagsException", "A resource has at most 50 tags.")
            return {kind: public(self._warehouses.with_endpoint(call(region, request)))}

        return checked

    def _get_namespace(self, region: str, request: Document) -> Document:
        return self._warehouses.get(NAMESPACES, region, request["namespaceName"])

    def _get_workgroup(self, region: str, request: Document) -> Document:
        return self._warehouses.get(WORKGROUPS, region, request["workgroupName"])

    def _list(self, kind: str, region: str, request: Document) -> Document:
        return _page(kind, [public(each) for each in self._warehouses.all(kind, region)], request)

    def _get_credentials(self, region: str, request: Document) -> Document:
        duration = request.get("durationSeconds") or temporary_credentials.DEFAULT_S
        if not temporary_credentials.SHORTEST_S <= duration <= temporary_credentials.LONGEST_S:
            raise ServiceError("ValidationException", "durationSeconds must be between 900 and 3600.")
        if not request.get("workgroupName"):
            raise ServiceError("ValidationException", "workgroupName is required.")
        try:
            _, server = self._warehouses.server(region, request["workgroupName"])
        except ServiceError as error:
            if error.code != "ConflictException":
                raise
            raise ServiceError("ValidationException", error.message) from error
        now = temporary_credentials.utc_now()
        issued = temporary_credentials.issue(server, IDENTITY, now, duration, auto_create=True)
        expiration = issued.expires_at.timestamp()
        return {
            "dbUser": issued.user,
            "dbPassword": issued.password,
            "expiration": expiration,
            "nextRefreshTime": expiration,
        }

    def _usage_limit(self, call: Callable[[str, Document], Document]) -> Callable[[str, Document], Document]:
        return lambda region, request: {"usageLimit": public(call(region, request))}

    def _list_usage_limits(self, region: str, request: Document) -> Document:
        found = self._limits.all(region, request.get("resourceArn"), request.get("usageType"))
        return _page("usageLimits", [public(each) for each in found], request)

    def _tag(self, _region: str, request: Document) -> Document:
        self._tags.add(request["resourceArn"], request["tags"])
        return {}

    def _untag(self, _region: str, request: Document) -> Document:
        self._tags.remove(request["resourceArn"], request["tagKeys"])
        return {}


def _page(name: str, items: list[Document], request: Document) -> Document:
    """A page of a list; the token is the position of the next one, padded to the model's least length."""
    token = str(request.get("nextToken") or "0")
    if not token.isdigit():
        raise ServiceError("ValidationException", "nextToken is not valid.")
    start, size = int(token), min(int(request.get("maxResults") or 100), 100)
    answer: Document = {name: items[start : start + size]}
    if start + size < len(items):
        answer["nextToken"] = f"{start + size:08d}"
    return answer
