"""The contract of every kind of resource, and what all of them share: the cloud they live in, and tags."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar

from txnpipe.aws import Target
from txnpipe.config import Settings
from txnpipe.errors import ExitCode, TxnpipeError
from txnpipe.names import TAG_PIPELINE, Names
from txnpipe.resources.difference import Difference
from txnpipe.waiting import wait_until

S = TypeVar("S")
S_co = TypeVar("S_co", covariant=True)
T = TypeVar("T")

CONTINUES = "Run the same command again: it continues where this one stopped."


@dataclass(frozen=True)
class Observed(Generic[S_co]):
    """What `read` found.

    status is the service's own word (ACTIVE, available, ...). ready says whether it may be used and changed;
    leaving, that it is being deleted already. facts are for `status` only and never part of a plan. state is
    None where it cannot be told now (a schema inside a paused warehouse).
    """

    state: S_co | None
    status: str
    ready: bool = True
    leaving: bool = False
    facts: Mapping[str, Any] = field(default_factory=dict)


class Resource(Protocol[S]):
    """One AWS resource of the pipeline. All methods may be called from any thread."""

    @property
    def kind(self) -> str:
        """What it is, in a word or two: "stream", "event source mapping"."""
        ...

    @property
    def name(self) -> str:
        """Its name, unique within its kind."""
        ...

    @property
    def requires(self) -> tuple[str, ...]:
        """Ids of the resources that must be there and ready before it."""
        ...

    @property
    def inside(self) -> str | None:
        """Id of the resource that takes this one along when it is deleted; None where it stands alone."""
        ...

    def desired(self) -> S:
        """The state it should have. Only reads; may build a zip."""
        ...

    def read(self) -> Observed[S] | None:
        """The state it has, or None. Only reads. CONFLICT where the name belongs to somebody else."""
        ...

    def create(self, desired: S) -> None:
        """Makes it. Where it appeared meanwhile, ours is taken as it is."""
        ...

    def update(self, desired: S, differences: tuple[Difference, ...]) -> None:
        """Changes the fields named; called only on a ready resource."""
        ...

    def settle(self) -> None:
        """Waits until it is ready."""
        ...

    def delete(self) -> None:
        """Removes it and waits until it is gone. What is gone already is fine."""
        ...


def resource_id(kind: str, name: str) -> str:
    """The id of a resource within its pipeline."""
    return f"{kind}/{name}"


def id_of(resource: Resource[Any]) -> str:
    """The id of a resource within its pipeline."""
    return resource_id(resource.kind, resource.name)


class Cancelled(Exception):  # noqa: N818 - it is no error
    """The user interrupted while a resource was waiting."""


class Waiter:
    """Waits for resources: one clock and sleep for all, one listener, and one way to cancel them all."""

    def __init__(
        self,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] | None = None,
    ) -> None:
        self.clock = clock
        self.listener: Callable[[str, str, float], None] = lambda *_: None
        self._cancelled = threading.Event()
        self._sleep = sleep or self._interruptible_sleep

    def cancel(self) -> None:
        """Makes every wait, now and later, end with Cancelled."""
        self._cancelled.set()

    def sleep(self, seconds: float) -> None:
        """Pauses; raises Cancelled as soon as somebody cancels."""
        self._sleep(seconds)
        if self._cancelled.is_set():
            raise Cancelled

    def _interruptible_sleep(self, seconds: float) -> None:
        self._cancelled.wait(seconds)

    def until(
        self,
        resource: Resource[Any],
        what: str | Callable[[], str],
        probe: Callable[[], T | None],
        timeout_s: float,
        *,
        fix: str = CONTINUES,
        interval_s: float = 1.0,
    ) -> T:
        """`wait_until`, with the waiting told to the listener under the resource's id.

        `what` is a function where what is awaited changes while waiting.
        """

        def told(waited: float) -> None:
            self.listener(id_of(resource), what if isinstance(what, str) else what(), waited)

        return wait_until(
            probe,
            what,
            timeout_s,
            fix=fix,
            interval_s=interval_s,
            clock=self.clock,
            sleep=self.sleep,
            on_wait=told,
        )


@dataclass(frozen=True)
class Cloud:
    """What every resource is made with: the target, the settings, the names, and the way to wait."""

    target: Target
    settings: Settings
    names: Names
    waiter: Waiter = field(default_factory=Waiter)
    _known: dict[str, Any] = field(default_factory=dict, repr=False, compare=False)

    def once(self, what: str, ask: Callable[[], T]) -> T:
        """Asks for something that does not change while a command runs (the VPC) only once."""
        if what not in self._known:
            self._known[what] = ask()
        found: T = self._known[what]
        return found

    def client(self, service: str) -> Any:
        """The target's client of a service."""
        return self.target.client(service)

    @property
    def tags(self) -> dict[str, str]:
        """The tags of everything the pipeline owns."""
        return {TAG_PIPELINE: self.names.pipeline}

    @property
    def tag_list(self) -> list[dict[str, str]]:
        """The same in the form most services want."""
        return [{"Key": key, "Value": value} for key, value in self.tags.items()]

    def assert_ours(self, kind: str, name: str, tags: Mapping[str, str]) -> None:
        """Raises CONFLICT unless `tags` say that this pipeline owns the resource."""
        owner = tags.get(TAG_PIPELINE)
        if owner == self.names.pipeline:
            return
        whose = f"belongs to the pipeline {owner}" if owner else f"does not carry the tag {TAG_PIPELINE}"
        raise TxnpipeError(
            f"The {kind} {name} exists already and {whose}.",
            "Choose another name with --pipeline NAME, or remove or rename what is in the way.",
            ExitCode.CONFLICT,
        )


def tags_of(pairs: Iterable[Mapping[str, str]]) -> dict[str, str]:
    """[{"Key": k, "Value": v}] as a mapping."""
    return {pair["Key"]: pair["Value"] for pair in pairs}


def wait_gone(cloud: Cloud, resource: Resource[Any], timeout_s: float) -> None:
    """Waits until a resource that is being deleted is gone."""
    cloud.waiter.until(
        resource,
        f"{resource.kind} {resource.name} to be gone",
        lambda: True if resource.read() is None else None,
        timeout_s,
    )


def wait_ready(
    cloud: Cloud, resource: Resource[S], timeout_s: float, *, broken: Mapping[str, str] | None = None
) -> Observed[S]:
    """Waits until a resource is ready, and returns what was read then.

    `broken` maps statuses that will never become ready to what to do about them (a sentence). Where `read`
    knows better, it says so in facts["fix"], as it gives the cause in facts["reason"].
    """

    def probe() -> Observed[S] | None:
        observed = resource.read()
        if observed is None:
            return None
        if broken and observed.status in broken:
            raise TxnpipeError(
                f"The {resource.kind} {resource.name} is {observed.status}"
                + (f": {observed.facts['reason']}" if observed.facts.get("reason") else "."),
                observed.facts.get("fix") or broken[observed.status],
                ExitCode.SERVICE,
            )
        return observed if observed.ready and not observed.leaving else None

    return cloud.waiter.until(resource, f"{resource.kind} {resource.name} to be ready", probe, timeout_s)
