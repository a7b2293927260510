"""`verify` knows what a run sent on purpose: repeats are no extra rows, bad records are expected rejects."""

from __future__ import annotations

from collections import Counter

from tests.integration.proof.conftest import Place
from txnpipe.proof.rejected import NAMED, Planted
from txnpipe.traffic.generator import Generator
from txnpipe.traffic.mix import Mix

COUNT = 3000
EVERYTHING = Mix(skew=0.2, duplicates=0.05, late=0.05, invalid=0.05, days=1.0)


def test_a_run_with_everything_that_arrived_is_equal(place_both_ways: Place) -> None:
    place = place_both_ways
    manifest = place.send(COUNT, mix=EVERYTHING)
    generator = Generator(manifest)
    reasons = Counter(reason for index in range(COUNT) if (reason := generator.reason(index)))
    repeats = sum(generator.repeats(index) is not None for index in range(COUNT))
    proof = place.verify(manifest)
    assert proof.differences == ()
    assert proof.settled.reason == "complete"
    assert proof.rows.expected == proof.rows.stored == COUNT - reasons.total() - repeats
    assert proof.rejects.by_reason == reasons
    assert (proof.rejects.planted_count, proof.rejects.planted_missing) == (reasons.total(), 0)
    assert proof.rejects.planted == {reason: Planted(n, n) for reason, n in reasons.items()}
    assert (proof.rejects.own, proof.rejects.own_count, proof.rejects.others) == ((), 0, 0)


def test_a_bad_record_that_is_not_rejected_is_a_difference(place: Place) -> None:
    manifest = place.send(COUNT, mix=EVERYTHING)
    place.change("DELETE FROM rejected_transactions WHERE reason = 'too_deep'")
    (difference,) = place.verify(manifest).differences
    assert "planted bad records were not rejected" in difference


def test_a_bad_record_that_is_rejected_for_another_reason_is_a_difference(place: Place) -> None:
    manifest = place.send(COUNT, mix=EVERYTHING)
    place.change("UPDATE rejected_transactions SET reason = 'id_reused' WHERE reason = 'missing_field'")
    place.change("UPDATE rejected_transactions SET reason = 'empty_field' WHERE reason = 'id_reused'")
    assert len(place.verify(manifest).differences) == 2


def test_a_stored_repeat_is_a_duplicate(place: Place) -> None:
    manifest = place.send(COUNT, mix=EVERYTHING)
    generator = Generator(manifest)
    first = next(first for index in range(COUNT) if (first := generator.repeats(index)) is not None)
    transaction_id = generator.event(first).transaction_id
    place.change(
        "INSERT INTO transactions SELECT * FROM transactions WHERE transaction_id = %s", [transaction_id]
    )
    assert place.verify(manifest).rows.duplicate.ids == [transaction_id]


def test_every_reject_of_a_run_is_counted_and_the_first_are_named(place: Place) -> None:
    manifest = place.send(COUNT, mix=EVERYTHING)
    planted = place.verify(manifest).rejects.planted_count
    place.change(
        "INSERT INTO rejected_transactions SELECT stream, shard_id, sequence_number || n, 'empty_field', "
        "detail, payload_bytes, MD5(CAST(n AS VARCHAR)) || MD5(CAST(n AS VARCHAR)), payload, arrived_at, "
        "stored_at "
        "FROM (SELECT * FROM rejected_transactions LIMIT 1) AS one, generate_series(1, 6000) AS n"
    )
    proof = place.verify(manifest)
    assert (proof.rejects.own_count, len(proof.rejects.own)) == (6000, NAMED)
    assert (proof.rejects.planted_count, proof.rejects.planted_missing) == (planted, 0)
    assert proof.differences == ("6,000 records of this run were rejected",)


def test_rejects_of_others_are_counted_however_many_they_are(place: Place) -> None:
    manifest = place.send(COUNT)
    place.reject(manifest.run_id.encode(), "invalid_json", 1)
    place.change(
        "INSERT INTO rejected_transactions SELECT stream, shard_id, sequence_number || n, reason, detail, "
        "3, payload_sha256, 'YWJj', arrived_at + INTERVAL '1 second', stored_at "
        "FROM rejected_transactions, generate_series(1, 6000) AS n"
    )
    proof = place.verify(manifest)
    assert (proof.rejects.own_count, proof.rejects.others) == (1, 6000)


def test_of_planted_bad_records_each_reason_is_told(place: Place) -> None:
    manifest = place.send(COUNT, mix=EVERYTHING)
    place.change("DELETE FROM rejected_transactions WHERE reason = 'too_deep'")
    proof = place.verify(manifest)
    found = {reason: each.sent - each.rejected for reason, each in proof.rejects.planted.items()}
    assert found.pop("too_deep") == proof.rejects.planted_missing > 0
    assert set(found.values()) == {0}
