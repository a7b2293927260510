"""What `verify` finds on a real PostgreSQL: exactly what was done to it by hand."""

from __future__ import annotations

import base64
import hashlib
import io
import json
from dataclasses import replace
from datetime import timedelta

import pytest

from tests.integration.proof.conftest import ARRIVED, NOW, Place
from txnpipe.proof.checksum import CONTENT_COLUMNS, digest_sql, row_content
from txnpipe.proof.expected import expected_of
from txnpipe.proof.rows import stored_checksums
from txnpipe.proof.verify import Proof
from txnpipe.traffic.content import digest
from txnpipe.traffic.manifest import Manifest, input_run
from txnpipe.traffic.send import choose

COUNT = 3000


def still() -> float:
    """A clock for what waits for no time."""
    return 0.0


def ids(manifest: Manifest, *indexes: int) -> list[str]:
    return [f"{manifest.run_id}-{index:09d}" for index in indexes]


def test_a_run_that_arrived_is_equal(place_both_ways: Place) -> None:
    place = place_both_ways
    proof = place.verify(place.send(COUNT))
    assert proof.differences == ()
    assert (proof.rows.expected, proof.rows.stored) == (COUNT, COUNT)
    assert {rule.rule for rule in proof.rules} == {"amount_spike", "large_amount", "velocity"}
    assert all(rule.expected == rule.stored > 0 for rule in proof.rules)


def test_python_and_sql_agree_on_every_digest_and_every_bucket(place_both_ways: Place) -> None:
    place = place_both_ways
    manifest = place.send(COUNT)
    digested = digest_sql(place.warehouse.dialect)
    result = place.warehouse.query(f"SELECT {digested}, {CONTENT_COLUMNS} FROM transactions")
    assert all(row[0] == digest(row_content(row[1:])) for row in result.rows)
    expected = expected_of(place.store, manifest)
    assert stored_checksums(place.warehouse, expected) == expected.checksums()


ODD = [
    {"amount": "-0.01", "timestamp": "0001-01-01T00:00:00Z"},
    {"amount": "99999999.99", "timestamp": "9999-12-31T23:59:59.999999Z"},
    {"amount": "-99999999.99", "timestamp": "2026-01-01T00:00:00.000001Z"},
    {"amount": "0", "merchant": "Ünïcödé 日本語 🙂", "timestamp": "2026-06-30T12:00:00+14:00"},
    {"amount": "5", "merchant": "back\\slash 'quote' \"double\" % :name $1", "account_id": "a|b"},
    {"amount": "5", "account_id": "a", "country": "DE", "currency": "EUR"},
    {"amount": "5.5", "merchant": " spaces around "},
    {"amount": "1e3", "transaction_type": "x" * 20, "merchant": "é" * 50},
]


def lines(*changes: dict[str, str]) -> bytes:
    base = {"transaction_type": "purchase", "timestamp": "2026-01-02T03:04:05Z", "amount": "1"}
    return b"".join(
        json.dumps({**base, "transaction_id": f"odd-{n}", **change}).encode() + b"\n"
        for n, change in enumerate(changes)
    )


def send_input(place: Place, data: bytes, run: int = 1) -> Manifest:
    manifest = input_run(run_id=f"20261124T0531{run:02d}-4f9a1c", pipeline="default", input_name="-", now=NOW)
    place.deliver(choose(place.store, manifest, new=True), io.BytesIO(data))
    return manifest


def test_python_and_sql_agree_on_odd_input(place_both_ways: Place) -> None:
    place = place_both_ways
    manifest = send_input(place, lines(*ODD))
    proof = place.verify(manifest)
    assert proof.rows.stored == len(ODD)
    assert proof.rows.equal


def alert_ids(proof: Proof, kind: str) -> list[str]:
    return sorted(each for rule in proof.rules for each in getattr(rule, kind).ids)


def test_nothing_but_the_alerts_that_were_removed_is_missing(place: Place) -> None:
    manifest = place.send(COUNT)
    removed = [row[0] for row in place.rows("SELECT alert_id FROM alerts ORDER BY alert_id LIMIT 2")]
    place.change("DELETE FROM alerts WHERE alert_id IN %s", [tuple(removed)])
    proof = place.verify(manifest)
    assert alert_ids(proof, "missing") == removed
    assert proof.rows.equal
    assert alert_ids(proof, "extra") == []


def test_rows_of_other_runs_are_not_judged(place: Place) -> None:
    first, second = place.send(1500, run=1), place.send(1500, run=2, seed=2)
    place.change("DELETE FROM transactions WHERE run_id = %s", [second.run_id])
    assert place.verify(first).equal
    assert place.verify(second).rows.missing.count == 1500


def test_a_rule_that_does_not_run_must_have_no_alerts(place: Place) -> None:
    manifest = place.send(1000)
    place.change("UPDATE alerts SET rule = 'retired', alert_id = 'retired:' || transaction_id")
    proof = place.verify(manifest)
    (retired,) = [rule for rule in proof.rules if rule.rule == "retired"]
    assert retired.extra.count == retired.stored > 0


def test_planted_anomalies_are_told_apart_from_chance(place: Place) -> None:
    proof = place.verify(place.send(COUNT))
    for rule in proof.rules:
        assert rule.detection is not None
        assert rule.detection.recall == 1.0
        assert rule.detection.precision == 1.0


def test_latency_runs_from_arrival_to_the_loaders_clock(place_both_ways: Place) -> None:
    place = place_both_ways
    proof = place.verify(place.send(1000))
    assert proof.row_latency is not None
    assert proof.row_latency.rows == 1000
    assert 55 <= proof.row_latency.p50_ms <= 65
    assert 108 <= proof.row_latency.max_ms <= 110
    assert proof.alert_latency is not None
    assert proof.alert_latency.p50_ms > 100


def reject(place: Place, payload: bytes, reason: str, sequence: int = 10**6) -> None:
    place.change(
        "INSERT INTO rejected_transactions VALUES (%s, 's', %s, %s, 'detail', %s, %s, %s, %s, %s)",
        [
            place.sources.names.stream,
            str(sequence),
            reason,
            len(payload),
            hashlib.sha256(payload).hexdigest(),
            base64.b64encode(payload).decode(),
            ARRIVED,
            ARRIVED + timedelta(seconds=1),
        ],
    )


def test_rejects_of_other_origin_are_counted_and_not_judged(place: Place) -> None:
    manifest = place.send(1000)
    reject(place, b"not json", "invalid_json")
    reject(place, b"x" * 20_000, "invalid_json", 10**6 + 1)
    proof = place.verify(manifest)
    assert proof.equal
    assert (proof.rejects.own_count, proof.rejects.others) == (0, 2)


def test_a_reject_of_this_run_is_a_difference(place: Place) -> None:
    manifest = place.send(1000)
    reject(place, json.dumps({"run_id": manifest.run_id}).encode(), "missing_field")
    proof = place.verify(manifest)
    assert proof.differences == ("1 record of this run was rejected",)


def test_a_failed_batch_of_this_run_is_a_difference_and_named(place: Place) -> None:
    manifest = place.send(1000)
    event = {
        "Records": [
            {"kinesis": {"data": base64.b64encode(f'{{"run_id":"{manifest.run_id}"}}'.encode()).decode()}}
        ]
    }
    letter = {
        "requestContext": {"condition": "RetryAttemptsExhausted"},
        "responseContext": {"functionError": "Unhandled"},
        "KinesisBatchInfo": {"shardId": "shardId-000000000000", "batchSize": 1, "streamArn": "a/stream"},
        "payload": json.dumps(event),
    }
    place.store.put("aws/lambda/uuid/shard/2026/11/24/x", json.dumps(letter).encode())
    place.store.put("aws/lambda/uuid/shard/2026/11/24/y", b"not a document")
    proof = place.verify(manifest)
    assert proof.differences == ("1 failed batch holds records of this run",)
    assert proof.dead_letters.batches == 2
    assert proof.dead_letters.conditions == ("RetryAttemptsExhausted", "unknown")


def test_an_input_that_was_sent_before_is_stored_under_its_first_run(place: Place) -> None:
    data = lines(*({"transaction_id": f"t-{n}"} for n in range(1200)))
    first = send_input(place, data, run=1)
    second = send_input(place, data, run=2)
    for n in range(1200):
        (event,) = lines({"transaction_id": f"t-{n}", "run_id": second.run_id}).splitlines()
        reject(place, event, "id_reused", 10**6 + n)
    assert place.verify(first).rows.equal
    proof = place.verify(second)
    assert proof.differences == ()
    assert proof.rows.elsewhere.count == 1200
    assert proof.rejects.explained == 1200


def test_an_id_that_an_earlier_run_stored_with_other_content_is_missing(place: Place) -> None:
    send_input(place, lines({"transaction_id": "t-1", "amount": "1"}), run=1)
    second = send_input(place, lines({"transaction_id": "t-1", "amount": "2"}), run=2)
    assert place.verify(second).rows.missing.ids == ["t-1"]


def test_a_repeat_within_the_input_is_stored_once(place: Place) -> None:
    data = lines({"transaction_id": "t-1"}, {"transaction_id": "t-2"}, {"transaction_id": "t-1"})
    proof = place.verify(send_input(place, data))
    assert proof.differences == ()
    assert (proof.rows.expected, proof.rows.stored, proof.rows.repeats) == (2, 2, 1)


def test_a_reused_id_with_other_content_is_a_difference(place: Place) -> None:
    data = lines({"transaction_id": "t-1", "amount": "1"}, {"transaction_id": "t-1", "amount": "2"})
    manifest = send_input(place, data)
    (event,) = lines({"transaction_id": "t-1", "amount": "2", "run_id": manifest.run_id}).splitlines()
    reject(place, event, "id_reused")
    assert place.verify(manifest).differences == ("1 record of this run was rejected",)


def test_an_input_that_repeats_itself_is_not_waited_for(place: Place) -> None:
    data = lines({"transaction_id": "t-1"}, {"transaction_id": "t-2"}, {"transaction_id": "t-2"})
    waits: list[float] = []
    proof = place.verify(
        send_input(place, data), timeout_s=60.0, quiet_s=60.0, sleep=waits.append, clock=still
    )
    assert proof.settled.reason == "complete"
    assert len(waits) <= 1


def test_damage_to_an_input_run_is_named(place: Place) -> None:
    data = lines(*({"transaction_id": f"t-{n}", "account_id": f"a-{n % 7}"} for n in range(500)))
    manifest = send_input(place, data)
    place.change("DELETE FROM transactions WHERE transaction_id = 't-3'")
    place.change("UPDATE transactions SET amount = 7 WHERE transaction_id = 't-4'")
    proof = place.verify(manifest)
    assert proof.rows.missing.ids == ["t-3"]
    assert proof.rows.changed.ids == ["t-4"]
    assert proof.rows.fields == {"t-4": ("amount",)}


def test_an_unfinished_run_is_a_difference(place: Place) -> None:
    manifest = place.send(1000)
    s3 = place.sources.target.client("s3")
    del s3.objects[f"runs/{manifest.run_id}/result.json"]
    (difference,) = place.verify(manifest).differences
    assert "unfinished" in difference


def test_a_missing_row_that_the_loader_passed_by_is_not_waited_for(place: Place) -> None:
    manifest = place.send(1000)
    place.change("DELETE FROM transactions WHERE transaction_id = %s", ids(manifest, 3))

    def sleep(seconds: float) -> None:
        raise AssertionError("waited")

    proof = place.verify(manifest, timeout_s=60.0, quiet_s=60.0, sleep=sleep, clock=still)
    assert proof.settled.reason == "final"
    assert proof.rows.missing.ids == ids(manifest, 3)


@pytest.mark.parametrize(("position", "patient"), [("ASC", False), ("DESC", True)])
def test_a_missing_alert_is_waited_for_unless_a_later_one_is_there(
    place: Place, position: str, patient: bool
) -> None:
    manifest = place.send(COUNT)
    place.change(
        "DELETE FROM alerts WHERE alert_id = ("
        "SELECT alert_id FROM alerts JOIN transactions USING (transaction_id) "
        f"ORDER BY CAST(transactions.sequence_number AS BIGINT) {position} LIMIT 1)"
    )
    now = [0.0]

    def sleep(seconds: float) -> None:
        now[0] += seconds

    proof = place.verify(manifest, timeout_s=100.0, quiet_s=50.0, sleep=sleep, clock=lambda: now[0])
    assert len(proof.differences) == 1
    assert (proof.settled.waited_s >= 50) == patient


def test_rows_that_arrive_late_are_waited_for(place: Place) -> None:
    manifest = place.send(1000)
    place.change("CREATE TEMP TABLE late AS SELECT * FROM transactions ORDER BY transaction_id OFFSET 500")
    place.change("DELETE FROM transactions WHERE transaction_id IN (SELECT transaction_id FROM late)")
    waits: list[float] = []

    def sleep(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 3:
            place.change("INSERT INTO transactions SELECT * FROM late")

    proof = place.verify(manifest, timeout_s=60.0, quiet_s=60.0, sleep=sleep, clock=still)
    assert proof.settled.reason == "complete"
    assert proof.equal
    assert len(waits) == 3


@pytest.mark.parametrize("count", [1, 999, 1000, 1001])
def test_runs_of_any_length(place: Place, count: int) -> None:
    assert place.verify(place.send(count)).equal


def test_the_spool_holds_what_is_stored(place: Place) -> None:
    data = lines(*ODD)
    manifest = send_input(place, data)
    expected = expected_of(place.store, manifest)
    assert expected.count() == len(ODD)
    content = expected.find(["odd-3", "none"])["odd-3"]
    assert content.when == "2026-06-29 22:00:00.000000"


def test_at_a_higher_parallelism_a_rule_that_depends_on_order_is_doubted(place: Place) -> None:
    manifest = place.send(COUNT)
    place.change("DELETE FROM alerts WHERE rule IN ('velocity', 'large_amount')")
    place.sources = replace(place.sources, rules_in_order=False)
    doubted = {difference: "parallelism" in difference for difference in place.verify(manifest).differences}
    assert [("velocity" in difference) == doubt for difference, doubt in doubted.items()] == [True, True]


@pytest.mark.parametrize("run_id", ["20261124T053159-4f9a1c", None])
def test_a_copy_under_another_run_id_is_a_duplicate(place_both_ways: Place, run_id: str | None) -> None:
    place = place_both_ways
    manifest = place.send(COUNT)
    (copied,) = ids(manifest, 17)
    place.change(
        "INSERT INTO transactions SELECT transaction_id, amount, transaction_type, timestamp, NULL, "
        "merchant, country, currency, %s, arrived_at, stored_at, shard_id, sequence_number "
        "FROM transactions WHERE transaction_id = %s",
        (run_id, copied),
    )
    proof = place.verify(manifest)
    assert (proof.rows.duplicate.count, proof.rows.duplicate.ids) == (1, [copied])
    assert proof.differences == ("1 duplicate row",)
