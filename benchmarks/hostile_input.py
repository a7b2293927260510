"""Reads a million lines that may be anything, as `txnpipe send --file` does, and accounts for each of them.

    python benchmarks/hostile_input.py [--json FILE]

A quarter of the lines are random bytes, others are damaged or cut transactions and lines that once broke some
reader (tests/unit/traffic/hostile.py); a few are huge. They are read, checked, spooled and summed up as for a
run whose stream and bucket are in memory and forget at once. Exit code 1 where a line is missing from the
counts, memory grows with the input, or a single line takes long.
"""

from __future__ import annotations

import random
import resource
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))

from report import Report, Row, json_argument, write

from tests.unit.traffic.fakes import FakeS3, target_with
from tests.unit.traffic.hostile import NASTY, Made, lines
from tests.unit.traffic.making import wanted_input
from txnpipe.traffic.lines import Chunks, Position, rows
from txnpipe.traffic.runs import RunStore
from txnpipe.traffic.spool import InputSource

COUNT = 1_000_000
HUGE_EVERY = 1000
SEED = 20261124
MOST_MEGABYTES = 50.0
"""What reading may add to the memory of the process, whatever the input is."""
MOST_SECONDS = 1.0
"""The longest that a single line may take. It is a bound against what never ends, not a speed."""


class Forgetful(FakeS3):
    """A bucket that keeps nothing but what is small."""

    def put_object(self, **request: Any) -> dict[str, Any]:
        return {"ETag": '""'} if "/input/" in request["Key"] else super().put_object(**request)


def made(count: int) -> Iterator[bytes]:
    """The lines; one in HUGE_EVERY is one of the longest."""
    rng = random.Random(SEED)
    longest = [line for line in NASTY.values() if len(line) >= 1000]
    for n, line in enumerate(lines(count, SEED)):
        yield rng.choice(longest) + line[-1:] if n % HUGE_EVERY == 0 else line


def slowest() -> float:
    """Seconds that the slowest line of a tenth of the input takes."""
    chunks = iter(Chunks(Made(made(COUNT // 10))))  # type: ignore[arg-type]
    longest, before = 0.0, time.perf_counter()
    for _ in rows(chunks, "json", Position()):
        now = time.perf_counter()
        longest, before = max(longest, now - before), now
    return longest


def main() -> int:
    """Entry point."""
    path = json_argument(__doc__)
    longest = slowest()
    store = RunStore(target_with(s3=Forgetful()), "bucket")
    source = InputSource(store, wanted_input(), Made(made(COUNT)))  # type: ignore[arg-type]
    before, began = _megabytes(), time.perf_counter()
    sent = sum(len(chunk) for chunk in source)
    seconds, grown = time.perf_counter() - began, _megabytes() - before
    head = source.head
    accounted = sent + head.invalid + head.blank
    figures = (
        Row(
            "lines accounted for",
            accounted,
            "lines",
            goal=f"= {COUNT:,}",
            met=accounted == head.lines == COUNT,
        ),
        Row("read, checked and spooled", COUNT / seconds, "lines/s"),
        Row("valid among them", sent, "lines"),
        Row("memory added", grown, "MB", goal=f"<= {MOST_MEGABYTES:g}", met=grown <= MOST_MEGABYTES),
        Row(
            "slowest line",
            longest * 1000,
            "ms",
            goal=f"<= {MOST_SECONDS * 1000:g}",
            met=longest <= MOST_SECONDS,
        ),
    )
    report = Report(
        "hostile_input", "A million lines that may be anything, read as send reads a file", figures
    )
    for row in figures:
        goal = f"  ({row.goal}: {'met' if row.met else 'MISSED'})" if row.goal else ""
        print(f"{row.what:30} {row.value:14,.1f} {row.unit}{goal}")
    write(report, path)
    return 0 if report.met else 1


def _megabytes() -> float:
    """The most memory that this process has taken so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    sys.exit(main())
