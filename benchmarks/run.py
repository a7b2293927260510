"""Runs the benchmarks one after the other and writes docs/benchmarks.md from their figures.

    python benchmarks/run.py [NAME ...]

Every benchmark runs in a process of its own and prints as it goes. What it measured is kept in
benchmarks/results/NAME.json together with the machine and the versions that it was measured on, so that one
of them can be repeated alone; the page shows all that is there. Exit code 1 where a goal was missed.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from report import Report, Row, read

HERE = Path(__file__).parent
RESULTS = HERE / "results"
PAGE = HERE.parent / "docs" / "benchmarks.md"
NAMES = (
    "send",
    "loader",
    "verify",
    "end_to_end",
    "latency",
    "hostile_input",
    "kinesis_engine",
    "event_sources",
)
"""In the order of the page: what a user sees first."""
VERSIONS = ("boto3", "psycopg2-binary", "apache-flink-libraries", "moto", "async-kinesis", "aiokpl", "awscli")
"""Packages whose versions matter to a figure; those that are not installed are left out."""
INTRODUCTION = """\
# Benchmarks

`make bench` measures all of this again and writes this page. Every ratio has its baseline in the same run, on
the same machine, and the two take turns where they can: the figures of another machine will differ, the
ratios much less. A ratio says how many times the baseline's figure this one is. Peers are unmodified packages
from PyPI, pointed at the same local endpoint. What exactly is measured, and how, is told at the beginning of
each file in `benchmarks/`.
"""


def main() -> int:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help=f"of {', '.join(NAMES)}; all of them if none"
    )
    names = parser.parse_args().names or NAMES
    unknown = sorted(set(names) - set(NAMES))
    if unknown:
        parser.error(f"there is no benchmark {unknown[0]!r}; there are {', '.join(NAMES)}")
    RESULTS.mkdir(exist_ok=True)
    failed = [name for name in names if not measured(name)]
    PAGE.write_text(page())
    print(f"\nWritten: {PAGE.relative_to(HERE.parent)}")
    if failed:
        print(f"Below their goals, or not to the end: {', '.join(failed)}")
    return 1 if failed else 0


def measured(name: str) -> bool:
    """Runs one benchmark and keeps its figures; whether it reached its goals."""
    print(f"\n{name}", flush=True)
    with tempfile.TemporaryDirectory(prefix="txnpipe-benchmark-") as directory:
        figures = Path(directory) / "figures.json"
        ended = subprocess.run(
            [sys.executable, str(HERE / f"{name}.py"), "--json", str(figures)], check=False
        )
        if figures.exists():
            kept = {"measured": measurement(), **json.loads(figures.read_text())}
            (RESULTS / f"{name}.json").write_text(json.dumps(kept, indent=2, ensure_ascii=False) + "\n")
    return ended.returncode == 0


def measurement() -> dict[str, Any]:
    """When, on what machine and with which versions."""
    return {
        "on": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30),
        "system": f"{platform.system()} {platform.machine()}",
        "versions": {"Python": platform.python_version()} | _versions(),
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _versions() -> dict[str, str]:
    found = {}
    for package in VERSIONS:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


def page() -> str:
    """The page, from all results that are kept."""
    sections = [INTRODUCTION]
    for name in NAMES:
        path = RESULTS / f"{name}.json"
        if path.exists():
            sections.append(section(read(path), json.loads(path.read_text())["measured"]))
    return "\n".join(sections)


def section(report: Report, measured: Mapping[str, Any]) -> str:
    """One benchmark as Markdown."""
    versions = ", ".join(f"{name} {version}" for name, version in measured["versions"].items())
    lines = [
        f"## {report.name.replace('_', ' ').capitalize()}",
        "",
        f"{report.what}.",
        "",
        f"`python benchmarks/{report.name}.py`, measured on {measured['on']}: {measured['processor']},"
        f" {measured['cores']} cores, {measured['memory_gib']} GiB, {measured['system']}; {versions}.",
        "",
        *table(report.rows),
        "",
    ]
    return "\n".join(lines)


def table(rows: Sequence[Row]) -> list[str]:
    """The figures as a Markdown table."""
    lines = ["| | figure | ratio | to | goal |", "|---|---:|---:|---|---|"]
    for row in rows:
        goal = "" if row.goal is None else f"{row.goal}{'' if row.met else ' **missed**'}"
        ratio = "" if row.ratio is None else _ratio(row.ratio)
        lines.append(
            f"| {row.what} | {_number(row.value)} {row.unit} | {ratio} | {row.baseline or ''} | {goal} |"
        )
    return lines


def _ratio(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.2f}" if value >= 0.01 else f"{value:.1g}"


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 or value == int(value) else f"{value:,.2f}"


if __name__ == "__main__":
    sys.exit(main())
