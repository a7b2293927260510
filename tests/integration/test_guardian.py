"""A test run that is killed leaves nothing behind."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import psutil

from tests.guardian import inhabitants

STARTS_A_SERVER = """
import time
from tests.directories import make_directory
from txnpipe.local.postgres.server import PostgresServer
directory = make_directory("txnpipe-killed-")
PostgresServer(directory / "redshift" / "wh", directory / "wh.log", name="wh", preferred_port=0).start()
print(directory, flush=True)
time.sleep(300)
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

    _, left = psutil.wait_procs(servers, timeout=60)
    assert left == []
    deadline = time.monotonic() + 60
    while directory.exists():
        assert time.monotonic() < deadline, f"{directory} is still there"
        time.sleep(0.05)
