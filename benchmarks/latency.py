"""How long an event takes to its row and to its alert, at 100 events a second with a batching window of 0.

Sets up a pipeline on a local cloud of its own, by the program, as a user would; sends a warm-up run and the
run that counts; prints the percentiles that `txnpipe verify` computes from the stored times: from the arrival
in Kinesis to just before the commit. With --cold there is no warm-up: the run that counts is the first one
after the setup. Prints the resident memory of the local cloud before that run, too. Exit code 1 where a goal
is missed.

    python benchmarks/latency.py [--cold] [--seconds 20] [--rate 100]
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

GOALS = (("event_to_row", "p99", 300.0), ("event_to_alert", "p95", 400.0))
"""Percentiles in milliseconds that must not be exceeded."""
MEMORY_GOAL_MB = 1000
"""What the local cloud may take at rest, in all."""
WARM_UP_COUNT = 1000
API_PORT = 4980


class Program:
    """The program, in a home of its own."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        inherited = {
            key: value for key, value in os.environ.items() if not key.startswith(("AWS_", "TXNPIPE_"))
        }
        own = {
            "TXNPIPE_HOME": str(directory / "home"),
            "TXNPIPE_LOCAL_API_PORT": str(API_PORT),
            "TXNPIPE_LOADER_BATCH_WINDOW_SECONDS": "0",
        }
        self._environment = {**inherited, **own}

    def run(self, *arguments: str) -> dict[str, Any]:
        """Runs a command, which must end with 0, and returns its document."""
        result = subprocess.run(
            [sys.executable, "-m", "txnpipe", *arguments, "--json"],
            cwd=self._directory,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if result.returncode != 0:
            sys.exit(f"txnpipe {' '.join(arguments)} ended with {result.returncode}:\n{result.stderr}")
        document: dict[str, Any] = json.loads(result.stdout)
        return document


def measure(program: Program, rate: int, seconds: int, *, cold: bool) -> bool:
    """Runs everything and prints it. Returns whether every goal was reached."""
    program.run("setup")
    if not cold:
        program.run("send", "--count", str(WARM_UP_COUNT), "--seed", "1")
        program.run("verify")
    memory_mb = program.run("local", "status")["rss_bytes"] / 1e6
    program.run("send", "--count", str(rate * seconds), "--rate", str(rate), "--seed", "2")
    proof = program.run("verify")
    which = "the first run after setup" if cold else "after a warm-up"
    print(f"{rate} events/s for {seconds} s, batching window 0, {which}; ms from arrival to commit")
    print(f"{'':16}{'p50':>8}{'p95':>8}{'p99':>8}{'max':>8}{'rows':>8}")
    latencies = proof["latency_ms"]
    for name, found in latencies.items():
        figures = "".join(f"{found[column]:8.1f}" for column in ("p50", "p95", "p99", "max"))
        print(f"{name.replace('_', ' '):16}{figures}{found['rows']:8,}")
    reached = True
    for name, percentile, goal in GOALS:
        value = latencies[name][percentile]
        met = value < goal
        reached = reached and met
        verdict = "reached" if met else "MISSED"
        print(f"{name.replace('_', ' ')} {percentile} {value:.1f} ms, goal below {goal:.0f} ms: {verdict}")
    light = memory_mb < MEMORY_GOAL_MB
    verdict = "reached" if light else "MISSED"
    print(f"memory at rest {memory_mb:,.0f} MB, goal below {MEMORY_GOAL_MB:,} MB: {verdict}")
    return reached and light


def main() -> int:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--seconds", type=int, default=20)
    parser.add_argument("--rate", type=int, default=100)
    parser.add_argument("--cold", action="store_true", help="measure the first run after the setup")
    given = parser.parse_args()
    directory = Path(tempfile.mkdtemp(prefix="txnpipe-latency-"))
    directory.chmod(0o711)  # root's PostgreSQL runs as another user, who must pass through
    program = Program(directory)
    try:
        return 0 if measure(program, given.rate, given.seconds, cold=given.cold) else 1
    finally:
        program.run("local", "stop")
        shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
