"""An account to be looked at: the in-memory one, with answers for what it lacks."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.deploy import conftest
from tests.unit.deploy import remote as remotes
from tests.unit.deploy.analytics_double import FakeAnswer
from tests.unit.deploy.remote import Remote

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
        self.limits = {"ShardLimit": 500, "OpenShardCount": 10}
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
            answer(operation, document)

    def _identity(self, _: Any) -> dict[str, Any]:
        return {
            "Account": "123456789012",
            "Arn": self.arn,
            "ResponseMetadata": {"HTTPHeaders": {"date": self.date}},
        }

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

    def _dns(self, body: Any) -> dict[str, Any]:
        name = body["Attribute"]
        return {name[0].upper() + name[1:]: {"Value": self.dns[name]}}

    def _simulate(self, body: Any) -> dict[str, Any]:
        self.asked.append(body)
        actions = [value for key, value in body.items() if key.startswith("ActionNames.member.")]
        resources = [value for key, value in body.items() if key.startswith("ResourceArns.member.")]

        def decision(action: str, resource: str) -> str:
            refused = self.denied.get(action) in {"", resource} if action in self.denied else False
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
            for action in actions
        ]
        return {"EvaluationResults": results, "IsTruncated": False}


def answer(operation: str, document: Any) -> None:
    """Lets an operation answer with what `document` makes of the request's body."""

    def handler(params: Any, **_: Any) -> tuple[FakeAnswer, dict[str, Any]]:
        return FakeAnswer(200), {"ResponseMetadata": {}, **document(params["body"])}

    service = operation.split(".")[0]
    remotes._hooks.setdefault(service, []).append((f"before-call.{operation}", handler))


def watch(event: str, handler: Any) -> None:
    """Lets `handler` hear an event ("before-call") of every call, first of all."""
    remotes._hooks["*"].insert(0, (event, handler))


@pytest.fixture
def account(remote: Remote) -> Account:
    """A healthy account without a pipeline."""
    return Account(remote)
