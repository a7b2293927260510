"""Lets the Resource Groups Tagging API see what moto does not hold: resources of our own services.

GetResources is what `teardown` sweeps with. moto asks its own backends; here each of our services is asked,
through its own API, and moto's Redshift, which moto itself leaves out.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

from txnpipe.local.moto_control_plane.gate import Gate
from txnpipe.local.moto_control_plane.hooks import replace
from txnpipe.local.part import ACCOUNT
from txnpipe.local.service import ServiceError

_THROTTLED = frozenset({"LimitExceededException", "ThrottlingException"})
_ATTEMPTS = 20
_PAUSE_S = 0.25


class Caller(Protocol):
    """Calls an operation of one of our own services within the process."""

    def __call__(self, target: str, region: str, parameters: dict[str, Any]) -> dict[str, Any] | None:
        """The answer; None where none of our services has this operation. Raises ServiceError."""
        ...


@dataclass(frozen=True)
class Source:
    """How to list one kind of resource, in the words of its API.

    prefix: of X-Amz-Target. items: the list in the answer of `list_call`; arn: an item's ARN. token: of
    pages.
    resource, tags, key, value: parameter and answer of ListTagsForResource.
    """

    kind: str
    prefix: str
    list_call: str
    items: str
    arn: str
    token: str
    resource: str
    tags: str = "Tags"
    key: str = "Key"
    value: str = "Value"


SOURCES = (
    Source(
        kind="kinesis:stream",
        prefix="Kinesis_20131202",
        list_call="ListStreams",
        items="StreamSummaries",
        arn="StreamARN",
        token="NextToken",  # noqa: S106 - a page's
        resource="ResourceARN",
    ),
    Source(
        kind="kinesisanalytics:application",
        prefix="KinesisAnalytics_20180523",
        list_call="ListApplications",
        items="ApplicationSummaries",
        arn="ApplicationARN",
        token="NextToken",  # noqa: S106
        resource="ResourceARN",
    ),
    *(
        Source(
            kind=f"redshift-serverless:{kind}",
            prefix="RedshiftServerless",
            list_call=f"List{kind.capitalize()}s",
            items=f"{kind}s",
            arn=f"{kind}Arn",
            token="nextToken",  # noqa: S106
            resource="resourceArn",
            tags="tags",
            key="key",
            value="value",
        )
        for kind in ("namespace", "workgroup")
    ),
)


def install(gate: Gate, call: Caller, sleep: Callable[[float], None] = time.sleep) -> None:
    """Makes moto's tagging service ask our services too."""
    import moto.core.resource_tagging
    import moto.resourcegroupstaggingapi.models

    backends_of_moto = moto.core.resource_tagging.iter_taggable_backends

    def all_backends(account_id: str, region_name: str) -> Iterator[Any]:
        yield from backends_of_moto(account_id, region_name)
        with gate.released():
            own = list(_resources(call, region_name, sleep))
        yield _Tagged([*own, *_redshift(region_name)])

    replace(moto.resourcegroupstaggingapi.models, "iter_taggable_backends", all_backends)


class _Tagged:
    """Looks to moto's tagging service like a backend."""

    def __init__(self, resources: list[Any]) -> None:
        self._resources = resources

    def iter_tagged_resources(self) -> Iterator[Any]:
        return iter(self._resources)

    def owns_arn(self, _arn: str) -> bool:
        """Tags are changed through the services themselves."""
        return False


def _resources(call: Caller, region: str, sleep: Callable[[float], None]) -> Iterator[Any]:
    from moto.core.resource_tagging import TaggedResource

    for source in SOURCES:
        for arn in _arns(source, call, region, sleep):
            listing = f"{source.prefix}.ListTagsForResource"
            answer = _patiently(call, listing, region, {source.resource: arn}, sleep)
            if answer is not None:
                tags = {tag[source.key]: tag[source.value] for tag in answer.get(source.tags, [])}
                yield TaggedResource(arn=arn, tags=tags, resource_type=source.kind)


def _arns(source: Source, call: Caller, region: str, sleep: Callable[[float], None]) -> Iterator[str]:
    parameters: dict[str, Any] = {}
    while True:
        answer = _patiently(call, f"{source.prefix}.{source.list_call}", region, parameters, sleep)
        if answer is None:
            return
        yield from (item[source.arn] for item in answer.get(source.items, []))
        if not answer.get(source.token):
            return
        parameters = {source.token: answer[source.token]}


def _patiently(
    call: Caller, target: str, region: str, parameters: dict[str, Any], sleep: Callable[[float], None]
) -> dict[str, Any] | None:
    """Calls again where the service's own rate limit says so; None where the resource has gone meanwhile."""
    for attempt in range(_ATTEMPTS):
        try:
            return call(target, region, parameters)
        except ServiceError as error:
            if error.code == "ResourceNotFoundException":
                return None
            if error.code not in _THROTTLED or attempt == _ATTEMPTS - 1:
                raise
            sleep(_PAUSE_S)
    return None


def _redshift(region: str) -> Iterator[Any]:
    from moto.core.resource_tagging import TaggedResource

    models = sys.modules.get("moto.redshift.models")
    if models is None or region not in models.redshift_backends[ACCOUNT]:
        return
    backend = models.redshift_backends[ACCOUNT][region]
    for kind, resources in (("cluster", backend.clusters), ("snapshot", backend.snapshots)):
        for resource in resources.values():
            tags = {tag["Key"]: tag["Value"] for tag in resource.tags}
            yield TaggedResource(arn=resource.arn, tags=tags, resource_type=f"redshift:{kind}")
