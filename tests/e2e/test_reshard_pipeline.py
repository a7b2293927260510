"""`scale` while `send` runs: producer, loader and analytics app follow the shards and miss nothing."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import takewhile
from threading import Event
from typing import IO

import pytest

from tests.e2e.conftest import Cloud
from tests.e2e.pipelines import Pipeline
from tests.waiting import PATIENCE_S, eventually

RATE = 500
"""Records per second: what one shard takes with ease."""
MOST = 100_000
"""More than could be sent while this test waits: it ends the run, not the other way round."""
PATH = (2, 4, 2)
GENERATIONS = 1 + sum(PATH)
"""The first shard, its two children, their four, the last two."""


@pytest.fixture
def scaled(cloud: Cloud) -> Iterator[Pipeline]:
    """A pipeline of one shard."""
    made = Pipeline(cloud, "scaled")
    made.run("setup")
    yield made
    made.run("teardown")


def feed(pipe: IO[str], lines: list[str], enough: Event) -> int:
    """Writes lines, as fast as they are taken, until it is enough. How many it wrote."""
    written = 0
    for line in takewhile(lambda _: not enough.is_set(), lines):
        pipe.write(line)
        written += 1
    return written


def test_a_run_that_is_resharded_three_times_is_stored_once_and_in_order(scaled: Pipeline) -> None:
    """In order: the rules compare an account's neighbours, and `verify` compares their alerts."""
    scaled.cloud.run("send", "--dry-run", "--count", str(MOST), "--output", "events.jsonl", check=True)
    lines = (scaled.cloud.work / "events.jsonl").read_text().splitlines(keepends=True)
    sending = scaled.begin("send", "--file", "-", "--rate", str(RATE), stdin=subprocess.PIPE)
    assert sending.stdin is not None
    enough = Event()

    with ThreadPoolExecutor(1) as feeder:
        feeding = feeder.submit(feed, sending.stdin, lines, enough)
        try:
            for shards in PATH:
                scaled.wait_for_rows(scaled.count("transactions") + RATE)
                assert scaled.run("scale", "--shards", str(shards))["to"] == shards
            eventually(lambda: shards_used(scaled) == GENERATIONS, "rows from every shard")
        finally:
            enough.set()
        count = feeding.result(PATIENCE_S)
    output, errors = sending.communicate(timeout=120)

    assert sending.returncode == 0, errors
    assert count < MOST
    proof = scaled.prove(count)
    assert json.loads(output)["run_id"] == proof["run_id"]
    described = scaled.cloud.client("kinesis").describe_stream_summary(StreamName="scaled-TransactionStream")
    assert described["StreamDescriptionSummary"]["OpenShardCount"] == PATH[-1]


def shards_used(pipeline: Pipeline) -> int:
    """From how many shards rows are stored."""
    return int(pipeline.query("SELECT COUNT(DISTINCT shard_id) FROM transactions")[0][0])
