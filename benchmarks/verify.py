"""How long `verify` takes to prove a million rows that are all equal, and with how much memory.

    python benchmarks/verify.py [--rows 1000000]

Runs of 10,000 and of a million records are copied into a real PostgreSQL as a pipeline without faults would
have stored them; nothing is sent. `verify` proves each in a process of its own, from nothing: what should be
stored is computed, the rules are asked, rows, alerts, rejects and latency are compared. The baseline is what
one would write instead: SELECT all the rows of a run, compute each event again, compare field by field, and
look for the rules' alerts in Python; it proves 100,000 rows, and its time per row counts.

Then the million rows are damaged: 7 deleted, 5 changed, 3 stored twice, 2 alerts removed. `verify` must name
exactly these. The percentiles of latency are compared with what Python makes of a million times.

Peak memory is the verifying process's own, its workers' beside it. Exit code 1 where a goal is missed.
"""

from __future__ import annotations

import argparse
import json
import pickle
import resource
import subprocess
import sys
import time
from collections import defaultdict, deque
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from _stored_run import Place, latency_us, manifest_of, place, store_run
from report import Report, Row, write

from txnpipe.proof.latency import Latency
from txnpipe.proof.verify import verify
from txnpipe.traffic.generator import Generator
from txnpipe.warehouse.interface import Dialect, Parameters, Result, Warehouse

ROWS = 1_000_000
FEW_ROWS = 10_000
BASELINE_ROWS = 100_000
GOAL_S = 10.0
MEMORY_GOAL = 1.5
"""Peak memory at a million rows may be so many times that at ten thousand."""


@dataclass(frozen=True)
class Measured:
    """One proof: seconds, seconds by phase, and peak memory of the process and of its largest worker."""

    seconds: float
    phases: dict[str, float]
    own_mb: float
    worker_mb: float


class Timed:
    """A warehouse that adds up how long it was asked for what."""

    def __init__(self, warehouse: Warehouse) -> None:
        self._warehouse = warehouse
        self.phases: defaultdict[str, float] = defaultdict(float)

    @property
    def dialect(self) -> Dialect:
        return self._warehouse.dialect

    def query(self, sql: str, parameters: Parameters | None = None, *, read_only: bool = False) -> Result:
        started = time.perf_counter()
        result = self._warehouse.query(sql, parameters, read_only=read_only)
        self.phases[_phase(sql)] += time.perf_counter() - started
        return result

    def __getattr__(self, name: str) -> Any:
        return getattr(self._warehouse, name)


def _phase(sql: str) -> str:
    for sign, phase in (("MD5", "checksums"), ("PERCENTILE", "latency"), ("' || transaction_id", "rules")):
        if sign in sql:
            return phase
    return "the rest"


def proven(where: Place, rows: int) -> Measured:
    """Proves a stored run here and now; it must be equal, and its latency what the stored times make it."""
    sources = where.sources()
    timed = Timed(sources.warehouse)
    started = time.perf_counter()
    proof = verify(replace(sources, warehouse=timed), manifest_of(rows), timeout_s=60)
    seconds = time.perf_counter() - started
    own_mb, worker_mb = _own_peak_mb(), resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    if not proof.equal or proof.rows.stored != rows or not all(rule.stored for rule in proof.rules):
        sys.exit(f"{rows:,} rows are not proven equal: {', '.join(proof.differences)}")
    if proof.row_latency != _latency(rows):
        sys.exit(f"the latency of {rows:,} rows is {proof.row_latency} and should be {_latency(rows)}")
    return Measured(seconds, dict(timed.phases), own_mb, worker_mb)


def proven_apart(file: Path, rows: int) -> Measured:
    """`proven` in a process of its own."""
    done = subprocess.run(
        [sys.executable, __file__, "--prove", str(file), "--rows", str(rows)],
        stdout=subprocess.PIPE,
        check=True,
    )
    return Measured(**json.loads(done.stdout))


def _latency(rows: int) -> Latency:
    """Percentiles as Python computes them: linear between neighbours."""
    micros = sorted(map(latency_us, range(rows)))

    def at(share: float) -> float:
        place = share * (rows - 1)
        low, high = micros[int(place)], micros[min(int(place) + 1, rows - 1)]
        return round((low + (high - low) * (place - int(place))) / 1000, 1)

    return Latency(rows, at(0.5), at(0.95), at(0.99), at(1.0))


def damage_named(where: Place, rows: int) -> float:
    """Damages a stored run and proves it: exactly what was damaged must be named. Returns seconds."""
    manifest = manifest_of(rows)
    ids = [f"{manifest.run_id}-{rows * n // 15:09d}" for n in range(15)]
    deleted, changed, doubled = ids[:7], ids[7:12], ids[12:]
    changes = (
        "amount = amount + 0.01",
        "merchant = NULL",
        "country = ''",
        "account_id = account_id || 'x'",
        '"timestamp" = "timestamp" + INTERVAL \'1 microsecond\'',
    )
    connection = where.connect()
    with connection, connection.cursor() as cursor:
        cursor.execute("DELETE FROM transactions WHERE transaction_id IN %s", (tuple(deleted),))
        for each, change in zip(changed, changes, strict=True):
            cursor.execute(f"UPDATE transactions SET {change} WHERE transaction_id = %s", (each,))
        cursor.execute(
            "INSERT INTO transactions SELECT * FROM transactions WHERE transaction_id IN %s",
            (tuple(doubled),),
        )
        cursor.execute(
            "DELETE FROM alerts WHERE alert_id IN (SELECT alert_id FROM alerts WHERE run_id = %s "
            "ORDER BY alert_id LIMIT 2) RETURNING alert_id",
            (manifest.run_id,),
        )
        alerts = sorted(alert_id for (alert_id,) in cursor)
    connection.close()
    started = time.perf_counter()
    proof = verify(where.sources(), manifest, timeout_s=0)
    seconds = time.perf_counter() - started
    named = (
        sorted(proof.rows.missing.ids),
        sorted(proof.rows.changed.ids),
        sorted(proof.rows.duplicate.ids),
        proof.rows.extra.ids,
        sorted(each for rule in proof.rules for each in rule.missing.ids),
        [each for rule in proof.rules for each in (*rule.extra.ids, *rule.changed.ids, *rule.duplicate.ids)],
    )
    if named != (deleted, changed, doubled, [], alerts, []):
        sys.exit(f"not exactly what was damaged is named: {named}")
    return seconds


def compared_one_by_one(where: Place, rows: int) -> float:
    """The baseline: every row fetched and compared, every alert looked for, in Python. Returns seconds."""
    manifest = manifest_of(rows)
    generator = Generator(manifest)
    connection = where.connect()
    started = time.perf_counter()
    with connection, connection.cursor() as cursor:
        cursor.execute(
            'SELECT transaction_id, amount, transaction_type, "timestamp", account_id, merchant, country, '
            "currency, sequence_number FROM transactions WHERE run_id = %s",
            (manifest.run_id,),
        )
        stored = {row[0]: row for row in cursor}
        cursor.execute("SELECT alert_id FROM alerts WHERE run_id = %s", (manifest.run_id,))
        alerts = {alert_id for (alert_id,) in cursor}
    for index in range(rows):
        t = generator.transaction(index)
        sent = (
            t.transaction_id,
            t.amount,
            t.transaction_type,
            t.timestamp,
            t.account_id,
            t.merchant,
            t.country,
        )
        if stored[t.transaction_id][:8] != (*sent, t.currency):
            sys.exit(f"{t.transaction_id} differs")
    if _alerts(sorted(stored.values(), key=lambda row: int(row[8]))) != alerts:
        sys.exit("alerts differ")
    connection.close()
    return time.perf_counter() - started


def _alerts(rows: list[tuple[Any, ...]]) -> set[str]:
    """The rules with their default numbers."""
    found = set()
    histories: defaultdict[str, deque[tuple[Decimal, datetime]]] = defaultdict(lambda: deque(maxlen=20))
    hot: set[str] = set()
    minute = timedelta(seconds=60)
    for transaction_id, amount, _, when, account, *_ in rows:
        history = histories[account]
        if amount > 10_000:
            found.add(f"large_amount:{transaction_id}")
        before = sum(each for each, _ in history)
        if len(history) >= 5 and amount > 100 and before > 0 and amount * len(history) > 5 * before:
            found.add(f"amount_spike:{transaction_id}")
        if len(history) >= 4 and abs(when - history[-4][1]) <= minute:
            if account not in hot:
                found.add(f"velocity:{transaction_id}")
            hot.add(account)
        else:
            hot.discard(account)
        history.append((amount, when))
    return found


def _own_peak_mb() -> float:
    """Of this program; getrusage's is also that of whatever was forked before the program began."""
    status = Path("/proc/self/status").read_text()
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM"))) / 1024


def main() -> int:
    """Measures, prints and writes."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--json", type=Path, help="write the figures to this file, too")
    parser.add_argument("--rows", type=int, default=ROWS, help="rows of the long run (default: a million)")
    parser.add_argument("--prove", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.prove is not None:
        where = Place(*pickle.loads(arguments.prove.read_bytes()))
        print(json.dumps(proven(where, arguments.rows).__dict__))
        return 0
    with place() as where:
        for rows in (FEW_ROWS, BASELINE_ROWS, arguments.rows):
            store_run(where, manifest_of(rows))
        file = where.home / "place"
        file.write_bytes(pickle.dumps((where.port, where.home, where.objects)))
        few, many = proven_apart(file, FEW_ROWS), proven_apart(file, arguments.rows)
        baseline_s = compared_one_by_one(where, BASELINE_ROWS)
        damaged_s = damage_named(where, arguments.rows)
    report = _report(arguments.rows, few, many, baseline_s, damaged_s)
    for row in report.rows:
        ratio = f", {row.ratio:.2f} x {row.baseline}" if row.ratio is not None else ""
        goal = f", goal {row.goal}{'' if row.met else ': MISSED'}" if row.goal else ""
        print(f"{row.what}: {row.value:,.2f} {row.unit}{ratio}{goal}")
    write(report, arguments.json)
    return 0 if report.met else 1


def _report(rows: int, few: Measured, many: Measured, baseline_s: float, damaged_s: float) -> Report:
    naive_s = baseline_s * rows / BASELINE_ROWS
    phases = [
        Row(f"of that, waiting for the warehouse: {name}", round(seconds, 2), "s")
        for name, seconds in sorted(many.phases.items(), key=lambda each: -each[1])
    ]
    growth = many.own_mb / few.own_mb
    return Report(
        "verify",
        f"`txnpipe verify` of {rows:,} rows, all equal, in a local PostgreSQL; the baseline compares row by "
        f"row in Python, measured at {BASELINE_ROWS:,} rows.",
        (
            Row(
                f"prove {rows:,} rows",
                round(many.seconds, 2),
                "s",
                "row by row in Python",
                round(many.seconds / naive_s, 3),
                f"at most {GOAL_S:.0f} s",
                many.seconds <= GOAL_S,
            ),
            *phases,
            Row(f"prove {FEW_ROWS:,} rows", round(few.seconds, 2), "s"),
            Row("row by row in Python, for as many rows", round(naive_s, 1), "s"),
            Row(f"name 15 damaged rows of {rows:,} and 2 removed alerts, exactly", round(damaged_s, 2), "s"),
            Row(
                f"peak memory of verify, {rows:,} rows",
                round(many.own_mb, 1),
                "MB",
                f"{FEW_ROWS:,} rows",
                round(growth, 2),
                f"at most {MEMORY_GOAL:g} x",
                growth <= MEMORY_GOAL,
            ),
            Row(f"peak memory of verify, {FEW_ROWS:,} rows", round(few.own_mb, 1), "MB"),
            Row("peak memory of its largest worker process", round(many.worker_mb, 1), "MB"),
        ),
    )


if __name__ == "__main__":
    sys.exit(main())
