"""What `send` shows while it sends, and what it says at the end."""

from __future__ import annotations

import io
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console

from txnpipe.cli.environment import Environment
from txnpipe.cli.frame import Invocation
from txnpipe.cli.heat import BAR_CELLS, SHOWN_SHARDS, bar, heat, hottest
from txnpipe.cli.output import Output
from txnpipe.cli.sending import showing, summary
from txnpipe.traffic.job import Job
from txnpipe.traffic.latency import Latency
from txnpipe.traffic.manifest import generated_run
from txnpipe.traffic.send import Sent
from txnpipe.traffic.sender import Progress, ShardProgress

NOW = datetime(2026, 11, 24, tzinfo=UTC)
MANIFEST = generated_run(run_id="20261124T000000-000001", pipeline="default", count=3000, seed=1, now=NOW)


def shard(number: int, rate: float = 0.0, **changes: Any) -> ShardProgress:
    values = {"acknowledged": 100 * number, "throttled": 0, "queued": 0} | changes
    return ShardProgress(f"shardId-{number:012d}", rate=rate, **values)


def progress(shards: tuple[ShardProgress, ...], latency: Latency | None, **changes: Any) -> Progress:
    values: dict[str, Any] = {
        "offered": 3000, "acknowledged": 3000, "attempts": 3010, "throttled": 10, "failed": 0,
        "failed_calls": 0, "watermark": 3000, "rate": 1500.0, "elapsed_s": 2.0,
    }  # fmt: skip
    return Progress(**(values | changes), shards=shards, latency=latency)


class Terminal(io.StringIO):
    """A terminal as far as the program asks."""

    def isatty(self) -> bool:
        return True


def invocation(as_json: bool = False, stderr: io.StringIO | None = None) -> tuple[Invocation, io.StringIO]:
    stdout = io.StringIO()
    environment = Environment(
        stdin=io.StringIO(), stdout=stdout, stderr=stderr or io.StringIO(), variables={}, directory=Path()
    )
    out = Output(environment, as_json=as_json, quiet=False, color=False)
    return Invocation(environment, out, None, {}), stdout


def printed(renderable: Any) -> list[str]:
    console = Console(file=io.StringIO(), width=100)
    console.print(renderable)
    return [line.rstrip() for line in console.file.getvalue().splitlines()]  # type: ignore[attr-defined]


def test_a_bar_is_full_at_the_limit_of_a_shard() -> None:
    assert bar(0).strip() == ""
    assert bar(500) == "█" * (BAR_CELLS // 2) + " " * (BAR_CELLS // 2)
    assert bar(1000) == bar(5000) == "█" * BAR_CELLS
    assert all(len(bar(rate)) == BAR_CELLS for rate in range(0, 1200, 7))


def test_the_hottest_open_shards_are_shown_in_their_order() -> None:
    shards = [shard(number, rate=number % 10 * 100.0, open=number != 9) for number in range(30)]
    shown = hottest(shards)
    assert len(shown) == SHOWN_SHARDS
    assert [each.shard_id for each in shown] == sorted(each.shard_id for each in shown)
    assert {each.rate for each in shown} == {900.0, 800.0, 700.0}
    assert shards[9] not in shown


def test_a_line_tells_rate_queue_and_throttling_of_a_shard() -> None:
    lines = printed(heat([shard(0, 990.0, queued=1234, throttled=5), shard(1, 20.0)]))
    assert "990/s" in lines[0]
    assert "1,234 waiting" in lines[0]
    assert "5 throttled" in lines[0]
    assert "waiting" not in lines[1]
    many = printed(heat([shard(number, number) for number in range(12)]))
    assert many[-1] == "and 4 cooler shards"


def test_the_display_shows_shards_on_a_terminal_and_nothing_elsewhere() -> None:
    latency = Latency(7, 1.0, 2.0, 33.0, 40.0)
    for stderr, seen in ((Terminal(), True), (io.StringIO(), False)):
        run, _ = invocation(stderr=stderr)
        with showing(run, Job(MANIFEST, None)) as report:
            report(progress((shard(3, 1000.0),), latency))
        assert ("shardId-000000000003" in stderr.getvalue()) is seen
        assert ("10 throttled · p99 33 ms" in stderr.getvalue()) is seen


def test_the_summary_has_latency_and_shards() -> None:
    latency = Latency(7, 1.23456, 2.0, 3.0, 4.0)
    shards = (shard(10, throttled=10), shard(20), shard(5, open=False))
    sent = Sent(MANIFEST, progress(shards, latency), None, ())

    run, stdout = invocation(as_json=True)
    summary(run, sent)
    document = json.loads(stdout.getvalue())
    assert document["latency_ms"] == {"calls": 7, "p50": 1.235, "p95": 2.0, "p99": 3.0, "max": 4.0}
    assert document["shards"][0] == {
        "shard_id": "shardId-000000000010",
        "open": True,
        "acknowledged": 1000,
        "throttled": 10,
        "records_per_second": 500.0,
    }
    assert document["records_per_second"] == 1500.0

    run, stdout = invocation()
    summary(run, sent)
    text = stdout.getvalue()
    assert "7 calls answered: p50 1.2 ms, p95 2.0 ms, p99 3.0 ms, slowest 4.0 ms" in text
    assert "shardId-000000000005 (closed)" in text


def test_a_run_without_an_answer_has_no_latency() -> None:
    run, stdout = invocation(as_json=True)
    summary(run, Sent(MANIFEST, progress((), None, acknowledged=0), None, ()))
    assert json.loads(stdout.getvalue())["latency_ms"] is None
    run, stdout = invocation()
    summary(run, Sent(MANIFEST, progress((), None, acknowledged=0), None, ()))
    assert "calls answered" not in stdout.getvalue()
