"""Usage limits and tags of namespaces and workgroups. Nothing is billed here, so no limit is ever reached."""

from __future__ import annotations

import uuid
from typing import Any

from txnpipe.local.part import ACCOUNT
from txnpipe.local.redshift.serverless.store import (
    NAMESPACES,
    TAGS,
    USAGE_LIMITS,
    WORKGROUPS,
    Store,
)
from txnpipe.local.service import ServiceError

MOST_LIMITS = 4
"""Usage limits of one workgroup and usage type (quotas of Redshift Serverless)."""
MOST_TAGS = 50

Document = dict[str, Any]


class UsageLimits:
    """The usage limits of all regions."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def create(self, region: str, request: Document) -> Document:
        """CreateUsageLimit."""
        amount, arn = int(request["amount"]), request["resourceArn"]
        if amount < 1:
            raise ServiceError("ValidationException", "amount must be at least 1.")
        with self._store.change() as documents:
            _resource(documents, arn)
            same = [
                each
                for each in documents[USAGE_LIMITS].values()
                if each["resourceArn"] == arn and each["usageType"] == request["usageType"]
            ]
            if len(same) >= MOST_LIMITS:
                raise ServiceError("ServiceQuotaExceededException", "The resource has its most usage limits.")
            period, action = request.get("period") or "monthly", request.get("breachAction") or "log"
            if any(each["period"] == period and each["breachAction"] == action for each in same):
                raise ServiceError("ConflictException", "There is such a usage limit already.")
            identifier = str(uuid.uuid4())
            document = {
                "usageLimitId": identifier,
                "usageLimitArn": f"arn:aws:redshift-serverless:{region}:{ACCOUNT}:usagelimit/{identifier}",
                "resourceArn": arn,
                "usageType": request["usageType"],
                "amount": amount,
                "period": period,
                "breachAction": action,
                "_region": region,
            }
            documents[USAGE_LIMITS][identifier] = document
            return dict(document)

    def get(self, region: str, identifier: str) -> Document:
        """GetUsageLimit."""
        with self._store.read() as documents:
            return dict(self._found(documents, region, identifier))

    def all(self, region: str, arn: str | None, usage_type: str | None) -> list[Document]:
        """ListUsageLimits."""
        with self._store.read() as documents:
            return [
                dict(each)
                for each in documents[USAGE_LIMITS].values()
                if each["_region"] == region
                and arn in (None, each["resourceArn"])
                and usage_type in (None, each["usageType"])
            ]

    def update(self, region: str, request: Document) -> Document:
        """UpdateUsageLimit."""
        with self._store.change() as documents:
            document = self._found(documents, region, request["usageLimitId"])
            for name in ("amount", "breachAction"):
                if request.get(name) is not None:
                    document[name] = request[name]
            return dict(document)

    def delete(self, region: str, identifier: str) -> Document:
        """DeleteUsageLimit."""
        with self._store.change() as documents:
            self._found(documents, region, identifier)
            return documents[USAGE_LIMITS].pop(identifier)

    def _found(self, documents: dict[str, dict[str, Document]], region: str, identifier: str) -> Document:
        document = documents[USAGE_LIMITS].get(identifier)
        if document is None or document["_region"] != region:
            raise ServiceError("ResourceNotFoundException", f"The usage limit {identifier} was not found.")
        return document


class Tags:
    """The tags of namespaces and workgroups."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def add(self, arn: str, tags: list[dict[str, str]]) -> None:
        """TagResource."""
        with self._store.change() as documents:
            _resource(documents, arn)
            merged = documents[TAGS].get(arn, {}) | {tag["key"]: tag["value"] for tag in tags}
            if len(merged) > MOST_TAGS:
                raise ServiceError("TooManyTagsException", f"A resource has at most {MOST_TAGS} tags.")
            documents[TAGS][arn] = merged

    def remove(self, arn: str, keys: list[str]) -> None:
        """UntagResource."""
        with self._store.change() as documents:
            _resource(documents, arn)
            kept = {key: value for key, value in documents[TAGS].get(arn, {}).items() if key not in keys}
            documents[TAGS][arn] = kept

    def all(self, arn: str) -> list[dict[str, str]]:
        """ListTagsForResource."""
        with self._store.read() as documents:
            _resource(documents, arn)
            return [{"key": key, "value": value} for key, value in documents[TAGS].get(arn, {}).items()]


def _resource(documents: dict[str, dict[str, Document]], arn: str) -> Document:
    for kind, field in ((NAMESPACES, "namespaceArn"), (WORKGROUPS, "workgroupArn")):
        for each in documents[kind].values():
            if each[field] == arn:
                return each
    raise ServiceError("ResourceNotFoundException", f"The resource {arn} was not found.")
