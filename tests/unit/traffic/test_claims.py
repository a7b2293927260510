"""One process works on a run: whoever claims it, and nobody else until that one is gone."""

from __future__ import annotations

from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from moto import mock_aws

from tests.unit.traffic.claimants import (
    COUNT,
    LATER,
    Claimant,
    Interrupted,
    Scene,
    Way,
    by_command,
    by_name,
    requests,
)
from tests.unit.traffic.fakes import FakeS3, spans, target_with
from tests.unit.traffic.making import lines, marker, wanted, wanted_input
from txnpipe.errors import ExitCode, TxnpipeError
from txnpipe.traffic import runs, sender, spool
from txnpipe.traffic.claims import Claim, LostClaim, take
from txnpipe.traffic.history import newest_runs
from txnpipe.traffic.job import Job
from txnpipe.traffic.manifest import Manifest
from txnpipe.traffic.runs import RunStore
from txnpipe.traffic.send import choose, resume, send
from txnpipe.traffic.spool import spooled_events


@pytest.fixture
def scene(monkeypatch: pytest.MonkeyPatch) -> Scene:
    return Scene(monkeypatch)


@pytest.mark.parametrize("at_once", [True, False])
@pytest.mark.parametrize("second", ["command", "name"])
@pytest.mark.parametrize("first", ["command", "name"])
def test_of_two_that_want_the_same_stopped_run_one_gets_it(
    monkeypatch: pytest.MonkeyPatch, first: str, second: str, at_once: bool
) -> None:
    """The second one comes between any two requests of the first, from its first look to its result. It sends
    at once, or when the first has ended."""
    ways = [by_command(run) if how == "command" else by_name for run, how in ((2, first), (3, second))]

    def play(scene: Scene, request: int) -> None:
        scene.stop_at(500)
        come = scene.work if at_once else scene.choose
        scene.s3.before(request, lambda: come(scene.second, ways[1]))
        scene.work(scene.first, ways[0])
        if not at_once:
            scene.send(scene.second)

    run_id = wanted(1).run_id
    for request in range(requests(monkeypatch, play)):
        scene = Scene(monkeypatch)
        play(scene, request)
        both = (scene.first, scene.second)
        winner, loser = both if scene.first.run_id == run_id else both[::-1]
        assert (winner.run_id, winner.refusal) == (run_id, None), request
        assert sorted(winner.stream.indexes()) == list(range(500, COUNT)), request
        assert scene.store.result(run_id) is not None
        if loser.refusal is None:
            assert loser.run_id not in {run_id, None}
            assert sorted(loser.stream.indexes()) == list(range(COUNT)), request
        else:
            assert loser.refusal.exit_code in {ExitCode.CONFLICT, ExitCode.USAGE}
            assert loser.stream.indexes() == []


@pytest.mark.parametrize("at_once", [True, False])
def test_of_two_new_ones_neither_takes_the_others_run(monkeypatch: pytest.MonkeyPatch, at_once: bool) -> None:
    def play(scene: Scene, request: int) -> None:
        come = scene.work if at_once else scene.choose
        scene.s3.before(request, lambda: come(scene.second, by_command(3)))
        scene.work(scene.first, by_command(2))
        if not at_once:
            scene.send(scene.second)

    for request in range(requests(monkeypatch, play)):
        scene = Scene(monkeypatch)
        play(scene, request)
        for claimant, run in ((scene.first, 2), (scene.second, 3)):
            assert (claimant.run_id, claimant.refusal) == (wanted(run).run_id, None)
            assert sorted(claimant.stream.indexes()) == list(range(COUNT))


@pytest.mark.parametrize("source", ["generated", "input"])
def test_who_was_taken_for_dead_stops_and_spoils_nothing(
    monkeypatch: pytest.MonkeyPatch, source: str
) -> None:
    """The first one sleeps before any of its requests; meanwhile the second one takes its run over."""
    monkeypatch.setattr(spool, "PART_EVENTS", 400)
    data = lines(COUNT) if source == "input" else None

    def way(run: int) -> Way:
        made = wanted_input(run) if source == "input" else wanted(run, count=COUNT)
        return lambda store: choose(store, made)

    def play(scene: Scene, request: int) -> None:
        def meanwhile() -> None:
            scene.now += LATER
            scene.work(scene.second, way(3), data)
            scene.now += LATER

        scene.s3.before(request, meanwhile)
        scene.work(scene.first, way(2), data)

    taken_over = 0
    for request in range(requests(monkeypatch, play)):
        scene = Scene(monkeypatch)
        play(scene, request)
        assert scene.second.refusal is None
        assert scene.second.run_id is not None
        result = scene.store.result(scene.second.run_id)
        stored = scene.store.marker(scene.second.run_id)
        assert result is not None
        assert stored is not None
        assert (result.count, stored.marker.host, stored.marker.next_index) == (COUNT, "second", COUNT)
        if scene.second.run_id == scene.first.run_id:
            taken_over += 1
            assert scene.first.refusal is not None, request
            assert scene.first.refusal.exit_code is ExitCode.CONFLICT
            sent = {*scene.first.stream.indexes(), *scene.second.stream.indexes()}
            assert sent == set(range(COUNT))
        else:
            assert scene.first.refusal is None, request
        if source == "input":
            spooled = [
                event for _, part in spooled_events(scene.store, scene.second.run_id) for event in part
            ]
            assert len(spooled) == len(set(spooled)) == COUNT
    assert taken_over >= 2


def test_a_sender_is_told_by_its_next_progress_and_stops(
    store: RunStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its run is so long that nothing else ends it."""
    monkeypatch.setattr(sender, "REPORT_INTERVAL_S", 0.01)
    endless = wanted(2, count=10**9)
    theirs = marker(run_id=endless.run_id, next_index=2222, host="second", claim="theirs")

    def take_over() -> None:
        store.write_marker(theirs)

    stream = Interrupted(spans(1), meanwhile=take_over)
    with pytest.raises(LostClaim, match="on second works on the run"):
        send(store, stream, choose(store, endless), workers=1)
    stored = store.marker(endless.run_id)
    assert stored is not None
    assert stored.marker == theirs
    assert store.result(endless.run_id) is None


def test_a_sender_that_slept_asks_before_it_sends_on(scene: Scene) -> None:
    """What the successor sends is not sent by the sleeper: not even until its next progress."""
    scene.first.stream = sleeper = Interrupted(spans(1))

    def meanwhile() -> None:
        scene.now += LATER
        scene.work(scene.second, by_command(3))
        scene.now += LATER

    sleeper.meanwhile = meanwhile
    scene.work(scene.first, by_command(2))
    assert scene.first.run_id == scene.second.run_id == wanted(2).run_id
    assert isinstance(scene.first.refusal, LostClaim)
    assert sleeper.calls == 1
    assert set(scene.second.stream.indexes()) == set(range(COUNT))


def test_a_run_taken_over_is_named_with_who_works_on_it(scene: Scene) -> None:
    scene.stop_at(500)
    job = choose(scene.store, wanted(2, count=COUNT))
    stored = scene.store.marker(wanted(1).run_id)
    assert job.claim is not None
    take(scene.store, wanted(1).run_id, stored, scene.now)
    with pytest.raises(LostClaim, match=r"The process \d+ on .* works on the run") as caught:
        send(scene.store, scene.first.stream, job, workers=1)
    assert caught.value.exit_code is ExitCode.CONFLICT
    assert "the same command continues" in caught.value.fix


def test_a_claimant_that_was_killed_blocks_nobody(scene: Scene) -> None:
    scene.stop_at(500)
    scene.work(Claimant("claims and dies"), lambda store: _dying(choose(store, wanted(2, count=COUNT))))
    scene.now += LATER
    scene.work(scene.first, by_name)
    assert scene.first.refusal is None
    assert sorted(scene.first.stream.indexes()) == list(range(500, COUNT))


def _dying(job: Job) -> Job:
    raise TxnpipeError(job.manifest.run_id, "", ExitCode.INTERNAL)


def test_a_kill_before_a_run_began_leaves_no_run(scene: Scene) -> None:
    take(scene.store, wanted(1).run_id, None, scene.now)
    scene.now += LATER
    assert newest_runs(scene.store, 10) == []
    with pytest.raises(TxnpipeError, match="Nothing was sent"):
        scene.store.newest()
    scene.work(scene.first, by_command(2))
    assert scene.first.run_id == wanted(2).run_id


def test_options_that_do_not_fit_claim_nothing(scene: Scene) -> None:
    def refuse(manifest: Manifest) -> None:
        raise TxnpipeError("other options", "", ExitCode.USAGE)

    scene.stop_at(500)
    before = dict(scene.s3.objects)
    with pytest.raises(TxnpipeError, match="other options"):
        resume(scene.store, wanted(1).run_id, refuse)
    assert scene.s3.objects == before


def test_progress_costs_one_request(scene: Scene) -> None:
    claim = take(scene.store, wanted(1).run_id, None, scene.now)
    scene.s3.before(-1, lambda: None)
    for index in range(5):
        claim.write(marker(next_index=index))
    assert scene.s3.requests == 5


@pytest.mark.parametrize("code", ["ConditionalRequestConflict", "answer lost"])
def test_a_write_that_only_seems_to_have_failed_loses_nothing(scene: Scene, code: str) -> None:
    """409 where neither of two was taken; and a request whose answer is lost, which the client repeats."""

    class Once:
        """S3 whose first write is refused, or is done twice."""

        exceptions = FakeS3.exceptions
        refused = False

        def __getattr__(self, name: str) -> Any:
            return getattr(scene.s3, name)

        def put_object(self, **request: Any) -> Any:
            if not Once.refused:
                Once.refused = True
                if code == "ConditionalRequestConflict":
                    raise ClientError({"Error": {"Code": code}}, "PutObject")
                scene.s3.put_object(**request)
            return scene.s3.put_object(**request)

    store = RunStore(target_with(s3=Once()), "bucket")
    for write in (
        lambda: take(store, wanted(1).run_id, None, scene.now).write(marker(next_index=7)),
        lambda: store.add("runs/r/input/000000.jsonl", b"data"),
    ):
        Once.refused = False
        write()
    stored = store.marker(wanted(1).run_id)
    assert stored is not None
    assert stored.marker.next_index == 7
    assert store.get("runs/r/input/000000.jsonl") == b"data"


def test_s3_that_takes_no_write_is_an_error_and_no_endless_loop(scene: Scene) -> None:
    class Refusing(FakeS3):
        def put_object(self, **request: Any) -> Any:
            raise ClientError({"Error": {"Code": "ConditionalRequestConflict"}}, "PutObject")

    store = RunStore(target_with(s3=Refusing()), "bucket")
    for write in (lambda: take(store, "r", None, scene.now), lambda: store.add("key", b"data")):
        with pytest.raises(TxnpipeError, match="it refused") as caught:
            write()
        assert caught.value.exit_code is ExitCode.SERVICE


def test_the_conditions_are_those_that_s3_knows() -> None:
    """moto's S3, which the local cloud serves, takes and refuses the same writes as the double."""
    with mock_aws():
        s3 = boto3.client("s3", region_name="us-east-1", aws_access_key_id="x", aws_secret_access_key="x")
        s3.create_bucket(Bucket="bucket")
        for store in (RunStore(target_with(s3=s3), "bucket"), RunStore(target_with(s3=FakeS3()), "bucket")):
            first = store.put("k", b"1", runs.NOTHING_THERE)
            assert first is not None
            assert store.put("k", b"2", runs.NOTHING_THERE) is None
            assert store.put("k", b"2", {"IfMatch": first}) not in {None, first}
            assert store.put("k", b"3", {"IfMatch": first}) is None
            assert store.put("absent", b"3", {"IfMatch": first}) is None
            assert (store.get("k"), store.get("absent")) == (b"2", None)
            assert (store.add("k", b"2"), store.add("k", b"3")) == (True, False)


def test_a_claim_outlives_a_marker_that_somebody_deleted(scene: Scene) -> None:
    claim = Claim(scene.store, None)
    claim.write(marker(next_index=1))
    scene.s3.objects.clear()
    claim.write(marker(next_index=2))
    stored = scene.store.marker(marker().run_id)
    assert stored is not None
    assert stored.marker.next_index == 2
