"""A test run that is killed leaves nothing behind."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import psutil

from tests.guardian import inhabitants
from tests.waiting import PATIENCE_S, eventually

STARTS_A_SERVER = """
import time
from tests.directories import make_directory
from txnpipe.local.postgres.server import PostgresServer
directory = make_directory("txnpipe-killed-")
PostgresServer(directory / "redshift" / "wh", directory / "wh.log", name="wh", preferred_port=0).start()
print(directory, flush=True)
time.sleep(600)
"""


def test_postgresql_ends_and_its_data_go_when_whoever_started_it_is_killed() -> None:
    started = subprocess.Popen(
        [sys.executable, "-c", STARTS_A_SERVER],
        cwd=Path(__file__).parents[2],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert started.stdout is not None
    directory = Path(started.stdout.readline().strip())
    servers = inhabitants([directory])
    assert "postgres" in {process.name() for process in servers}

    started.kill()
    started.communicate()

    _, left = psutil.wait_procs(servers, timeout=PATIENCE_S)
    assert left == []
    eventually(lambda: not directory.exists(), f"end of {directory}")
