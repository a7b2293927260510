"""How long an event takes to its row and to its alert, at 100 events a second with a batching window of 0.

Sets up a pipeline on a local cloud of its own, by the program, as a user would; sends a warm-up run and the
run that counts; prints the percentiles that `txnpipe verify` computes from the stored times: from the arrival
in Kinesis to just before the commit. With --cold there is no warm-up: the run that counts is the first one
after the setup. Prints the resident memory of the local cloud before that run, too. Exit code 1 where a goal
is missed.

    python benchmarks/latency.py [--cold] [--seconds 20] [--rate 100] [--json FILE]
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from program import Program, program
from report import Report, Row, write

GOALS = (("event_to_row", "p99", 300.0), ("event_to_alert", "p95", 400.0))
"""Percentiles in milliseconds that must not be exceeded."""
MEMORY_GOAL_MB = 1000
"""What the local cloud may take at rest, in all."""
WARM_UP_COUNT = 1000


def measure(program: Program, rate: int, seconds: int, *, cold: bool) -> Report:
    """Runs everything and prints it."""
    program.run("setup")
    if not cold:
        program.run("send", "--count", str(WARM_UP_COUNT), "--seed", "1")
        program.run("verify")
    memory_mb = program.run("local", "status")["rss_bytes"] / 1e6
    program.run("send", "--count", str(rate * seconds), "--rate", str(rate), "--seed", "2")
    proof = program.run("verify")
    which = "the first run after setup" if cold else "after a warm-up"
    what = f"{rate} events/s for {seconds} s, batching window 0, {which}; ms from arrival to commit"
    print(what)
    print(f"{'':16}{'p50':>8}{'p95':>8}{'p99':>8}{'max':>8}{'rows':>8}")
    latencies = proof["latency_ms"]
    for name, found in latencies.items():
        figures = "".join(f"{found[column]:8.1f}" for column in ("p50", "p95", "p99", "max"))
        print(f"{name.replace('_', ' '):16}{figures}{found['rows']:8,}")
    rows = []
    for name, percentile, goal in GOALS:
        value = latencies[name][percentile]
        met = value < goal
        what_exactly = f"{name.replace('_', ' ')} {percentile}"
        print(f"{what_exactly} {value:.1f} ms, goal below {goal:.0f} ms: {'reached' if met else 'MISSED'}")
        rows.append(Row(what_exactly, value, "ms", goal=f"below {goal:.0f}", met=met))
    light = memory_mb < MEMORY_GOAL_MB
    verdict = "reached" if light else "MISSED"
    print(f"memory at rest {memory_mb:,.0f} MB, goal below {MEMORY_GOAL_MB:,} MB: {verdict}")
    rows.append(
        Row("local cloud at rest", round(memory_mb), "MB", goal=f"below {MEMORY_GOAL_MB:,}", met=light)
    )
    return Report("latency", what, rows)


def main() -> int:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--seconds", type=int, default=20)
    parser.add_argument("--rate", type=int, default=100)
    parser.add_argument("--cold", action="store_true", help="measure the first run after the setup")
    parser.add_argument("--json", type=Path, help="write the figures to this file, too")
    given = parser.parse_args()
    with program(LOADER_BATCH_WINDOW_SECONDS="0") as own:
        report = measure(own, given.rate, given.seconds, cold=given.cold)
    write(report, given.json)
    return 0 if report.met else 1


if __name__ == "__main__":
    sys.exit(main())
