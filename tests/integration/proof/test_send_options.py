"""`verify` of runs without a known count, with another partition key, or stopped at a bad line."""

from __future__ import annotations

import io
from dataclasses import replace

import msgspec
import pytest

from tests.integration.proof.conftest import NOW, Place
from tests.unit.traffic.making import lines, marker, wanted_input
from txnpipe.proof.follow import follow
from txnpipe.traffic.manifest import Manifest, generated_run
from txnpipe.traffic.mix import Mix
from txnpipe.traffic.send import choose, resume


def open_run(place: Place, mix: Mix = Mix()) -> Manifest:  # noqa: B008 - frozen
    """Sends and stores an open run of about 3,000 records: what an earlier attempt has reserved, no more."""
    manifest = generated_run(
        run_id="20261124T053101-4f9a1c", pipeline="default", duration_s=5.0, seed=1, now=NOW, mix=mix
    )
    place.store.create(manifest)
    place.store.write_marker(
        marker(
            run_id=manifest.run_id, next_index=0, acknowledged=0, reserved=3000, sending_s=5.0,
            pid_started="1",
        )
    )  # fmt: skip
    place.deliver(resume(place.store, manifest.run_id), None)
    place.alert(manifest)
    return manifest


@pytest.mark.parametrize("mix", [Mix(), Mix(duplicates=0.05, invalid=0.05, late=0.05)])
def test_a_run_whose_count_only_its_end_tells_is_proven(place: Place, mix: Mix) -> None:
    manifest = open_run(place, mix)
    assert manifest.count is None
    proof = place.verify(manifest)
    assert proof.differences == ()
    assert proof.manifest.count == proof.sent == 3000
    assert sum(rule.detection.planted for rule in proof.rules if rule.detection) > 10
    assert proof.rejects.planted_missing == 0


def test_damage_to_a_run_without_a_count_is_named(place: Place) -> None:
    manifest = open_run(place)
    gone, last = f"{manifest.run_id}-{17:09d}", f"{manifest.run_id}-{2999:09d}"
    place.change("DELETE FROM transactions WHERE transaction_id IN (%s, %s)", (gone, last))
    proof = place.verify(manifest)
    assert sorted(proof.rows.missing.ids) == [gone, last]
    assert proof.rows.extra.count == 0


def test_an_open_run_that_was_killed_is_unfinished(place: Place) -> None:
    manifest = generated_run(
        run_id="20261124T053102-4f9a1c", pipeline="default", duration_s=5.0, seed=1, now=NOW
    )
    place.store.create(manifest)
    assert any("unfinished" in difference for difference in place.verify(manifest).differences)


@pytest.mark.parametrize("key", ["merchant", "transaction_id", "country"])
def test_rules_that_need_an_accounts_order_are_doubted_where_the_key_breaks_it(
    place: Place, key: str
) -> None:
    manifest = place.send(3000, partition_key=key)
    place.change("DELETE FROM alerts WHERE rule IN ('velocity', 'large_amount')")
    proof = place.verify(manifest)
    assert proof.order_dependent == {"amount_spike", "velocity"}
    doubted = {difference: "partition key" in difference for difference in proof.differences}
    assert [("velocity" in difference) == doubt for difference, doubt in doubted.items()] == [True, True]
    assert place.verify(place.send(300, run=2)).order_dependent == frozenset()


def test_a_record_is_looked_for_under_the_key_that_it_was_sent_with(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    from txnpipe.proof import follow as following

    manifest = place.send(300, partition_key="merchant")
    wanted = f"{manifest.run_id}-{7:09d}"
    ((merchant,),) = place.rows("SELECT merchant FROM transactions WHERE transaction_id = %s", (wanted,))
    place.change("DELETE FROM transactions WHERE transaction_id = %s", (wanted,))
    asked: list[str] = []

    class Search:
        out_of_time = False

        def __init__(self, *_: object, **__: object) -> None: ...

        def find(self, key: str, *_: object) -> None:
            asked.append(key)

    class Buckets:
        def get_paginator(self, _: str) -> Buckets:
            return self

        def paginate(self, **_: object) -> list[dict[str, object]]:
            return []

    monkeypatch.setattr(following, "StreamSearch", Search)
    monkeypatch.setattr(following, "list_dead_letters", lambda *_: [])
    target = place.sources.target
    monkeypatch.setattr(type(target), "client", lambda self, service, **_: Buckets())
    follow(replace(place.sources, target=target), wanted)
    assert asked == [merchant]


def test_a_run_that_a_bad_line_stopped_is_unfinished_and_then_proven(place: Place) -> None:
    manifest = msgspec.structs.replace(wanted_input(), on_error="stop", created_at=NOW)
    place.deliver(choose(place.store, manifest), io.BytesIO(lines(20) + b"bad\n"))
    (difference,) = place.verify(manifest).differences
    assert "unfinished" in difference
    place.deliver(resume(place.store, manifest.run_id), io.BytesIO(lines(30)))
    assert place.verify(manifest).differences == ()
