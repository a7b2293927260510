"""What a synthetic run is made of: hot account, repeats, late and bad records, a day's rhythm."""

from __future__ import annotations

import json
from collections import Counter
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from txnpipe.errors import ExitCode, TxnpipeError
from txnpipe.traffic.breaking import BROKEN_REASONS, broken
from txnpipe.traffic.generator import HOT_ACCOUNT, Generator
from txnpipe.traffic.manifest import Manifest, decode_manifest, encode_manifest, generated_run
from txnpipe.traffic.mix import BURST, Mix, anomaly_rates
from txnpipe.transactions import REASONS, InvalidTransaction, parse

GOLDEN = Path(__file__).parent
NOW = datetime(2026, 11, 24, 5, 31, 12, tzinfo=UTC)
EVERYTHING = Mix(skew=0.2, duplicates=0.05, late=0.04, invalid=0.1, days=2.0)
COUNT = 40_000


def manifest(mix: Mix = EVERYTHING, count: int = COUNT, **changes: Any) -> Manifest:
    return generated_run(
        run_id="20261124T053112-4f9a1c", pipeline="default", count=count, seed=1, now=NOW, mix=mix, **changes
    )


@pytest.mark.parametrize(("name", "mix"), [("golden_defaults", Mix()), ("golden_everything", EVERYTHING)])
def test_the_first_events_are_those_of_the_golden_files(name: str, mix: Mix) -> None:
    # Whoever changes the generator changes these files, and with them the meaning of every stored manifest:
    # then the manifest's version has to be raised as well.
    generator = Generator(manifest(mix))
    lines = (GOLDEN / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()
    assert len(lines) == 200
    for index, line in enumerate(lines):
        golden = json.loads(line)
        key, payload = generator.record(index)
        label = generator.label(index)
        assert [
            key,
            payload.decode("latin-1"),
            list(label) if label else None,
            generator.reason(index),
        ] == golden


@given(st.sets(st.integers(1, 499)), st.randoms(use_true_random=False))
def test_any_split_of_the_indexes_in_any_order_gives_the_same_records(cuts: set[int], rng: Any) -> None:
    whole = list(Generator(manifest()).records(0, 500))
    pieces = list(pairwise([0, *sorted(cuts), 500]))
    rng.shuffle(pieces)
    shared = Generator(manifest())
    for start, stop in pieces:
        assert list(shared.records(start, stop)) == whole[start:stop]
        assert list(Generator(manifest()).records(start, stop)) == whole[start:stop]


@pytest.mark.parametrize("reason", BROKEN_REASONS)
def test_a_record_is_broken_in_a_way_that_has_its_reason(reason: str) -> None:
    for index in range(300):
        bad = broken(Generator(manifest(Mix())).record(index)[1], reason)
        with pytest.raises(InvalidTransaction) as caught:
            parse(bad)
        assert caught.value.reason == reason
        assert len(bad) <= 4096
        assert b"\n" not in bad
        assert b"20261124T053112-4f9a1c" in bad


def test_every_reason_but_that_of_huge_records_can_be_planted() -> None:
    assert set(BROKEN_REASONS) == set(REASONS) - {"too_large"}


def test_bad_records_repeats_and_late_ones_are_as_many_as_asked_for() -> None:
    generator = Generator(manifest())
    reasons = Counter(generator.reason(index) for index in range(COUNT))
    good = reasons.pop(None)
    assert set(reasons) == set(BROKEN_REASONS)
    assert (COUNT - good) / COUNT == pytest.approx(0.1, rel=0.1)
    repeats = sum(generator.repeats(index) is not None for index in range(COUNT))
    assert repeats / COUNT == pytest.approx(0.05, rel=0.1)
    assert sum(map(generator.late, range(COUNT))) / COUNT == pytest.approx(0.04, rel=0.1)


def test_the_hottest_account_has_its_share_of_all_records() -> None:
    generator = Generator(manifest())
    keys = Counter(key for key, _ in generator.records(0, COUNT))
    (hottest, count), (_, second) = keys.most_common(2)
    assert hottest.endswith(f"-{HOT_ACCOUNT:07d}")
    assert count / COUNT == pytest.approx(0.2, rel=0.05)
    assert second < 100


def test_a_repeat_is_an_earlier_good_record_byte_for_byte() -> None:
    generator = Generator(manifest())
    distances = set()
    for index in range(COUNT):
        first = generator.repeats(index)
        if first is not None:
            assert first < index
            assert generator.record(index) == generator.record(first)
            assert generator.row(first) is not None
            assert generator.row(index) is None
            assert generator.label(index) is None
            distances.add((index - first).bit_length())
    assert {1, 5, 12} <= distances


def test_rows_are_the_distinct_valid_records() -> None:
    generator = Generator(manifest())
    valid: set[str] = set()
    for index in range(5000):
        try:
            valid.add(parse(generator.record(index)[1]).transaction_id)
        except InvalidTransaction as error:
            assert error.reason == generator.reason(index)
        else:
            assert generator.reason(index) is None
    rows = [row for row in map(generator.row, range(5000)) if row is not None]
    assert len(rows) == len(valid)
    assert {row.transaction_id for row in rows} == valid


def test_a_late_record_is_older_than_the_hundred_before_it() -> None:
    generator = Generator(manifest(Mix(late=0.05), anomalies={}))
    for index in range(5000):
        if generator.late(index):
            before = [n for n in range(max(index - 100, 0), index) if not generator.late(n)]
            assert all(generator.event(index).micros < generator.event(n).micros for n in before)


def test_anomalies_are_as_many_as_asked_for_beside_everything_else() -> None:
    rates = anomaly_rates(0.03, {"large_amount": 0.05})
    generator = Generator(manifest(anomalies=rates))
    decisive = Counter(
        label.rule for label in map(generator.label, range(COUNT)) if label is not None and label.decisive
    )
    for rule, rate in rates.items():
        assert decisive[rule] / COUNT == pytest.approx(rate, rel=0.15)


def test_a_day_has_a_rhythm_and_no_event_lies_in_the_future() -> None:
    generator = Generator(manifest(Mix(days=1.0), anomalies={}))
    micros = [generator.event(index).micros for index in range(COUNT)]
    assert micros == sorted(micros)
    assert micros[-1] <= NOW.timestamp() * 1_000_000
    hours = Counter(each // 3_600_000_000 % 24 for each in micros)
    assert hours[18] / hours[2] == pytest.approx(10, rel=0.1)


def test_a_burst_stays_a_burst_where_records_are_spread_over_days() -> None:
    generator = Generator(manifest(Mix(days=300.0)))
    bursts: dict[int, list[int]] = {}
    for index in range(COUNT):
        label = generator.label(index)
        if label is not None and label.rule == "velocity":
            bursts.setdefault(label.story, []).append(generator.event(index).micros)
    assert all(max(each) - min(each) < 1_000_000 for each in bursts.values() if len(each) == BURST)


def test_a_manifest_of_version_1_asks_for_none_of_it() -> None:
    data = json.loads(encode_manifest(manifest(Mix()))) | {"version": 1}
    del data["mix"]
    old = decode_manifest(json.dumps(data).encode(), "here")
    assert (old.version, old.mix) == (1, Mix())
    assert decode_manifest(encode_manifest(manifest()), "here") == manifest()


@pytest.mark.parametrize(
    ("rates", "mix", "words"),
    [
        ({"large_amount": 1.5}, Mix(), "from 0 to 1"),
        ({"nonsense": 0.1}, Mix(), "no anomaly 'nonsense'"),
        ({"velocity": 0.04}, Mix(), "room for one in 32"),
        ({}, Mix(skew=-0.1), "--skew is -0.1"),
        ({}, Mix(late=float("nan")), "--late is nan"),
        ({}, Mix(duplicates=0.5, invalid=0.5), "at least a tenth"),
        ({"large_amount": 0.6}, Mix(late=0.5), "110%"),
        ({"large_amount": 0.5}, Mix(skew=0.6), "--skew is 0.6"),
        ({}, Mix(days=400), "--days is 400"),
    ],
)
def test_what_no_run_can_be_made_of_is_refused(rates: dict[str, float], mix: Mix, words: str) -> None:
    with pytest.raises(TxnpipeError, match=words) as caught:
        manifest(mix, anomalies=rates)
    assert caught.value.exit_code is ExitCode.USAGE
