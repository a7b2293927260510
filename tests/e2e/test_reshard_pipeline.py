"""`scale` while `send` runs: producer, loader and analytics app follow the shards and miss nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.e2e.conftest import Cloud
from tests.e2e.pipelines import Pipeline
from tests.waiting import eventually

COUNT = 10_000
RATE = 500
"""Twenty seconds: long enough for three reshards, and what one shard takes with ease."""
PATH = (2, 4, 2)


@pytest.fixture
def scaled(cloud: Cloud) -> Iterator[Pipeline]:
    """A pipeline of one shard."""
    made = Pipeline(cloud, "scaled")
    made.run("setup")
    yield made
    made.run("teardown")


def test_a_run_that_is_resharded_three_times_is_stored_once_and_in_order(scaled: Pipeline) -> None:
    """In order: the rules compare an account's neighbours, and `verify` compares their alerts."""
    sending = scaled.begin("send", "--count", str(COUNT), "--rate", str(RATE))
    for shards in PATH:
        before = scaled.count("transactions")
        eventually(lambda before=before: scaled.count("transactions") > before + RATE, "rows")  # type: ignore[misc]
        assert scaled.run("scale", "--shards", str(shards))["to"] == shards
    assert sending.poll() is None
    output, errors = sending.communicate(timeout=120)
    assert sending.returncode == 0, errors

    proof = scaled.prove(COUNT)

    assert json.loads(output)["run_id"] == proof["run_id"]
    shards_used = scaled.query("SELECT shard_id, COUNT(*) FROM transactions GROUP BY shard_id")
    # Every generation carried records: the first shard, its two children, their four, the last two.
    assert len(shards_used) == 1 + sum(PATH)
    described = scaled.cloud.client("kinesis").describe_stream_summary(StreamName="scaled-TransactionStream")
    assert described["StreamDescriptionSummary"]["OpenShardCount"] == PATH[-1]
