"""`txnpipe runs`. The bucket is a double."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.cli.places import Place
from txnpipe.errors import ExitCode
from txnpipe.traffic.manifest import encode_manifest, generated_run, utc_now

RUN = "20261124T053112-4f9a1c"
OLDER = "20261123T053112-4f9a1c"


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    made = Place(tmp_path, monkeypatch)
    for run_id in (OLDER, RUN):
        manifest = generated_run(run_id=run_id, pipeline="default", count=10, seed=7, now=utc_now())
        made.s3.put_object(Bucket="b", Key=f"runs/{run_id}/manifest.json", Body=encode_manifest(manifest))
    return made


def test_runs_are_listed_newest_first(place: Place) -> None:
    found = place.json("runs")["runs"]
    assert [each["run_id"] for each in found] == [RUN, OLDER]
    first = found[0]
    assert (first["state"], first["origin"], first["events"]) == ("unfinished", "synthetic", 10)
    assert first["options"] == {"seed": 7, "rate": None}


def test_one_run_is_shown_or_not_found(place: Place) -> None:
    assert place.json("runs", "show", RUN)["run_id"] == RUN
    assert place.run("runs", "show", "x")[0] == ExitCode.NOT_FOUND


def test_a_flag_before_the_subcommand_is_refused_not_ignored(place: Place) -> None:
    assert place.run("runs", "--json", "show", RUN)[0] == ExitCode.USAGE
