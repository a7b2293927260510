"""An event is a pure function of the manifest and its index."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from txnpipe.traffic.events import Label
from txnpipe.traffic.generator import Generator
from txnpipe.traffic.manifest import Manifest, generated_run
from txnpipe.traffic.mix import BURST, HISTORY, LANE
from txnpipe.traffic.sources import GeneratedSource
from txnpipe.transactions import encode, parse, partition_key

GOLDEN = Path(__file__).parent / "golden_version_1.jsonl"
NOW = datetime(2026, 11, 24, 5, 31, 12, tzinfo=UTC)


def manifest(count: int = 100_000, seed: int = 1, **changes: Any) -> Manifest:
    made = generated_run(run_id="20261124T053112-4f9a1c", pipeline="default", count=count, seed=seed, now=NOW)
    return msgspec.structs.replace(made, **changes)


def test_a_run_of_version_1_has_the_events_that_it_had() -> None:
    # Manifests of version 1 keep their meaning.
    generator = Generator(manifest(version=1))
    lines = GOLDEN.read_text(encoding="utf-8").splitlines()
    assert len(lines) == 200
    for index, line in enumerate(lines):
        golden = json.loads(line)
        key, payload = generator.record(index)
        assert (key, payload.decode()) == (golden["key"], golden["payload"])
        label = generator.label(index)
        assert golden["label"] == (list(label) if label else None)


@given(st.integers(0, 10**9 - 1), st.integers(0, 2**64 - 1))
def test_a_record_is_the_transaction_in_the_contracts_own_encoding(index: int, seed: int) -> None:
    generator = Generator(manifest(10**9, seed))
    transaction = generator.transaction(index)
    assert generator.record(index) == (partition_key(transaction), encode(transaction))
    assert parse(encode(transaction)) == transaction


@given(st.lists(st.integers(0, 5000), min_size=1, max_size=50), st.integers(0, 1000))
def test_events_do_not_depend_on_the_order_in_which_they_are_asked_for(indexes: list[int], seed: int) -> None:
    one = Generator(manifest(seed=seed))
    for index in indexes:
        assert one.record(index) == Generator(manifest(seed=seed)).record(index)
        assert one.label(index) == Generator(manifest(seed=seed)).label(index)


@given(st.integers(0, 2000), st.integers(1, 2000))
def test_a_source_yields_every_index_once_from_any_start(start: int, count: int) -> None:
    generator = Generator(manifest(count))
    records = [record for chunk in GeneratedSource(manifest(count), start) for record in chunk]
    assert records == [(index, *generator.record(index)) for index in range(start, count)]


def test_the_count_changes_only_the_start_and_the_length() -> None:
    short, long = Generator(manifest(1000)), Generator(manifest(2000, start=manifest(1000).start))
    assert [short.record(index) for index in range(1000)] == [long.record(index) for index in range(1000)]


def test_another_run_has_other_ids_and_accounts_but_the_same_amounts() -> None:
    one, other = Generator(manifest()), Generator(manifest(run_id="20261124T053113-000000"))
    for index in range(1000):
        a, b = one.event(index), other.event(index)
        assert a.transaction_id != b.transaction_id
        assert a.account_id != b.account_id
        assert a.cents == b.cents


def test_another_seed_gives_other_events() -> None:
    one, other = Generator(manifest(seed=1)), Generator(manifest(seed=2))
    assert sum(one.event(index).cents == other.event(index).cents for index in range(1000)) < 50


def test_no_event_lies_in_the_future() -> None:
    generator = Generator(manifest(1000))
    assert all(generator.transaction(index).timestamp <= NOW.replace(tzinfo=None) for index in range(1000))


@dataclass
class Story:
    """The labelled events of one lane."""

    rule: str
    indexes: list[int]


def stories(generator: Generator, count: int) -> list[Story]:
    found: dict[tuple[str, int], Story] = {}
    for index in range(count):
        label = generator.label(index)
        if label is not None:
            found.setdefault((label.rule, label.story), Story(label.rule, [])).indexes.append(index)
    return list(found.values())


@pytest.fixture(scope="module")
def planted() -> tuple[Generator, list[Story]]:
    generator = Generator(manifest())
    return generator, stories(generator, 100_000 - 100_000 % LANE)


def test_about_as_many_anomalies_are_planted_as_asked_for(planted: tuple[Generator, list[Story]]) -> None:
    _, found = planted
    counts = {rule: sum(story.rule == rule for story in found) for rule in manifest().anomalies}
    assert 400 < counts["large_amount"] < 600
    assert 150 < counts["velocity"] < 250
    assert 150 < counts["amount_spike"] < 250


def test_large_amounts_and_only_they_are_above_10_000(planted: tuple[Generator, list[Story]]) -> None:
    generator, found = planted
    large = {story.indexes[0] for story in found if story.rule == "large_amount"}
    assert large == {index for index in range(100_000) if generator.event(index).cents > 1_000_000}


def test_a_velocity_story_is_a_burst_of_one_account(planted: tuple[Generator, list[Story]]) -> None:
    generator, found = planted
    for story in found:
        if story.rule == "velocity":
            events = [generator.event(index) for index in story.indexes]
            assert len(events) == BURST
            assert len({event.account_id for event in events}) == 1
            assert events[-1].micros - events[0].micros < 1_000_000


def test_an_amount_spike_story_is_a_history_and_then_a_spike(planted: tuple[Generator, list[Story]]) -> None:
    generator, found = planted
    for story in found:
        if story.rule == "amount_spike":
            *history, spike = (generator.event(index) for index in story.indexes)
            assert len(history) == HISTORY
            assert len({event.account_id for event in (*history, spike)}) == 1
            assert spike.cents > 6 * sum(event.cents for event in history) / HISTORY
            gaps = [later.micros - earlier.micros for earlier, later in pairwise(history)]
            assert min(gaps) > 120_000_000


def test_only_the_last_event_of_a_story_is_decisive(planted: tuple[Generator, list[Story]]) -> None:
    generator, found = planted
    for story in found:
        labels = [generator.label(index) for index in story.indexes]
        assert [label.decisive for label in labels if label] == [False] * (len(labels) - 1) + [True]


def test_no_anomalies_where_none_are_asked_for() -> None:
    generator = Generator(manifest(anomalies={}))
    assert all(generator.label(index) is None for index in range(10_000))
    assert all(generator.event(index).cents < 1_000_000 for index in range(10_000))


def test_amounts_have_two_decimals_and_are_positive() -> None:
    generator = Generator(manifest())
    for index in range(2000):
        amount = generator.transaction(index).amount
        assert amount > 0
        assert amount == amount.quantize(Decimal("0.01"))


def test_a_label_names_its_rule() -> None:
    assert Label("velocity", 3, True).rule in manifest().anomalies
