"""kill -9 of everything in the middle of work: what is on disk is enough to go on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.integration.event_sources.machine import Machine, until

DAEMON = """
import sys, threading
from pathlib import Path
from tests.integration.event_sources.machine import RECORDER, Machine
Machine(Path(sys.argv[1])).define(RECORDER, variables={"PAUSE": "0.01"})
threading.Event().wait()
"""


@pytest.mark.parametrize("lanes", [1, 3])
def test_after_kills_every_record_is_delivered_and_keys_are_first_seen_in_order(
    tmp_path: Path, make_machine: Callable[[], Machine], lanes: int
) -> None:
    machine = make_machine()
    machine.create_stream(2)
    uuid = machine.map(BatchSize=20, ParallelizationFactor=lanes)
    machine.call("PUT", f"/{uuid}", {"Enabled": False})
    machine.until_state(uuid, "Disabled")
    for number in range(3000):
        machine.put(str(number), key=f"key-{number % 10}")
    machine.call("PUT", f"/{uuid}", {"Enabled": True})
    machine.until_delivered(1)
    machine.stop()
    for _ in range(3):
        before = len(machine.delivered)
        daemon = subprocess.Popen(
            [sys.executable, "-c", DAEMON, str(tmp_path / "home")], cwd=Path(__file__).parents[3]
        )
        until(lambda: len(machine.delivered) > before)  # noqa: B023 - called before the loop goes on
        threading.Event().wait(0.02)
        os.kill(daemon.pid, signal.SIGKILL)
        daemon.wait()
    assert len(machine.delivered) < 3000, "the kills were in the middle of the work"
    machine = make_machine()
    delivered = machine.until_delivered(3000)
    first_seen: dict[str, list[int]] = {}
    for _, _, key, data in delivered:
        numbers = first_seen.setdefault(key, [])
        if int(data) not in numbers:
            numbers.append(int(data))
    assert sorted(number for numbers in first_seen.values() for number in numbers) == list(range(3000))
    assert all(numbers == sorted(numbers) for numbers in first_seen.values())
    assert len(delivered) < 3000 + 4 * 20 * 2 * lanes, "at most one batch per lane and kill is repeated"
