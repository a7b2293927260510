"""The page of benchmarks: made of the figures that are kept, and of nothing else."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.unit.traffic.making import marker, wanted
from txnpipe.traffic.runs import RunStore

ROOT = Path(__file__).parents[2]
SHARED = {"program", "report", "run", "senders", "senders_txnpipe"}
"""Modules of benchmarks/ that measure nothing."""


@pytest.fixture(scope="module")
def run() -> Iterator[Any]:
    sys.path.insert(0, str(ROOT / "benchmarks"))
    try:
        yield importlib.import_module("run")
    finally:
        sys.path.remove(str(ROOT / "benchmarks"))


def test_every_benchmark_is_on_the_page(run: Any) -> None:
    files = {path.stem for path in (ROOT / "benchmarks").glob("[!_]*.py")}
    assert files - SHARED == set(run.NAMES)


def test_the_page_shows_what_is_kept(run: Any) -> None:
    assert run.PAGE.read_text() == run.page()


def test_a_missed_goal_is_seen(run: Any) -> None:
    report = run.Report(
        "loader",
        "Rows into a table",
        (
            run.Row("slow", 1234.5, "rows/s", "the tutorial", 3.1, "at least 4", False),
            run.Row("fast", 0.5, "s", "COPY", 0.61, "at least 0.6", True),
            run.Row("plain", 7, "MB"),
            run.Row("by hand", 2.2, "rows/s", "COPY", 0.00004),
        ),
    )
    assert not report.met
    assert run.table(report.rows)[2:] == [
        "| slow | 1,234 rows/s | 3.10 | the tutorial | at least 4 **missed** |",
        "| fast | 0.50 s | 0.61 | COPY | at least 0.6 |",
        "| plain | 7 MB |  |  |  |",
        "| by hand | 2.20 rows/s | 4e-05 | COPY |  |",
    ]


def test_what_one_benchmark_writes_another_reads(run: Any, tmp_path: Path) -> None:
    report = run.Report("loader", "Rows", (run.Row("slow", 1.0, "rows/s", "it", 2.0, "at least 3", False),))
    module = importlib.import_module("report")
    module.write(report, tmp_path / "figures.json")
    assert run.read(tmp_path / "figures.json") == report


def test_the_bucket_of_a_benchmark_keeps_runs_as_s3_does(run: Any) -> None:
    stored_run = importlib.import_module("_stored_run")
    store = RunStore(stored_run._target(stored_run._Bucket({})), "bucket")
    manifest = wanted(1)
    store.create(manifest)
    store.write_marker(marker(run_id=manifest.run_id, next_index=7))
    stored = store.marker(manifest.run_id)
    assert store.manifest(manifest.run_id) == manifest
    assert stored is not None
    assert stored.marker.next_index == 7
    assert (store.result(manifest.run_id), store.part_keys(manifest.run_id)) == (None, [])
