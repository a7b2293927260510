"""`txnpipe demo`: the main job from setup to teardown, told as a story."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from txnpipe.cli.frame import Invocation, command
from txnpipe.errors import ExitCode, usage_error

if TYPE_CHECKING:
    from txnpipe.deploy.events import Event
    from txnpipe.proof.verify import Proof
    from txnpipe.traffic.send import Sent

PIPELINE = "demo"
FIRST_COUNT = 1000
PUSH_RATE = 3000
PUSH_COUNT = 8_000
SHARDS = 4
SEED = 7
HELD = 1.35
"""A push counts as held by the shard's limit while it stays below this many times 1,000/s: a shard lets the
first second's records through as a burst."""
PASSED = 0.9
"""A push counts as passing from this share of the asked rate on."""
TIMEOUT_S = 120.0


@dataclass
class _Story:
    """What the demo saw, for the summary and for --json."""

    stages: list[dict[str, Any]] = field(default_factory=list)

    def tell(self, stage: str, seconds: float, text: str, ok: bool, **facts: Any) -> None:
        self.stages.append({"stage": stage, "seconds": round(seconds, 1), "text": text, "ok": ok, **facts})

    @property
    def ok(self) -> bool:
        return all(stage["ok"] for stage in self.stages)


@command()
def demo(
    run: Invocation,
    keep: Annotated[bool, typer.Option("--keep", help="Leave the pipeline running at the end.")] = False,
) -> ExitCode:
    """Show the whole pipeline on this machine: set up, send, verify, reach a limit, scale, verify, remove.

    txnpipe demo

    txnpipe demo --keep

    It runs as a pipeline of its own, called demo, on the local cloud. Exit code 0: everything was proven.
    """
    run = _as_demo(run)
    started = time.monotonic()
    story = _Story()
    with _cloud(run, keep):
        try:
            _setup(run, story)
            _send_and_verify(run, story)
            _reach_the_limit_and_scale(run, story)
        finally:
            if not keep:
                _teardown(run, story)
    seconds = time.monotonic() - started
    _summary(run, story, seconds, keep)
    run.out.result("demo", {"ok": story.ok, "seconds": round(seconds, 1), "stages": story.stages})
    return ExitCode.OK if story.ok else ExitCode.DIFFERENCE


def _as_demo(run: Invocation) -> Invocation:
    """The same invocation for the pipeline `demo`, unless another one was named."""
    if run.settings.target != "local":
        raise usage_error(
            f"The demo runs on the local cloud, and the target is {run.settings.target}.",
            "Run it with --target local, or use setup, send and verify on the account.",
        )
    if run.loaded.origin("pipeline") != "default":
        return run
    return replace(run, overrides=run.overrides | {"pipeline": ("demo", PIPELINE)})


@contextmanager
def _cloud(run: Invocation, keep: bool) -> Iterator[None]:
    """The local cloud; stopped at the end if the demo is who started it."""
    from txnpipe.local.client import ensure_running, stop

    with run.out.status("Starting the local cloud …"):
        cloud = ensure_running(run.settings.local)
    try:
        yield
    finally:
        if cloud.started and not keep:
            with run.out.status("Stopping the local cloud …"):
                stop(cloud.home)


@contextmanager
def _stage(run: Invocation, number: int, title: str) -> Iterator[Callable[[str], None]]:
    """A headline, and below it a spinner on a terminal; yields how to change the spinner's text."""
    run.out.say(f"\n[bold cyan]{number}[/bold cyan]  [bold]{title}[/bold]")
    with run.out.status("…") as status:
        yield status.update if status is not None else _unheard


def _unheard(text: str) -> None:
    _ = text


def _done(run: Invocation, text: str, ok: bool = True) -> None:
    from rich.markup import escape

    run.out.say(f"   [{'green' if ok else 'red'}]{'✓' if ok else '✗'}[/] {escape(text)}")


def _setup(run: Invocation, story: _Story) -> None:
    from txnpipe.cli.deployment import pipeline_graph
    from txnpipe.deploy.apply import apply
    from txnpipe.deploy.plan import make_plan

    began = time.monotonic()
    with _stage(run, 1, "Set up: streams, warehouse, functions, analytics app, topic") as update:
        graph = pipeline_graph(run)
        planned = make_plan(graph)
        applied = apply(graph, planned, _counting(update, len(planned.work)))
    seconds = time.monotonic() - began
    text = (
        f"{len(applied.changes)} resources: a real Kinesis API, real Lambda zips, a real PostgreSQL "
        "in Redshift's place, a real Flink"
    )
    _done(run, f"{text}, in {seconds:.1f} s")
    story.tell("set up", seconds, f"{len(applied.changes)} resources", ok=True)


def _counting(update: Callable[[str], None], total: int) -> Callable[[Event], None]:
    """Shows what runs now, and how many resources are done."""
    running: dict[str, str] = {}
    ended: list[str] = []

    def listener(event: Event) -> None:
        if event.phase in {"started", "waiting"}:
            running[event.resource] = f"{event.kind} {event.name}"
        else:
            running.pop(event.resource, None)
            ended.append(event.resource)
        update(f"{len(ended)} of {total}: {', '.join(list(running.values())[:3])}")

    return listener


def _send_and_verify(run: Invocation, story: _Story) -> None:
    with _stage(run, 2, f"Send {FIRST_COUNT:,} transactions, some of them suspicious"):
        sent = _send(run, FIRST_COUNT, None)
    _tell_sent(run, story, sent, f"send {FIRST_COUNT:,}", ok=sent.result is not None)
    with _stage(run, 3, "Verify: ask the warehouse for every row and every alert"):
        _verify(run, story, sent, "verify")


def _reach_the_limit_and_scale(run: Invocation, story: _Story) -> None:
    from txnpipe.scaling import reshard

    client, stream = run.target.client("kinesis"), run.names.stream
    reshard.walk(client, stream, 1)
    with _stage(run, 4, f"Push {PUSH_RATE:,} a second at one shard, which takes 1,000"):
        first = _send(run, PUSH_COUNT, PUSH_RATE)
    held = first.result is not None and _rate(first) < 1000 * HELD
    _tell_sent(run, story, first, f"push {PUSH_RATE:,}/s at 1 shard", ok=held)
    began = time.monotonic()
    with _stage(run, 5, f"Scale to {SHARDS} shards, in the steps that Kinesis allows"):
        planned = reshard.plan(client, stream, SHARDS)
        reshard.walk(client, stream, SHARDS)
    seconds = time.monotonic() - began
    path = " → ".join(map(str, (planned.current, *planned.steps)))
    _done(run, f"{path} shards in {seconds:.1f} s")
    story.tell(f"scale to {SHARDS}", seconds, f"{path} shards", ok=True)
    with _stage(run, 6, f"Push {PUSH_RATE:,} a second again"):
        second = _send(run, PUSH_COUNT, PUSH_RATE)
    passed = second.result is not None and _rate(second) >= PUSH_RATE * PASSED
    _tell_sent(run, story, second, f"push {PUSH_RATE:,}/s at {SHARDS} shards", ok=passed)
    with _stage(run, 7, "Verify both pushes"):
        _verify(run, story, first, "verify the first push")
        _verify(run, story, second, "verify the second push")


def _send(run: Invocation, count: int, rate: float | None) -> Sent:
    from txnpipe.traffic.manifest import generated_run, new_run_id, utc_now
    from txnpipe.traffic.runs import RunStore
    from txnpipe.traffic.send import choose, send
    from txnpipe.traffic.stream import KinesisStream

    stream = KinesisStream(run.target, run.names.stream)
    store = RunStore(run.target, run.names.bucket)
    now = utc_now()
    wanted = generated_run(
        run_id=new_run_id(now),
        pipeline=run.settings.pipeline,
        count=count,
        seed=SEED,
        now=now,
        rate=rate,
        stream=run.names.stream,
        shards=stream.open_shards(),
    )
    return send(store, stream, choose(store, wanted, new=True))


def _rate(sent: Sent) -> float:
    return sent.progress.acknowledged / max(sent.progress.elapsed_s, 1e-6)


def _tell_sent(run: Invocation, story: _Story, sent: Sent, stage: str, *, ok: bool) -> None:
    progress = sent.progress
    text = f"{progress.acknowledged:,} acknowledged at {_rate(sent):,.0f}/s"
    if progress.throttled:
        text += f", {progress.throttled:,} refused by the limit and sent again"
    _done(run, f"{text}, in {progress.elapsed_s:.1f} s", ok)
    story.tell(stage, progress.elapsed_s, text, ok, records_per_second=round(_rate(sent), 1))


def _verify(run: Invocation, story: _Story, sent: Sent, stage: str) -> None:
    from txnpipe.packaging.rules import enabled_rules, rules_in_order
    from txnpipe.proof.sources import Sources
    from txnpipe.proof.verify import verify
    from txnpipe.traffic.runs import RunStore
    from txnpipe.warehouse import open_warehouse

    began = time.monotonic()
    with open_warehouse(run.target, run.settings, run.names) as warehouse:
        sources = Sources(
            target=run.target,
            names=run.names,
            store=RunStore(run.target, run.names.bucket),
            warehouse=warehouse,
            rules=enabled_rules(run.settings),
            in_order=run.settings.loader.parallelization_factor == 1,
            rules_in_order=rules_in_order(run.settings),
        )
        proof = verify(sources, sent.manifest, timeout_s=TIMEOUT_S)
    text = _proven(proof)
    _done(run, text, proof.equal)
    if proof.row_latency is not None:
        run.out.say(f"     [dim]{_latencies(proof)}[/dim]")
    for difference in proof.differences:
        run.out.say(f"     {difference}")
    story.tell(stage, time.monotonic() - began, text, proof.equal, differences=list(proof.differences))


def _proven(proof: Proof) -> str:
    rows = proof.rows
    alerts = sum(rule.stored for rule in proof.rules)
    expected = sum(rule.expected for rule in proof.rules)
    return (
        f"{rows.stored:,} of {rows.expected:,} rows, {rows.duplicate.count:,} twice, "
        f"{rows.changed.count:,} changed; {alerts:,} of {expected:,} alerts"
    )


def _latencies(proof: Proof) -> str:
    parts = [
        f"{name} p50 {each.p50_ms:,.0f} ms, p99 {each.p99_ms:,.0f} ms"
        for name, each in (("event → row", proof.row_latency), ("event → alert", proof.alert_latency))
        if each is not None
    ]
    return "; ".join(parts)


def _teardown(run: Invocation, story: _Story) -> None:
    from txnpipe.cli.deployment import pipeline_graph
    from txnpipe.deploy.teardown import sweep, take_inventory, teardown

    began = time.monotonic()
    with _stage(run, 8, "Tear down") as update:
        graph = pipeline_graph(run)
        inventory = take_inventory(graph)
        listener = _counting(update, len(inventory.present))
        removed = teardown(graph, inventory, listener) if not inventory.empty else ()
        left = sweep(graph)
    seconds = time.monotonic() - began
    leftovers = [*left.present, *left.tagged]
    text = f"{len(removed)} resources removed, {len(leftovers)} left"
    _done(run, f"{text}, in {seconds:.1f} s", not leftovers)
    story.tell("tear down", seconds, text, not leftovers, leftovers=leftovers)


def _summary(run: Invocation, story: _Story, seconds: float, keep: bool) -> None:
    from rich.text import Text

    rows = [
        (
            Text("✓", "green") if stage["ok"] else Text("✗", "red"),
            stage["stage"],
            f"{stage['seconds']:.1f}",
            stage["text"],
        )
        for stage in story.stages
    ]
    run.out.line()
    run.out.table(None, ("", "stage", "s", "what happened"), rows, right="s")
    verdict = "[bold green]Everything was proven[/]" if story.ok else "[bold red]Something differs[/]"
    run.out.line(f"{verdict}, in {seconds:.0f} s.")
    if keep:
        run.out.say(f"Still running: txnpipe status --pipeline {run.settings.pipeline}")
        run.out.say(f"Remove it with: txnpipe teardown --pipeline {run.settings.pipeline}")
    else:
        run.out.say("Next: txnpipe setup, then txnpipe send --count 1000 and txnpipe verify")
