"""An account to be looked at: the in-memory one, with answers for what it lacks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from tests.unit.deploy import conftest
from tests.unit.deploy.remote import Remote
from tests.unit.deploy.wire import Call, Forward, received, under_way
from txnpipe.local.service import Response

new_remote, remote = conftest.new_remote, conftest.remote

USER = "arn:aws:iam::123456789012:user/operator"
NODE_TYPES = {"rg.large": ("single-node", "multi-node"), "ra3.4xlarge": ("multi-node",)}


class Account:
    """What the account answers; change it before looking."""

    def __init__(self, remote: Remote) -> None:
        self.remote = remote
        self.date = "Tue, 24 Nov 2026 12:00:00 GMT"
        self.arn = USER
        self.node_types = dict(NODE_TYPES)
        self.concurrency = 1000
        self.limits = {
            "ShardLimit": 500,
            "OpenShardCount": 10,
            "OnDemandStreamCount": 1,
            "OnDemandStreamCountLimit": 50,
        }
        self.region: list[dict[str, str]] = [
            {"RegionName": "us-east-1", "OptInStatus": "opt-in-not-required"}
        ]
        self.dns = {"enableDnsSupport": True, "enableDnsHostnames": True}
        self.denied: dict[str, str] = {}
        """Action → the resource it is denied on; "" for each."""
        self.asked: list[dict[str, Any]] = []
        """What was asked of IAM's simulation."""
        for operation, document in {
            "sts.GetCallerIdentity": self._identity,
            "redshift.DescribeOrderableClusterOptions": self._options,
            "lambda.GetAccountSettings": self._lambda_limits,
            "kinesis.DescribeLimits": lambda _: dict(self.limits),
            "ec2.DescribeRegions": lambda _: {"Regions": self.region},
            "ec2.DescribeVpcAttribute": self._dns,
            "iam.SimulatePrincipalPolicy": self._simulate,
        }.items():
            self.answer(operation, document)

    def answer(self, operation: str, document: Callable[[Mapping[str, Any]], dict[str, Any]]) -> None:
        """Lets an operation answer what `document` makes of its parameters."""

        def between(call: Call, forward: Forward) -> Any:
            return received(None, _empty(call)) if str(call) == operation else forward()

        self.remote.wire.layers.append(between)
        self.remote.change_answer(operation, lambda parsed: parsed.update(document(under_way().parameters)))

    def watch(self) -> list[str]:
        """A list that grows with every call from now on, whatever becomes of it."""
        asked: list[str] = []

        def between(call: Call, forward: Forward) -> Any:
            asked.append(str(call))
            return forward()

        self.remote.wire.layers.insert(0, between)
        return asked

    def _identity(self, _: Any) -> dict[str, Any]:
        metadata = {"HTTPHeaders": {"date": self.date}}
        return {"Account": "123456789012", "Arn": self.arn, "ResponseMetadata": metadata}

    def _options(self, _: Any) -> dict[str, Any]:
        options = [
            {"NodeType": name, "ClusterType": cluster}
            for name, clusters in self.node_types.items()
            for cluster in clusters
        ]
        return {"OrderableClusterOptions": options}

    def _lambda_limits(self, _: Any) -> dict[str, Any]:
        limits = {"ConcurrentExecutions": 1000, "UnreservedConcurrentExecutions": self.concurrency}
        return {"AccountLimit": limits}

    def _dns(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        name = asked["Attribute"]
        return {name[0].upper() + name[1:]: {"Value": self.dns[name]}}

    def _simulate(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        self.asked.append(dict(asked))
        resources = asked["ResourceArns"]

        def decision(action: str, resource: str) -> str:
            refused = action in self.denied and self.denied[action] in {"", resource}
            return "implicitDeny" if refused else "allowed"

        results = [
            {
                "EvalActionName": action,
                "EvalDecision": decision(action, resources[0]),
                "ResourceSpecificResults": [
                    {"EvalResourceName": resource, "EvalResourceDecision": decision(action, resource)}
                    for resource in resources
                ],
            }
            for action in asked["ActionNames"]
        ]
        return {"EvaluationResults": results, "IsTruncated": False}


def _empty(call: Call) -> Response:
    """An answer of the right form that says nothing."""
    if call.model.service_model.resolved_protocol in {"query", "ec2"}:
        name = call.operation
        body = f"<{name}Response><{name}Result/></{name}Response>"
        return Response(200, body.encode(), "text/xml")
    return Response(200, b"{}", "application/json")


@pytest.fixture
def account(remote: Remote) -> Account:
    """A healthy account without a pipeline."""
    return Account(remote)
