"""What every benchmark writes with --json FILE, so that docs/benchmarks.md can be made of it."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True)
class Row:
    """One figure. `ratio` is to `baseline` in the same run; `goal` and `met` only where it has a goal."""

    what: str
    value: float
    unit: str
    baseline: str | None = None
    ratio: float | None = None
    goal: str | None = None
    met: bool | None = None


@dataclass(frozen=True)
class Report:
    """One benchmark: its file's name without .py, one sentence on what was measured, and its figures."""

    name: str
    what: str
    rows: Sequence[Row]

    @property
    def met(self) -> bool:
        """Whether no goal was missed."""
        return all(row.met is not False for row in self.rows)


def json_argument(description: str | None) -> Path | None:
    """The value of --json, the only argument that most benchmarks take."""
    parser = argparse.ArgumentParser(description=(description or "").partition("\n")[0])
    parser.add_argument("--json", type=Path, help="write the figures to this file, too")
    given: Path | None = parser.parse_args().json
    return given


def write(report: Report, path: Path | None) -> None:
    """Writes the report as JSON; nothing where there is no path."""
    if path is not None:
        path.write_text(json.dumps(asdict(report), indent=2) + "\n")


def read(path: Path) -> Report:
    """Reads what `write` wrote."""
    found = json.loads(path.read_text())
    return Report(found["name"], found["what"], tuple(Row(**row) for row in found["rows"]))
