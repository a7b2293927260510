"""`verify` knows what a run sent on purpose: repeats are no extra rows, bad records are expected rejects."""

from __future__ import annotations

from collections import Counter

from tests.integration.proof.conftest import Place
from txnpipe.proof.rejected import Planted
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
