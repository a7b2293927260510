"""Planning and applying with resources in memory: what happens to those that are in between."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from tests.unit.deploy.remote import settings_of
from txnpipe.aws import Target
from txnpipe.deploy.apply import Applied, apply
from txnpipe.deploy.events import Event, Phase
from txnpipe.deploy.graph import Graph, graph_of
from txnpipe.deploy.plan import Action, make_plan
from txnpipe.errors import ExitCode, TxnpipeError
from txnpipe.names import Names
from txnpipe.resources.difference import KNOWN_AFTER_APPLY, REPLACES, Difference
from txnpipe.resources.resource import Cancelled, Cloud, Observed, Waiter


@dataclass(frozen=True)
class State:
    """What a thing is."""

    size: int
    shape: str = field(default="round", metadata=REPLACES)
    beside: Any = None


@dataclass
class Thing:
    """A resource in memory. `coming` are the observations of the next reads; then `actual` counts."""

    name: str
    requires: tuple[str, ...] = ()
    wanted: State = field(default_factory=lambda: State(1))
    actual: State | None = None
    coming: list[Observed[State] | None] = field(default_factory=list)
    neighbour: Thing | None = None
    error: Exception | None = None
    log: list[str] = field(default_factory=list)
    kind: str = "thing"
    inside: str | None = None

    def desired(self) -> State:
        if self.neighbour is None:
            return self.wanted
        beside = self.neighbour.actual.size if self.neighbour.actual else KNOWN_AFTER_APPLY
        return replace(self.wanted, beside=beside)

    def read(self) -> Observed[State] | None:
        if self.coming:
            return self.coming.pop(0)
        return Observed(self.actual, "there") if self.actual else None

    def create(self, desired: State) -> None:
        self._do("create", desired)

    def update(self, desired: State, differences: tuple[Difference, ...]) -> None:
        self._do("update " + " ".join(item.field for item in differences), desired)

    def _do(self, what: str, desired: State) -> None:
        self.log.append(what)
        if self.error:
            raise self.error
        self.actual = desired

    def settle(self) -> None:
        self.log.append("settle")

    def delete(self) -> None:
        self.log.append("delete")
        self.actual = None


class NoLock:
    """A lock nobody contends for."""

    def __enter__(self) -> NoLock:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def assert_held(self) -> None:
        """It is."""


TARGET = Target("test", "us-east-1", "1", None, None, None, "direct", "prefer", None, 0, 1000, None)  # type: ignore[arg-type]


def graph(*things: Thing) -> Graph:
    now = [0.0]

    def sleep(seconds: float) -> None:
        now[0] += seconds

    cloud = Cloud(TARGET, settings_of(), Names("default", "1", "us-east-1"), Waiter(lambda: now[0], sleep))
    bucket = Thing("bucket", actual=State(1))
    return graph_of(cloud, [bucket, *things], "thing/bucket")


def applied(found: Graph, events: list[Event] | None = None) -> Applied:
    listener = (lambda event: events.append(event)) if events is not None else (lambda _: None)
    return apply(found, make_plan(found), listener, lock=NoLock)  # type: ignore[arg-type]


def test_what_is_as_it_should_be_is_not_touched() -> None:
    thing = Thing("a", actual=State(1))
    assert applied(graph(thing)).changes == ()
    assert thing.log == []


def test_only_the_fields_that_differ_are_updated() -> None:
    thing = Thing("a", actual=State(3))
    changes = applied(graph(thing)).changes
    assert [(item.field, item.before, item.after) for item in changes[0].differences] == [("size", 3, 1)]
    assert thing.log == ["update size", "settle"]


def test_a_field_that_cannot_be_changed_replaces_the_resource() -> None:
    thing = Thing("a", actual=State(1, "square"))
    assert applied(graph(thing)).changes[0].action is Action.REPLACE
    assert thing.log == ["delete", "create", "settle"]


def test_what_is_still_changing_is_awaited_and_then_compared_again() -> None:
    thing = Thing("a", actual=State(2))
    unready = Observed(State(1), "CREATING", ready=False)
    thing.coming = [unready, unready]
    found = graph(thing)
    plan = make_plan(found)
    assert [change.action for change in plan.work] == [Action.WAIT]
    assert "CREATING" in plan.work[0].note
    apply(found, plan, lock=NoLock)  # type: ignore[arg-type]
    assert thing.log == ["settle", "update size", "settle"]


def test_what_is_being_deleted_is_made_anew_once_it_is_gone() -> None:
    thing = Thing("a")
    leaving = Observed(State(1), "DELETING", ready=False, leaving=True)
    thing.coming = [leaving] * 4
    assert applied(graph(thing)).changes[0].action is Action.CREATE
    assert thing.coming == []
    assert thing.log == ["create", "settle"]


def test_a_resource_whose_requirement_changed_is_compared_again() -> None:
    first = Thing("first", actual=State(5), wanted=State(6))
    second = Thing("second", ("thing/first",), actual=State(1, beside=5), neighbour=first)
    third = Thing("third", ("thing/bucket",), actual=State(1))
    found = graph(first, second, third)
    assert [change.resource for change in make_plan(found).work] == ["thing/first"]
    assert [change.resource for change in applied(found).changes] == ["thing/first", "thing/second"]
    assert second.actual == State(1, beside=6)
    assert third.log == []


def test_an_old_plan_does_no_harm() -> None:
    thing = Thing("a")
    found = graph(thing)
    plan = make_plan(found)
    thing.actual = State(1)  # somebody else was faster
    assert apply(found, plan, lock=NoLock).changes == ()  # type: ignore[arg-type]
    assert thing.log == []


def test_a_failure_lets_the_others_finish_and_says_where_what_and_what_next() -> None:
    refused = TxnpipeError("Could not create b.", "Ask for a higher quota.", ExitCode.LIMIT)
    a, b = Thing("a"), Thing("b", error=refused)
    c = Thing("c", ("thing/b",))
    events: list[Event] = []
    with pytest.raises(TxnpipeError, match=r"Could not create b\.") as caught:
        applied(graph(a, b, c), events)
    assert caught.value.exit_code is ExitCode.LIMIT
    assert caught.value.fix == "Ask for a higher quota. Then run txnpipe setup again: it continues here."
    assert caught.value.details == ("not reached: thing/c",)
    assert a.actual
    assert not c.log
    assert [event.phase for event in events if event.name == "b"] == [Phase.STARTED, Phase.FAILED]
    assert [event.phase for event in events if event.name == "a"] == [Phase.STARTED, Phase.DONE]


def test_a_defect_is_raised_as_what_it_is() -> None:
    with pytest.raises(ZeroDivisionError):
        applied(graph(Thing("a", error=ZeroDivisionError())))


def test_a_cancelled_wait_is_an_interruption() -> None:
    with pytest.raises(KeyboardInterrupt):
        applied(graph(Thing("a", error=Cancelled())))


def test_what_must_be_known_by_now_and_is_not_is_an_error() -> None:
    ghost = Thing("ghost", actual=State(1))
    thing = Thing("a", ("thing/ghost",), neighbour=Thing("never made"))
    with pytest.raises(TxnpipeError, match="needs beside, which is not there"):
        applied(graph(ghost, thing))


def test_a_requirement_that_is_nobody_is_a_defect() -> None:
    with pytest.raises(KeyError):
        graph(Thing("a", ("thing/nobody",)))


def test_cancelling_ends_a_real_wait_at_once() -> None:
    waiter = Waiter()
    waiter.cancel()
    with pytest.raises(Cancelled):
        waiter.until(Thing("a"), "ever", lambda: None, 60)
