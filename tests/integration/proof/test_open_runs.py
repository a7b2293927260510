"""Runs whose length is known only at their end, and runs that are not finished."""

from __future__ import annotations

import msgspec
import pytest

from tests.integration.proof.conftest import Place
from txnpipe.proof.expected import expected_of
from txnpipe.traffic.manifest import Manifest, encode_manifest
from txnpipe.traffic.mix import Mix
from txnpipe.traffic.runs import Marker, this_process

COUNT = 1500


def opened(place: Place, manifest: Manifest) -> Manifest:
    """The same run as if nobody had known its length beforehand."""
    made = msgspec.structs.replace(manifest, count=None)
    place.store.put(f"runs/{made.run_id}/manifest.json", encode_manifest(made))
    return made


def interrupt(place: Place, manifest: Manifest, next_index: int, *, alive: bool = False) -> None:
    """Takes the run's result away, as if its `send` had been killed there, or were still at work."""
    result = place.store.result(manifest.run_id)
    assert result is not None
    host, pid, started = this_process()
    place.store.write_marker(
        Marker(
            run_id=manifest.run_id,
            next_index=next_index,
            acknowledged=next_index,
            attempts=next_index,
            throttled=0,
            failed=0,
            invalid=0,
            started_at=result.started_at,
            written_at=result.finished_at,
            marks={},
            host="elsewhere" if alive else host,
            pid=pid,
            pid_started=started,
        )
    )
    del place.sources.target.client("s3").objects[f"runs/{manifest.run_id}/result.json"]


@pytest.mark.parametrize("mix", [Mix(), Mix(duplicates=0.1, invalid=0.1)])
def test_a_finished_run_is_as_long_as_its_result_says(place: Place, mix: Mix) -> None:
    manifest = opened(place, place.send(COUNT, mix=mix))
    proof = place.verify(manifest)
    assert proof.differences == ()
    assert proof.settled.reason == "complete"
    assert all(rule.detection and rule.detection.recall == 1 for rule in proof.rules)
    place.change("DELETE FROM transactions WHERE transaction_id = %s", [f"{manifest.run_id}-000000007"])
    assert place.verify(manifest).rows.missing.ids == [f"{manifest.run_id}-000000007"]


@pytest.mark.parametrize("mix", [Mix(), Mix(duplicates=0.1, invalid=0.1)])
@pytest.mark.parametrize("alive", [False, True])
def test_an_unfinished_one_is_as_long_as_what_is_known_to_be_sent(
    place: Place, mix: Mix, alive: bool
) -> None:
    manifest = opened(place, place.send(COUNT, mix=mix))
    interrupt(place, manifest, 1100, alive=alive)
    (difference,) = place.verify(manifest).differences
    assert "unfinished" in difference


def test_a_row_that_was_acknowledged_and_is_not_there_is_missing_even_then(place: Place) -> None:
    manifest = opened(place, place.send(COUNT))
    interrupt(place, manifest, 1100)
    last = f"{manifest.run_id}-000001099"
    place.change("DELETE FROM transactions WHERE transaction_id >= %s", [last])
    assert place.verify(manifest).rows.missing.ids == [last]


def test_a_record_of_it_is_found(place: Place) -> None:
    manifest = opened(place, place.send(COUNT))
    known = f"{manifest.run_id}-000001099"
    assert expected_of(place.store, manifest).find([known]).keys() == {known}
