"""A million records through the whole pipeline, limits off, and the proof that each arrived.

Sets up a pipeline of four shards on a local cloud of its own, by the program, as a user would. Sends 10,000
records and verifies them, then a million, and prints: records per second into the table (from the first
record's arrival in Kinesis to the last row's commit), the latency of rows and alerts, the CPU time of `send`
and `verify` per record, and the peak resident memory of every process, which for `send` and `verify` must
not grow with the run. Exit code 1 where verify finds a difference or a goal is missed.

    python benchmarks/end_to_end.py [--count 1000000] [--shards 4] [--json FILE]
"""

from __future__ import annotations

import argparse
import sys
import threading
from collections.abc import Container, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
from program import Done, Program, program
from report import Report, Row, write

SMALL_COUNT = 10_000
FLAT = 1.5
"""How much more memory than the small run's a command may take and still count as flat: allocators and
caches that fill once. A command that held the records would take hundreds of megabytes more."""
SAMPLED_EVERY_S = 0.25


@dataclass
class Usage:
    """Looks at the local cloud's processes in a thread of its own. peak: resident bytes by process, with its
    descendants; cpu_s: CPU seconds."""

    processes: list[dict[str, Any]]
    peak: dict[str, int] = field(default_factory=dict)
    cpu_s: dict[str, float] = field(default_factory=dict)
    _seen: dict[int, float] = field(default_factory=dict)
    _stop: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Usage:
        self._thread = threading.Thread(target=self._look_often, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _look_often(self) -> None:
        self._look()
        while not self._stop.wait(SAMPLED_EVERY_S):
            self._look()
        self._look()

    def _look(self) -> None:
        listed = {process["pid"]: f"{process['part']}, {process['name']}" for process in self.processes}
        resident = dict.fromkeys(listed.values(), 0)
        for pid, name in listed.items():
            for member in _family(pid, listed):
                try:
                    resident[name] += member.memory_info().rss
                    spent = sum(member.cpu_times()[:2])
                except psutil.NoSuchProcess:
                    continue
                before = self._seen.get(member.pid, spent)
                self._seen[member.pid] = spent
                self.cpu_s[name] = self.cpu_s.get(name, 0.0) + spent - before
        for name, size in resident.items():
            self.peak[name] = max(self.peak.get(name, 0), size)


def _family(pid: int, listed: Container[int]) -> Iterator[psutil.Process]:
    """A process and its descendants, without those that are listed themselves, and theirs."""
    try:
        process = psutil.Process(pid)
        yield process
        for child in process.children():
            if child.pid not in listed:
                yield from _family(child.pid, listed)
    except psutil.NoSuchProcess:
        return


@dataclass(frozen=True)
class Measured:
    """One run: what `send` and `verify` said and took, and what the local cloud's processes took."""

    count: int
    sent: Done
    proven: Done
    usage: Usage


def run_once(program: Program, count: int) -> Measured:
    """Sends and verifies `count` records."""
    with Usage(program.run("local", "status")["processes"]) as usage:
        sent = program.measured("send", "--count", str(count), "--seed", str(count), "--new")
        proven = program.measured("verify")
    return Measured(count, sent, proven, usage)


def sustained(program: Program, run_id: str) -> float:
    """Rows per second of a run, from its first record's arrival to its last row's commit."""
    (row,) = program.run(
        "sql",
        "SELECT COUNT(*), EXTRACT(EPOCH FROM MAX(stored_at) - MIN(arrived_at)) FROM transactions"
        f" WHERE run_id = '{run_id}'",
    )["rows"]
    count, seconds = row.values() if isinstance(row, dict) else row
    return float(count) / float(seconds)


def measure(program: Program, count: int) -> Report:
    """Runs everything and prints it."""
    program.run("setup")
    small = run_once(program, SMALL_COUNT)
    large = run_once(program, count)
    document, latency = large.sent.document, large.proven.document["latency_ms"]
    small_rate = sustained(program, small.sent.document["run_id"])
    rate = sustained(program, document["run_id"])
    rows = [
        Row(f"rows stored, {count:,} records", rate, "rows/s", f"{SMALL_COUNT:,} records", rate / small_rate),
        Row("records acknowledged", document["records_per_second"], "records/s"),
        Row("event to row p99", latency["event_to_row"]["p99"], "ms"),
        Row("event to alert p99", latency["event_to_alert"]["p99"], "ms"),
        Row("verify, all of it", large.proven.document["seconds"], "s"),
        Row("send, CPU", large.sent.cpu_s / count * 1e6, "µs/record"),
        Row("verify, CPU", large.proven.cpu_s / count * 1e6, "µs/record"),
    ]
    for what, before, after in (
        ("send", small.sent, large.sent),
        ("verify", small.proven, large.proven),
    ):
        growth = after.peak_rss_bytes / before.peak_rss_bytes
        rows.append(
            Row(f"{what}, peak memory", after.peak_rss_bytes / 1e6, "MB", f"{SMALL_COUNT:,} records", growth,
                f"at most {FLAT}", growth <= FLAT)
        )  # fmt: skip
    rows += [
        Row(f"{name}, CPU", seconds / count * 1e6, "µs/record") for name, seconds in large.usage.cpu_s.items()
    ]
    rows += [
        Row(
            f"{name}, peak memory",
            peak / 1e6,
            "MB",
            f"{SMALL_COUNT:,} records",
            peak / small.usage.peak[name],
        )
        for name, peak in large.usage.peak.items()
    ]
    for row in rows:
        ratio = "" if row.ratio is None else f"{row.ratio:8.2f} x {row.baseline}"
        missed = "  MISSED" if row.met is False else ""
        print(f"  {row.what:<42}{row.value:>12,.1f} {row.unit:<10}{ratio}{missed}")
    return Report(
        "end_to_end",
        f"{count:,} synthetic records through the whole pipeline, limits off; verify found them all equal",
        rows,
    )


def main() -> int:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--count", type=int, default=1_000_000)
    parser.add_argument("--shards", type=int, default=4)
    parser.add_argument("--json", type=Path, help="write the figures to this file, too")
    given = parser.parse_args()
    with program(LOCAL_ENFORCE_LIMITS="false", STREAM_SHARDS=str(given.shards)) as own:
        report = measure(own, given.count)
    write(report, given.json)
    return 0 if report.met else 1


if __name__ == "__main__":
    sys.exit(main())
