"""What namespace, workgroup and usage limit share: how Redshift Serverless is read, and how it is changed.

A request is refused with ConflictException while another change of the same namespace or workgroup is under
way, and each request may change one thing. There are no waiters, and no status says that something failed: a
workgroup that could not be made disappears again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from txnpipe.errors import ExitCode, TxnpipeError
from txnpipe.resources.refusals import coded, once_accepted
from txnpipe.resources.resource import Cloud, Observed, Resource, wait_gone
from txnpipe.warehouse.finding import describe_serverless

READY_TIMEOUT_S = 1800.0
"""Creations and changes of a workgroup take minutes, a resize up to a quarter of an hour."""

S = TypeVar("S")
T = TypeVar("T")
Part = Literal["namespace", "workgroup"]


@dataclass(frozen=True)
class Described:
    """A namespace or workgroup as the service describes it, and its tags."""

    document: Mapping[str, Any]
    arn: str
    status: str
    tags: Mapping[str, str]


def described(cloud: Cloud, part: Part, name: str) -> Described | None:
    """The namespace or workgroup of that name, or None. Raises ClientError."""
    document = describe_serverless(cloud.target, part, name)
    if document is None:
        return None
    serverless = cloud.client("redshift-serverless")
    arn = document[f"{part}Arn"]
    try:
        tags = serverless.list_tags_for_resource(resourceArn=arn)["tags"]
    except serverless.exceptions.ResourceNotFoundException:
        return None  # gone meanwhile
    return Described(document, arn, document["status"], {tag["key"]: tag["value"] for tag in tags})


def serverless_tags(tags: Mapping[str, str]) -> list[dict[str, str]]:
    """Tags in the form this service wants."""
    return [{"key": key, "value": value} for key, value in tags.items()]


def made(cloud: Cloud, resource: Resource[Any], call: Callable[[], Any]) -> None:
    """Creates something. ConflictException: it is there already, by a call whose answer was lost, and
    `settle` reads whose it is; or something in the way is still changing, and the call is made again."""

    conflict = cloud.client("redshift-serverless").exceptions.ConflictException

    def create() -> None:
        try:
            call()
        except conflict:
            if resource.read() is None:
                raise

    accepted(cloud, resource, create)


def removed(cloud: Cloud, resource: Resource[Any], call: Callable[[], Any]) -> None:
    """Deletes something, unless it is leaving already, and waits until it is gone."""
    missing = cloud.client("redshift-serverless").exceptions.ResourceNotFoundException

    def delete() -> None:
        observed = resource.read()
        if observed is not None and not observed.leaving:
            with suppress(missing):
                call()

    accepted(cloud, resource, delete)
    wait_gone(cloud, resource, READY_TIMEOUT_S)


def accepted(cloud: Cloud, resource: Resource[Any], call: Callable[[], T]) -> T:
    """Makes a call again while the service says that another change is under way, for a while."""
    return once_accepted(
        cloud,
        resource,
        call,
        coded("ConflictException"),
        what=f"{resource.kind} {resource.name} to take changes",
        timeout_s=READY_TIMEOUT_S,
    )


def changed(cloud: Cloud, resource: Resource[S], desired: S, name: str, call: Callable[[], Any]) -> None:
    """Changes the field `name`, and waits until the change is done. Where an answer was lost and the call is
    to be made again, it is made only while the field is not as desired: not every change may be asked for
    twice."""

    def change() -> None:
        observed = resource.read()
        if observed is None or getattr(observed.state, name) != getattr(desired, name):
            call()

    accepted(cloud, resource, change)
    resource.settle()


def settled(cloud: Cloud, resource: Resource[S]) -> Observed[S]:
    """Waits until it is ready. Raises TxnpipeError: SERVICE where it disappears meanwhile, TIMEOUT."""
    seen: list[str] = []

    def probe() -> Observed[S] | None:
        observed = resource.read()
        if observed is not None:
            seen.append(observed.status)
            return observed if observed.ready and not observed.leaving else None
        if seen:
            raise TxnpipeError(
                f"The {resource.kind} {resource.name} was {seen[-1]} and is gone now: Redshift Serverless "
                "could not make it, or somebody deleted it.",
                "Look at its events in the console (free addresses in the subnets, quotas), then run the "
                "same command again.",
                ExitCode.SERVICE,
            )
        return None

    return cloud.waiter.until(
        resource, f"{resource.kind} {resource.name} to be ready", probe, READY_TIMEOUT_S
    )
