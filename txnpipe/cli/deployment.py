"""What setup, plan, status and teardown have in common: how a plan reads, and how work in progress looks."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from txnpipe.cli.frame import Invocation

if TYPE_CHECKING:
    from txnpipe.cli.output import Output
    from txnpipe.deploy.events import Event
    from txnpipe.deploy.graph import Graph
    from txnpipe.deploy.plan import Plan

WIDEST_VALUE = 60
REPORT_EVERY_S = 15.0
"""Without a terminal: how often a long wait says that it is still waiting."""
_SIGNS = {"create": "+", "update": "~", "replace": "!", "wait": "…", "delete": "-"}
_DONE = {
    "create": "created",
    "update": "updated",
    "replace": "replaced",
    "wait": "ready",
    "delete": "deleted",
}


def pipeline_graph(run: Invocation, *, every_warehouse: bool = False) -> Graph:
    """The graph of the invocation's pipeline. every_warehouse: see `assemble`."""
    from txnpipe.deploy.graph import assemble

    return assemble(run.target, run.settings, run.names, every_warehouse=every_warehouse)


def headline(run: Invocation) -> str:
    """Which pipeline, where."""
    names, target = run.names, run.target
    where = f"account {names.account}, region {names.region}"
    at = f", {target.endpoint_url}" if target.endpoint_url else ""
    return f"Pipeline [bold]{names.pipeline}[/bold] on [bold]{target.name}[/bold] ({where}{at})"


def warn(run: Invocation) -> None:
    """Says what the settings ask for that is not what one may expect of it."""
    from txnpipe.packaging.rules import inexact_rules

    rules = inexact_rules(run.settings)
    if rules:
        run.out.warn(
            f"{' and '.join(rules)} look back at an account's transactions: above parallelism 1 "
            "(analytics.parallelism, analytics.auto_scaling) neighbours can change places."
        )


def show_plan(say: Callable[[str], None], plan: Plan) -> None:
    """Writes a plan for a person: one line a resource, below it the fields that differ."""
    from rich.markup import escape

    for change in plan.work:
        action = change.action.value
        note = f" ({change.note})" if change.note else ""
        say(f"  {_SIGNS[action]} {action:8}{escape(f'{change.kind} {change.name}{note}')}")
        if action in {"create", "wait"}:
            continue
        for difference in change.differences:
            before, after = _value(difference.before), _value(difference.after)
            say(f"             {escape(f'{difference.field}: {before} → {after}')}")
    counts = plan.counts()
    parts = [f"{counts[name]} to {name}" for name in _SIGNS if name in counts]
    say(f"{', '.join(parts) or 'Nothing to change'}; {counts.get('unchanged', 0)} unchanged.")


def _value(value: Any) -> str:
    from txnpipe.resources.difference import Marker

    text = value.value if isinstance(value, Marker) else str(value)
    return text if len(text) <= WIDEST_VALUE else f"{text[: WIDEST_VALUE - 1]}…"


@contextmanager
def shown(out: Output, total: int) -> Iterator[Callable[[Event], None]]:
    """Shows work in progress on stderr; yields the listener. On a terminal what runs now moves."""
    from rich.progress import SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with out.progress(*columns) as progress:
        view = _View(out, progress, total)
        yield view


class _View:
    """Listens to events from many threads."""

    def __init__(self, out: Output, progress: Any, total: int) -> None:
        self._out = out
        self._progress = progress
        self._total = total
        self._ended = 0
        self._tasks: dict[str, Any] = {}
        self._reported: dict[str, float] = {}
        self._mutex = threading.Lock()

    def __call__(self, event: Event) -> None:
        from rich.markup import escape

        with self._mutex:
            what = f"{event.kind} {event.name}"
            if event.phase == "started":
                self._tasks[event.resource] = self._progress.add_task(f"{event.action.value} {escape(what)}")
            elif event.phase == "waiting":
                self._wait(event)
            else:
                self._end(event, what)

    def _wait(self, event: Event) -> None:
        from rich.markup import escape

        text = f"{event.action.value} {event.kind} {event.name}: waiting for {event.detail}"
        self._progress.update(self._tasks[event.resource], description=escape(text))
        last = self._reported.get(event.resource, 0.0)
        if not self._out.live and event.seconds - last >= REPORT_EVERY_S:
            self._reported[event.resource] = event.seconds
            self._out.say(f"  … {escape(text)}, {event.seconds:.0f} s")

    def _end(self, event: Event, what: str) -> None:
        from rich.markup import escape

        self._progress.remove_task(self._tasks.pop(event.resource))
        self._ended += 1
        if event.phase == "failed":
            self._out.say(f"  [red]✗[/red] {escape(f'{event.action.value} {what}: {event.detail}')}")
            return
        count = f"{self._ended}/{self._total}"
        done = _DONE[event.action.value]
        self._out.say(f"  [green]✓[/green] {count:>6}  {escape(f'{what} {done}')}  {event.seconds:.1f} s")
