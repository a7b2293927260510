"""Rejects on a real PostgreSQL: found, read page by page, and sorted into what to send and what stays."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest

from tests.integration.proof.conftest import ARRIVED, Place
from txnpipe.operate import rejects
from txnpipe.operate.mending import Mended, mend, stored_ids
from txnpipe.operate.rejects import find_rejects, rejects_of
from txnpipe.transactions import parse

GOOD = {
    "transaction_id": "t1",
    "amount": 12.5,
    "transaction_type": "purchase",
    "timestamp": "2026-01-02T03:04:05Z",
    "run_id": "another run",
}


def event(**changes: Any) -> bytes:
    """An event; a field that is None is left out."""
    return json.dumps({name: value for name, value in (GOOD | changes).items() if value is not None}).encode()


def mended(place: Place, **changes: str) -> Mended:
    return mend(place.warehouse, rejects_of(place.warehouse, place.sources.names.stream), changes)


def ids(found: Mended) -> list[str]:
    return [parse(payload).transaction_id for payload in found.payloads]


def test_all_are_read_in_order_over_the_bounds_of_pages(
    place_both_ways: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of five with the same time of arrival, and two of these with the same number on two shards."""
    monkeypatch.setattr(rejects, "_PAGE", 2)
    for number, shard in ((11, "a"), (12, "a"), (12, "b"), (13, "a"), (14, "a")):
        place_both_ways.reject(b"x", "invalid_json", number, shard)
    place_both_ways.reject(b"x", "invalid_json", 10, arrived=ARRIVED + timedelta(seconds=1))
    place_both_ways.change("UPDATE rejected_transactions SET stream = 'other' WHERE sequence_number = '14'")

    found = rejects_of(place_both_ways.warehouse, place_both_ways.sources.names.stream)

    assert [(each.sequence_number, each.shard_id) for each in found] == [
        ("11", "a"),
        ("12", "a"),
        ("12", "b"),
        ("13", "a"),
        ("10", "s"),
    ]


def test_they_are_chosen_by_reason_and_arrival(place_both_ways: Place) -> None:
    stream = place_both_ways.sources.names.stream
    place_both_ways.reject(b"x", "invalid_json", 1)
    place_both_ways.reject(b"{}", "missing_field", 2, arrived=ARRIVED + timedelta(seconds=5))
    late = rejects_of(place_both_ways.warehouse, stream, since=ARRIVED + timedelta(seconds=1))
    assert [each.sequence_number for each in late] == ["2"]
    of_a_kind = rejects_of(place_both_ways.warehouse, stream, reason="invalid_json")
    assert [each.sequence_number for each in of_a_kind] == ["1"]


def test_one_is_found_by_the_end_of_its_number(place_both_ways: Place) -> None:
    for number in (1_000_007, 2_000_007, 2_000_008):
        place_both_ways.reject(b"x", "invalid_json", number)
    found = find_rejects(place_both_ways.warehouse, "2000007")
    assert [each.sequence_number for each in found] == ["2000007"]
    assert len(find_rejects(place_both_ways.warehouse, "000007")) == 2
    assert find_rejects(place_both_ways.warehouse, "3000007") == []


def test_what_is_valid_today_is_sent_once_and_what_is_stored_is_not(place_both_ways: Place) -> None:
    place = place_both_ways
    place.send(10)
    stored = place.rows("SELECT transaction_id FROM transactions")[0][0]
    place.reject(event(), "too_large", 1)
    place.reject(event(amount=13), "id_reused", 2)
    place.reject(event(transaction_id=stored), "id_reused", 3)
    place.reject(event(transaction_id="t2", amount="NaN"), "invalid_amount", 4)
    place.reject(event(transaction_id="t3"), "too_large", 5)
    place.change("UPDATE rejected_transactions SET payload_bytes = 40000 WHERE sequence_number = '5'")

    found = mended(place)

    assert ids(found) == ["t1"]
    assert b"run_id" not in found.payloads[0]
    assert found.left == {
        "invalid_amount": 1,
        "cut_off": 1,
        "stored_already": 1,
        "same_transaction_id": 1,
    }
    assert stored_ids(place.warehouse, [stored, "t1"]) == {stored}


def test_fields_are_set_and_the_others_keep_their_exact_values(place_both_ways: Place) -> None:
    place = place_both_ways
    place.reject(b'{"transaction_id":"t1","amount":99999999.99,"timestamp":"2026-01-02T03:04:05Z"}', "m", 1)
    place.reject(event(transaction_id="t2", merchant=1.5), "wrong_type", 2)
    place.reject(b"no JSON", "invalid_json", 3)

    found = mended(place, transaction_type="refund")

    (transaction,) = [parse(payload) for payload in found.payloads]
    assert (transaction.transaction_type, str(transaction.amount)) == ("refund", "99999999.99")
    assert found.left == {"wrong_type": 1, "invalid_json": 1}
    assert ids(mended(place, transaction_type="refund", merchant="shop")) == ["t1", "t2"]
