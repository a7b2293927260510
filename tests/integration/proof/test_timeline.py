"""The timeline and the page of a run on a real PostgreSQL, reached both ways."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from datetime import datetime, timedelta

import pytest

from tests.integration.proof.conftest import ARRIVED, Place
from tests.unit.proof.report.reading import pictures, read
from tests.unit.proof.report.samples import CIRCUMSTANCES, HOSTILE
from txnpipe.proof.latency import alert_latency, row_latency
from txnpipe.proof.report.page import page
from txnpipe.proof.timeline import MAX_BUCKETS, MAX_SHARDS, Spread, Timeline, timeline

RUN = "20261124T053101-4f9a1c"


def store(place: Place, times: list[tuple[datetime, datetime]], shard: str = "s") -> None:
    """Stores one row of RUN for each (arrived_at, stored_at)."""
    for n, (arrived, stored) in enumerate(times):
        place.change(
            "INSERT INTO transactions "
            "VALUES (%s, 1, 'purchase', %s, NULL, NULL, NULL, NULL, %s, %s, %s, %s, %s)",
            [f"{shard}-{n}", arrived, RUN, arrived, stored, shard, str(n)],
        )


def looked_at(place: Place, run_id: str = RUN) -> Timeline:
    found = timeline(place.warehouse, run_id)
    assert found is not None
    return found


def percentile(values: list[float], share: float) -> float:
    """Linear between the neighbours, as PERCENTILE_CONT."""
    at = share * (len(values) - 1)
    low = int(at)
    high = min(low + 1, len(values) - 1)
    return values[low] + (values[high] - values[low]) * (at - low)


def test_the_buckets_are_what_counting_by_hand_gives(place_both_ways: Place) -> None:
    place, chance = place_both_ways, random.Random(7)
    times = []
    for _ in range(400):
        arrived = ARRIVED + timedelta(microseconds=chance.randrange(20_000_000))
        times.append((arrived, arrived + timedelta(microseconds=chance.randrange(1, 900_000))))
    store(place, times)
    found = looked_at(place)
    width = timedelta(seconds=found.width_s)
    assert found.width_s == 0.2
    assert found.start <= min(arrived for arrived, _ in times) < found.start + width
    assert found.first_arrived == min(arrived for arrived, _ in times)
    assert found.last_arrived == max(arrived for arrived, _ in times)
    assert found.last_stored == max(stored for _, stored in times)
    arrived_in = Counter((arrived - found.start) // width for arrived, _ in times)
    stored_in = Counter((stored - found.start) // width for _, stored in times)
    elapsed = defaultdict(list)
    for arrived, stored in times:
        elapsed[(arrived - found.start) // width].append((stored - arrived) / timedelta(milliseconds=1))
    for n, bucket in enumerate(found.buckets):
        assert (bucket.start_s, bucket.arrived, bucket.stored) == (
            round(n * 0.2, 3), arrived_in[n], stored_in[n],
        )  # fmt: skip
        if bucket.rows is None:
            assert not arrived_in[n]
        else:
            values = sorted(elapsed[n])
            expected = (percentile(values, 0.5), percentile(values, 0.95), values[-1])
            assert (bucket.rows.p50_ms, bucket.rows.p95_ms, bucket.rows.max_ms) == pytest.approx(
                expected, abs=0.06
            )
    assert max(stored_in) == len(found.buckets) - 1


def test_nothing_of_a_run_is_left_out_however_long_it_took(place: Place) -> None:
    for days in (0, 0.001, 1, 400):
        place.change("TRUNCATE transactions")
        later = ARRIVED + timedelta(days=days)
        store(place, [(ARRIVED, ARRIVED), (later, later + timedelta(seconds=1))])
        found = looked_at(place)
        assert len(found.buckets) <= MAX_BUCKETS
        assert sum(bucket.arrived for bucket in found.buckets) == 2
        assert sum(bucket.stored for bucket in found.buckets) == 2


def test_a_row_stored_before_it_arrived_has_its_bucket_too(place_both_ways: Place) -> None:
    """The clocks of Kinesis and of the loader differ; nothing of it may be lost."""
    store(place_both_ways, [(ARRIVED, ARRIVED - timedelta(seconds=3))])
    found = looked_at(place_both_ways)
    assert [(b.arrived, b.stored) for b in found.buckets if b.arrived or b.stored] == [(0, 1), (1, 0)]
    assert [b.rows for b in found.buckets if b.rows] == [Spread(-3000.0, -3000.0, -3000.0)]
    read(page(place_both_ways.verify(place_both_ways.send(10)), found, CIRCUMSTANCES))


def test_shards_come_fullest_first_and_no_more_than_a_page_holds(place_both_ways: Place) -> None:
    place = place_both_ways
    place.change(
        "INSERT INTO transactions SELECT 't' || n, 1, 'purchase', %s, NULL, NULL, NULL, NULL, %s, %s, %s, "
        "'shard-' || LPAD(CAST(n %% 300 AS VARCHAR), 3, '0'), CAST(n AS VARCHAR) "
        "FROM generate_series(0, 649) n",
        [ARRIVED, RUN, ARRIVED, ARRIVED],
    )
    found = looked_at(place)
    assert found.shard_count == 300
    assert [(each.shard_id, each.rows) for each in found.shards] == [
        (f"shard-{n:03d}", 3 if n < 50 else 2) for n in range(MAX_SHARDS)
    ]


def test_a_run_of_which_nothing_is_stored_has_no_timeline(place_both_ways: Place) -> None:
    assert timeline(place_both_ways.warehouse, RUN) is None


def test_the_page_of_a_run_shows_what_is_stored(place_both_ways: Place) -> None:
    place = place_both_ways
    manifest = place.send(3000)
    found = looked_at(place, manifest.run_id)
    assert sum(bucket.arrived for bucket in found.buckets) == sum(b.stored for b in found.buckets) == 3000
    assert sum(each.rows for each in found.shards) == 3000
    assert any(bucket.alerts for bucket in found.buckets)
    written = page(place.verify(manifest), found, CIRCUMSTANCES)
    assert len(pictures(written)) == 4
    cells = [tag.text for tag in read(written).named("td")]
    assert cells[:6] == ["3,000", "3,000", "0", "0", "0", "0"]


def test_the_page_of_a_damaged_run_names_a_hostile_id_as_text(place: Place) -> None:
    manifest = place.send(1000)
    hostile = HOSTILE[:50]
    place.change(
        "UPDATE transactions SET transaction_id = %s WHERE transaction_id = %s",
        [hostile, f"{manifest.run_id}-000000007"],
    )
    written = page(place.verify(manifest), looked_at(place, manifest.run_id), CIRCUMSTANCES)
    named = [tag.text for tag in read(written).named("code")]
    assert hostile in named
    assert f"{manifest.run_id}-000000007" in named
    assert "<script" not in written


def test_latency_is_what_python_makes_of_the_same_times(place_both_ways: Place) -> None:
    place, chance = place_both_ways, random.Random(11)
    times = []
    for _ in range(500):
        arrived = ARRIVED + timedelta(microseconds=chance.randrange(60_000_000))
        times.append((arrived, arrived + timedelta(microseconds=round(chance.lognormvariate(11, 1)))))
    store(place, times)
    place.change(
        "INSERT INTO alerts SELECT 'large_amount:' || transaction_id, 'large_amount', transaction_id, "
        "account_id, amount, \"timestamp\", stored_at, run_id, 'detail', arrived_at, "
        "stored_at + INTERVAL '70 ms', shard_id, sequence_number FROM transactions "
        "WHERE MOD(CAST(sequence_number AS BIGINT), 7) = 0"
    )
    for found, elapsed in (
        (row_latency(place.warehouse, RUN), [stored - arrived for arrived, stored in times]),
        (
            alert_latency(place.warehouse, RUN),
            [stored - arrived + timedelta(milliseconds=70) for arrived, stored in times[::7]],
        ),
    ):
        values = sorted(each / timedelta(milliseconds=1) for each in elapsed)
        assert found is not None
        assert found.rows == len(values)
        assert (found.p50_ms, found.p95_ms, found.p99_ms, found.max_ms) == pytest.approx(
            [percentile(values, share) for share in (0.5, 0.95, 0.99, 1.0)], abs=0.0501
        )
