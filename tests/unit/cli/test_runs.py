"""`txnpipe runs`. The bucket is a double."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.unit.cli.places import Place
from tests.unit.traffic.fakes import target_with
from txnpipe.cli.runs import _age
from txnpipe.errors import ExitCode
from txnpipe.traffic.history import REJECTS_INPUT
from txnpipe.traffic.manifest import encode_manifest, generated_run, input_run, utc_now
from txnpipe.traffic.runs import RunResult, RunStore

RUN = "20261124T053112-4f9a1c"
OLDER = "20261123T053112-4f9a1c"


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    made = Place(tmp_path, monkeypatch)
    for run_id in (OLDER, RUN):
        manifest = generated_run(run_id=run_id, pipeline="default", count=10, seed=7, now=utc_now())
        made.s3.put_object(Bucket="b", Key=f"runs/{run_id}/manifest.json", Body=encode_manifest(manifest))
    return made


def finish(place: Place, run_id: str) -> None:
    began = datetime(2026, 11, 24, tzinfo=UTC)
    RunStore(target_with(s3=place.s3), "b").write_result(
        RunResult(
            run_id=run_id,
            count=10,
            attempts=11,
            throttled=1,
            failed=0,
            invalid=0,
            invalid_lines=(),
            started_at=began,
            finished_at=began + timedelta(seconds=4),
            marks={"shardId-000000000000": "49"},
        )
    )


def test_runs_are_listed_newest_first(place: Place) -> None:
    finish(place, OLDER)
    newer, older = place.json("runs")["runs"]
    assert (newer["run_id"], newer["state"], newer["source"]) == (RUN, "unfinished", "synthetic")
    assert (newer["count"], newer["acknowledged"], newer["records_per_second"]) == (10, 0, None)
    assert (older["run_id"], older["state"]) == (OLDER, "finished")
    assert (older["acknowledged"], older["seconds"], older["records_per_second"]) == (10, 4.0, 2.5)
    assert [each["run_id"] for each in place.json("runs", "--limit", "1")["runs"]] == [RUN]
    _, table, told = place.run("runs")
    assert "synthetic, seed 7" in table
    assert f"Run {RUN} is unfinished: txnpipe send --resume {RUN}" in told


def test_nothing_sent_is_no_error(place: Place) -> None:
    place.s3.objects.clear()
    code, out, err = place.run("runs")
    assert (code, out) == (0, "")
    assert "Nothing was sent yet." in err
    assert place.json("runs")["runs"] == []


def test_a_limit_must_be_one(place: Place) -> None:
    assert place.run("runs", "--limit", "0")[0] == ExitCode.USAGE


def test_one_run_is_shown_with_all_that_is_stored_of_it(place: Place) -> None:
    finish(place, RUN)
    shown = place.json("runs", "show", RUN)
    assert (shown["run_id"], shown["state"]) == (RUN, "finished")
    assert shown["manifest"]["seed"] == 7
    assert shown["result"]["marks"] == {"shardId-000000000000": "49"}
    assert shown["progress"] is None
    _, table, told = place.run("runs", "show", RUN)
    assert re.search("result marks shardId-000000000000 +49", table)
    assert f"txnpipe verify --run {RUN}" in told


def test_a_run_that_is_not_there_and_a_damaged_one_are_errors_that_say_so(place: Place) -> None:
    assert place.run("runs", "show", "x")[0] == ExitCode.NOT_FOUND
    place.s3.put_object(Bucket="b", Key=f"runs/{RUN}/manifest.json", Body=b"{")
    code, _, err = place.run("runs", "show", RUN)
    assert code == ExitCode.SERVICE
    assert "cannot be read" in err
    assert place.json("runs")["runs"][0]["state"] == "unreadable"


def test_a_run_of_rejects_is_not_continued_by_send(place: Place) -> None:
    manifest = input_run(run_id=RUN, pipeline="default", input_name=REJECTS_INPUT, now=utc_now())
    place.s3.put_object(Bucket="b", Key=f"runs/{RUN}/manifest.json", Body=encode_manifest(manifest))
    assert place.json("runs", "show", RUN)["source"] == "rejects"
    assert "txnpipe rejects redrive sends what is not stored" in place.run("runs", "show", RUN)[2]


@pytest.mark.parametrize(("name", "argument"), [("-", "-"), ("/my data/[in].jsonl", "'/my data/[in].jsonl'")])
def test_an_unfinished_input_is_continued_with_its_file(place: Place, name: str, argument: str) -> None:
    manifest = input_run(run_id=RUN, pipeline="default", input_name=name, now=utc_now())
    place.s3.put_object(Bucket="b", Key=f"runs/{RUN}/manifest.json", Body=encode_manifest(manifest))
    told = " ".join(place.run("runs", "show", RUN)[2].split())
    assert f"txnpipe send --resume {RUN} --file {argument}" in told


def test_a_file_cannot_control_the_terminal_by_its_name(place: Place) -> None:
    manifest = input_run(run_id=RUN, pipeline="default", input_name="/data/\x1b[2J.jsonl", now=utc_now())
    place.s3.put_object(Bucket="b", Key=f"runs/{RUN}/manifest.json", Body=encode_manifest(manifest))
    for command in (["runs"], ["runs", "show", RUN]):
        _, out, _ = place.run(*command)
        assert "\\x1b[2J.jsonl" in out
        assert "\x1b" not in out


def test_a_flag_before_the_subcommand_is_refused_not_ignored(place: Place) -> None:
    assert place.run("runs", "--json", "show", RUN)[0] == ExitCode.USAGE


@pytest.mark.parametrize(
    ("seconds", "age"), [(-1, "0 s"), (119, "119 s"), (120, "2 min"), (7200, "2 h"), (200_000, "2 d")]
)
def test_an_age_has_two_units_at_least(seconds: float, age: str) -> None:
    assert _age(seconds) == age
