"""An account whose Redshift Serverless is the local cloud's state machine, in this process.

Requests are answered inside botocore, after it has validated and serialized them. Changes of state take until
somebody sleeps.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import boto3
from botocore.awsrequest import AWSResponse
from botocore.compat import HTTPHeaders
from botocore.exceptions import ClientError

from tests.unit.local.redshift.test_serverless import ZONES, Serverless
from txnpipe.aws import Target
from txnpipe.config import Settings
from txnpipe.deploy.plan import Action, Change, assess
from txnpipe.local.service import ServiceError
from txnpipe.names import Names
from txnpipe.resources.namespace import Namespace
from txnpipe.resources.network import SecurityGroup
from txnpipe.resources.resource import Cloud, Resource, Waiter, wait_gone
from txnpipe.resources.usage_limit import UsageLimit
from txnpipe.resources.workgroup import Workgroup

ACCOUNT, REGION = "123456789012", "us-east-1"
NAME = "transaction-warehouse"
READS = ("Get", "List")


class Killed(BaseException):
    """Stands for kill -9."""


class NoClusters:
    """Redshift without a cluster."""

    class exceptions:  # noqa: N801 - as boto3 names it
        class ClusterNotFoundFault(ClientError):  # noqa: N818
            pass

    def describe_clusters(self, **_: str) -> Any:
        raise self.exceptions.ClusterNotFoundFault({"Error": {"Code": "ClusterNotFound"}}, "DescribeClusters")


class Subnets:
    """EC2 as far as subnets go."""

    def describe_subnets(self, SubnetIds: list[str]) -> Any:  # noqa: N803 - boto3's name
        return {"Subnets": [{"SubnetId": each, "AvailabilityZone": ZONES[each]} for each in SubnetIds]}


class Account:
    """The services, what was called, and what is to go wrong."""

    def __init__(self, directory: Path, *, final_snapshot: bool = False) -> None:
        self.final_snapshot = final_snapshot
        self.serverless = Serverless(directory)
        self.now = 0.0
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.kill_after: int | None = None
        self.loses_answers = False
        """Every change is made twice, as botocore does when the first answer did not arrive."""
        self.client_of_serverless = boto3.client(
            "redshift-serverless",
            region_name=REGION,
            aws_access_key_id="testing",
            aws_secret_access_key="testing",
        )
        self.client_of_serverless.meta.events.register("before-call", self._answer)

    def client(self, service: str) -> Any:
        """See Target."""
        return {
            "redshift-serverless": self.client_of_serverless,
            "redshift": NoClusters(),
            "ec2": Subnets(),
        }[service]

    @property
    def changes(self) -> list[str]:
        """The changing calls that were accepted."""
        return [operation for operation, _ in self.calls]

    def _answer(self, model: Any, params: dict[str, Any], **_: Any) -> tuple[AWSResponse, dict[str, Any]]:
        request = json.loads(params["body"])
        changes = not model.name.startswith(READS)
        for _repetition in range(2 if changes and self.loses_answers else 1):
            try:
                parsed = self.serverless.call(model.name, **request)
            except ServiceError as error:
                failed = {"Error": {"Code": error.code, "Message": error.message}, "ResponseMetadata": {}}
                return AWSResponse("", 400, HTTPHeaders(), None), failed
            if changes:
                self.calls.append((model.name, request))
        if changes and self.kill_after is not None and len(self.calls) >= self.kill_after:
            raise Killed
        return AWSResponse("", 200, HTTPHeaders(), None), {
            **parsed,
            "ResponseMetadata": {"HTTPStatusCode": 200},
        }

    def cloud(self, settings: Settings) -> Cloud:
        """The cloud that resources are made with; sleeping lets changes of state happen."""

        def sleep(seconds: float) -> None:
            self.now += seconds
            self.serverless.transitions.finish()

        names = Names(settings.pipeline, ACCOUNT, REGION)
        return Cloud(cast(Target, self), settings, names, Waiter(lambda: self.now, sleep))

    def resources(self, settings: Settings) -> list[Resource[Any]]:
        """Namespace, workgroup and usage limit, in the order in which they are made."""
        cloud = self.cloud(settings)
        namespace = Namespace(cloud, NAME)
        group = cast(SecurityGroup, SimpleNamespace(kind="security group", name=NAME))
        workgroup = Workgroup(cloud, NAME, group, namespace)
        return [namespace, workgroup, UsageLimit(cloud, NAME, workgroup)]

    def plan(self, settings: Settings) -> list[Change]:
        """What differs, of every resource."""
        found = [assess(resource).change for resource in self.resources(settings)]
        return [change for change in found if change.action is not Action.UNCHANGED]

    def setup(self, settings: Settings) -> None:
        """Brings everything up to the settings, as `apply` does."""
        for resource in self.resources(settings):
            _bring(resource)

    def tear_down(self, settings: Settings) -> None:
        """Removes everything, as `teardown` does."""
        for resource in reversed(self.resources(settings)):
            if resource.read() is not None:
                resource.delete()


def _bring(resource: Any) -> None:
    found = assess(resource)
    if found.change.action is Action.CREATE:
        if found.observed is not None:
            wait_gone(resource.cloud, resource, 100)
        resource.create(found.desired)
    elif found.change.action is Action.REPLACE:
        resource.delete()
        resource.create(found.desired)
    elif found.change.action in {Action.UPDATE, Action.WAIT}:
        resource.settle()
        again = assess(resource)
        if again.change.action is Action.UPDATE:
            resource.update(again.desired, again.change.differences)
    resource.settle()


def changing_calls(new_account: Callable[[], Account], command: Callable[[Account], object]) -> int:
    """How many changing calls a command makes when nothing kills it."""
    account = new_account()
    before = len(account.calls)
    command(account)
    return len(account.calls) - before
