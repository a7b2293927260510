"""`txnpipe rejects redrive` that was stopped: the same command continues its run."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.integration.operate.test_rejects import event
from tests.integration.proof.conftest import Place
from tests.unit.cli.places import Place as Program
from tests.unit.traffic.fakes import FakeStream, spans
from txnpipe.errors import ExitCode
from txnpipe.traffic import dispatch, spool
from txnpipe.traffic.dispatch import Outgoing
from txnpipe.traffic.manifest import encode_manifest
from txnpipe.traffic.put_records import Answer
from txnpipe.traffic.runs import RunStore
from txnpipe.traffic.spool import spooled_events
from txnpipe.transactions import parse

COUNT = 10
CALL = 4
"""Records of a call, and of a part of the spool."""


class Stopping(FakeStream):
    """Ends the program at its second call, until `mended`."""

    mended = False

    def put(self, records: Sequence[Outgoing]) -> Answer:
        if self.calls and not self.mended:
            raise SystemExit
        return super().put(records)


class Scene:
    """Ten rejects that are valid by now, of two reasons, and the program."""

    def __init__(self, place: Place, program: Program, stream: Stopping) -> None:
        self.place = place
        self.program = program
        self.stream = stream
        self.store = RunStore(place.sources.target, "bucket")
        self.store._s3 = program.s3
        for number in range(COUNT):
            self.reject(number, "too_large" if number % 2 else "invalid_json")

    def reject(self, number: int, reason: str = "too_large") -> None:
        self.place.reject(event(transaction_id=f"t{number:02d}"), reason, 1_000_000 + number)

    def stop(self, *arguments: str) -> str:
        """Calls it, and it is stopped after its first call. The run's id."""
        self.interrupted(*arguments)
        self.stream.mended = True
        assert self.stream.calls == 1
        (run_id,) = self.store.ids()
        return run_id

    def interrupted(self, *arguments: str) -> None:
        with pytest.raises(SystemExit):
            self.program.run("rejects", "redrive", *arguments)

    def again(self, *arguments: str) -> dict[str, Any]:
        return self.program.json("rejects", "redrive", *arguments)

    def sent(self, run_id: str) -> list[str]:
        """The transactions of a run, in their order."""
        parts = spooled_events(self.store, run_id)
        return [parse(each).transaction_id for _, part in parts for each in part]

    def store_sent(self) -> None:
        """What the loader does with what is in the stream."""
        for run_id in self.store.ids():
            ids = self.sent(run_id)
            for index in set(self.stream.indexes()):
                self.place.change(
                    "INSERT INTO transactions SELECT %s, 1, 'purchase', %s, NULL, NULL, NULL, NULL, %s, "
                    "%s, %s, 's', %s",
                    (ids[index], NOW, run_id, NOW, NOW, str(index)),
                )


NOW = datetime(2026, 11, 24, 6, 0)
ALL = [f"t{number:02d}" for number in range(COUNT)]


@pytest.fixture
def scene(place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Scene:
    @contextlib.contextmanager
    def opened(*_: Any) -> Iterator[Any]:
        yield place.warehouse

    stream = Stopping(spans(1))
    monkeypatch.setattr("txnpipe.warehouse.open_warehouse", opened)
    monkeypatch.setattr("txnpipe.cli.redriving.KinesisStream", lambda target, name: stream)
    monkeypatch.setattr(dispatch, "MAX_CALL_RECORDS", CALL)
    monkeypatch.setattr(spool, "PART_EVENTS", CALL)
    return Scene(place, Program(tmp_path, monkeypatch), stream)


def test_the_same_command_continues_the_run_and_sends_each_record_once(scene: Scene) -> None:
    run_id = scene.stop()
    assert len(scene.stream.indexes()) == CALL
    scene.store_sent()
    document = scene.again()
    assert (document["run_id"], document["continued"]) == (run_id, True)
    assert (document["records"], document["left"]) == (COUNT - CALL, {})
    assert scene.stream.indexes() == list(range(COUNT))
    assert scene.sent(run_id) == ALL
    (run,) = scene.program.json("runs")["runs"]
    assert (run["run_id"], run["state"], run["count"]) == (run_id, "finished", COUNT)


def test_what_was_rejected_meanwhile_goes_with_it(scene: Scene) -> None:
    run_id = scene.stop()
    scene.reject(COUNT)
    scene.reject(0)  # sent once more before, and rejected again
    scene.reject(CALL - 1, "invalid_json")
    document = scene.again()
    assert (document["run_id"], scene.sent(run_id)) == (run_id, [*ALL, f"t{COUNT}"])
    assert scene.stream.indexes() == list(range(COUNT + 1))


def test_a_run_of_which_everything_is_stored_by_now_is_finished(scene: Scene) -> None:
    run_id = scene.stop("--reason", "too_large")
    scene.place.change(
        "INSERT INTO transactions SELECT 't' || LPAD(CAST(n AS VARCHAR), 2, '0'), 1, 'purchase', %s, NULL, "
        "NULL, NULL, NULL, NULL, %s, %s, 's', '1' FROM generate_series(0, 9) AS n",
        (NOW, NOW, NOW),
    )
    assert scene.again("--reason", "too_large")["run_id"] == run_id
    assert scene.store.result(run_id) is not None
    assert scene.again("--reason", "too_large")["run_id"] is None


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        (
            ["--set", "merchant=a", "--set", "country=DE"],
            ["--set", "country=DE", "--set", "merchant=a"],
            True,
        ),
        (["--set", "merchant=a"], ["--set", "merchant=b"], False),
        (["--set", "merchant=a"], [], False),
        (["--reason", "too_large"], ["--reason", "too_large"], True),
        (["--reason", "too_large"], ["--reason", "invalid_json"], False),
        ([], ["--reason", "too_large"], False),
        (["1000001", "1000003", "1000005", "1000007", "1000009"], ["1000009"], False),
        (
            ["1000001", "1000003", "1000005", "1000007", "1000009"],
            ["000005", "000003", "000001", "000009", "000007"],
            True,
        ),
        (["--since", "2026-11-24T05:00"], ["--since", "2026-11-24T07:00+02:00"], True),
        (["--since", "2026-11-24T05:00"], ["--since", "2026-11-24T05:01"], False),
        ([], ["--new"], False),
    ],
)
def test_it_is_the_same_command_if_it_asks_for_the_same(
    scene: Scene, first: list[str], second: list[str], same: bool
) -> None:
    run_id = scene.stop(*first)
    document = scene.again(*second)
    assert (document["run_id"] == run_id, document["continued"]) == (same, same)


def test_a_time_ago_is_counted_from_the_beginning_of_the_run(scene: Scene) -> None:
    """Two hours pass between the two calls: none of the rejects has arrived within the last hour by then."""
    now = datetime.now(UTC).replace(tzinfo=None)
    arrived = "UPDATE rejected_transactions SET arrived_at = %s"
    scene.place.change(arrived, [now - timedelta(minutes=30)])
    run_id = scene.stop("--since", "1h")
    scene.place.change(arrived, [now - timedelta(minutes=150)])
    manifest = scene.store.manifest(run_id)
    assert manifest.selection is not None
    assert manifest.selection.arrived_since is not None
    began = msgspec.structs.replace(
        manifest.selection, arrived_since=manifest.selection.arrived_since - timedelta(hours=2)
    )
    earlier = msgspec.structs.replace(manifest, selection=began)
    scene.store.put(f"runs/{run_id}/manifest.json", encode_manifest(earlier))
    # What was not spooled by then is in no other place than the table.
    for key in scene.store.part_keys(run_id)[1:]:
        del scene.program.s3.objects[key]
    assert scene.again("--since", "1h")["run_id"] == run_id
    assert scene.sent(run_id) == ALL


def test_while_one_is_at_work_the_same_command_is_refused(scene: Scene) -> None:
    run_id = scene.stop()
    stored = scene.store.marker(run_id)
    assert stored is not None
    scene.store.write_marker(msgspec.structs.replace(stored.marker, host="elsewhere"))
    for arguments in ((), ("--dry-run",)):
        code, _, err = scene.program.run("rejects", "redrive", *arguments)
        assert code == ExitCode.CONFLICT
        assert f"on elsewhere works on the run {run_id}" in " ".join(err.split())
    assert scene.stream.calls == 1
    assert scene.again("--new")["continued"] is False


def test_one_that_was_called_while_the_rejects_were_read_is_not_doubled(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    from txnpipe.operate import mending

    mend = mending.mend

    def meanwhile(*arguments: Any) -> Any:
        monkeypatch.setattr(mending, "mend", mend)
        scene.stream.mended = False
        scene.interrupted()
        scene.stream.mended = True
        return mend(*arguments)

    monkeypatch.setattr(mending, "mend", meanwhile)
    code, _, err = scene.program.run("rejects", "redrive")
    assert code == ExitCode.CONFLICT
    assert "the same command again: it continues" in " ".join(err.split())
    assert (scene.stream.calls, len(scene.store.ids())) == (1, 1)
    scene.again()
    assert scene.stream.indexes() == list(range(COUNT))


def test_a_dry_run_tells_what_is_left_and_claims_nothing(scene: Scene) -> None:
    run_id = scene.stop()
    before = dict(scene.program.s3.objects)
    code, out, _ = scene.program.run("rejects", "redrive", "--dry-run")
    assert code == 0
    assert [parse(line.encode()).transaction_id for line in out.splitlines()] == ALL[CALL:]
    document = scene.again("--dry-run")
    assert (document["run_id"], document["continued"], document["records"]) == (run_id, True, COUNT - CALL)
    assert scene.program.s3.objects == before


def test_who_looks_for_the_run_is_told_the_command(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("txnpipe.traffic.stream.KinesisStream", lambda target, name: scene.stream)
    run_id = scene.stop("--reason", "too_large", "--set", "merchant=[a] b", "--since", "2026-11-24T05:00")
    command = "txnpipe rejects redrive --reason too_large --since 2026-11-24T05:00:00 --set 'merchant=[a] b'"
    assert command in " ".join(scene.program.run("runs", "show", run_id)[2].split())
    code, _, err = scene.program.run("send", "--resume", run_id)
    assert code == ExitCode.USAGE
    assert command in " ".join(err.split())
