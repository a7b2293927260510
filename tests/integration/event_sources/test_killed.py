"""kill -9 of everything in the middle of work: what is on disk is enough to go on."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from tests.integration.event_sources.machine import RECORDER, Machine
from tests.waiting import PATIENCE_S, eventually

DAEMON = """
import sys, threading
from pathlib import Path
from tests.integration.event_sources.machine import Machine
Machine(Path(sys.argv[1]), MOST=sys.argv[2])
threading.Event().wait()
"""
"""Its function hangs once so many lines are written: however late the kill comes, the work is not done."""

RECORDS, KILLS = 3000, 4


@pytest.mark.parametrize("lanes", [1, 3])
def test_after_kills_every_record_is_delivered_and_keys_are_first_seen_in_order(
    tmp_path: Path, make_machine: Callable[[], Machine], lanes: int
) -> None:
    machine = make_machine()
    machine.define(RECORDER, variables={"FAIL_ON": "key"})
    machine.create_stream(2)
    machine.map(BatchSize=20, ParallelizationFactor=lanes)
    for number in range(RECORDS):
        machine.put(str(number), key=f"key-{number % 10}")
    machine.stop()
    assert machine.delivered == []
    for kill in range(KILLS):
        before = len(machine.delivered)
        most = str(500 * (kill + 1))
        daemon = subprocess.Popen(
            [sys.executable, "-c", DAEMON, str(tmp_path / "home"), most], cwd=Path(__file__).parents[3]
        )
        try:
            eventually(partial(_more_than, machine, before), "delivery by the daemon")
        finally:
            daemon.kill()
            daemon.wait(PATIENCE_S)
    assert len(machine.delivered) < RECORDS, "the kills were in the middle of the work"
    machine = make_machine()
    delivered = machine.until_delivered(RECORDS)
    first_seen: dict[str, list[int]] = {}
    for _, _, key, data in delivered:
        numbers = first_seen.setdefault(key, [])
        if int(data) not in numbers:
            numbers.append(int(data))
    assert sorted(number for numbers in first_seen.values() for number in numbers) == list(range(RECORDS))
    assert all(numbers == sorted(numbers) for numbers in first_seen.values())
    assert len(delivered) <= RECORDS + KILLS * 20 * 2 * lanes, (
        "at most one batch per lane and kill is repeated"
    )


def _more_than(machine: Machine, count: int) -> bool:
    return len(machine.delivered) > count
