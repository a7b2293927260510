"""Calls of boto3 clients, judged by a policy before they are made."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from botocore.client import BaseClient
from botocore.exceptions import ClientError

from tests.iam.evaluator import Check, Document, allowed
from tests.iam.requests import Request, checks

Call = Callable[[Any, str, dict[str, Any]], Any]
_CLIENTS: Any = BaseClient
"""The class that every client is of."""


@dataclass
class Judge:
    """Lets a call through when the documents allow all that it asks. Remembers every check and its answer."""

    documents: Sequence[Document]
    account: str
    region: str
    original: Call
    asked: list[tuple[str, Check]] = field(default_factory=list)
    denied: list[tuple[str, Check]] = field(default_factory=list)
    _streams: dict[str, str] = field(default_factory=dict)

    def call(self, client: Any, operation: str, parameters: dict[str, Any]) -> Any:
        """Stands in the place of a client's own method."""
        service = client.meta.service_model.service_name
        lookup = Asking(client, self.original, self._streams)
        request = Request(service, operation, parameters, lookup, self.account, self.region)
        for check in checks(request):
            self.asked.append((f"{service}.{operation}", check))
            if not allowed(self.documents, check):
                self.denied.append((f"{service}.{operation}", check))
                told = f"not authorized: {check.action} on {check.resource}"
                raise ClientError({"Error": {"Code": "AccessDenied", "Message": told}}, operation)
        answer = self.original(client, operation, parameters)
        for token in ("ShardIterator", "NextShardIterator", "NextToken"):
            if service == "kinesis" and answer.get(token):
                self._streams[answer[token]] = parameters.get("StreamName") or lookup.stream_name(
                    parameters.get("ShardIterator") or parameters["NextToken"]
                )
        return answer

    @contextmanager
    def again(self) -> Iterator[None]:
        """Judges the calls inside."""

        def call(client: Any, operation: str, parameters: dict[str, Any]) -> Any:
            return self.call(client, operation, parameters)

        _CLIENTS._make_api_call = call
        try:
            yield
        finally:
            _CLIENTS._make_api_call = self.original


@dataclass(frozen=True)
class Asking:
    """Asks the account itself, unjudged."""

    client: Any
    original: Call
    streams: Mapping[str, str]

    def ec2_tags(self, identifier: str) -> dict[str, str]:
        filters = [{"Name": "resource-id", "Values": [identifier]}]
        found = self.original(self.client, "DescribeTags", {"Filters": filters})["Tags"]
        return {tag["Key"]: tag["Value"] for tag in found}

    def function_arn(self, mapping: str) -> str:
        return str(self.original(self.client, "GetEventSourceMapping", {"UUID": mapping})["FunctionArn"])

    def secret_arn(self, name: str) -> str | None:
        try:
            return str(self.original(self.client, "DescribeSecret", {"SecretId": name})["ARN"])
        except ClientError:
            return None

    def serverless_tags(self, arn: str | None, part: str, name: str | None) -> dict[str, str]:
        try:
            if arn is None:
                found = self.original(self.client, f"Get{part}", {f"{part.lower()}Name": name})
                arn = found[part.lower()][f"{part.lower()}Arn"]
            tags = self.original(self.client, "ListTagsForResource", {"resourceArn": arn})["tags"]
        except ClientError:
            return {}
        return {tag["key"]: tag["value"] for tag in tags}

    def stream_key(self, name: str) -> str | None:
        found = self.original(self.client, "DescribeStreamSummary", {"StreamName": name})
        key = found["StreamDescriptionSummary"].get("KeyId")
        return None if key is None else str(key)

    def stream_name(self, token: str) -> str:
        return self.streams[token]


@contextmanager
def enforced(documents: Sequence[Document], account: str, region: str) -> Iterator[Judge]:
    """Every client call inside is judged by the documents."""
    judge = Judge(documents, account, region, _CLIENTS._make_api_call)
    with judge.again():
        yield judge
