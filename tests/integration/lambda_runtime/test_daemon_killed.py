"""Workers do not outlive the daemon, however it ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest

DAEMON = """
import sys, threading
from pathlib import Path
from tests.integration.lambda_runtime.conftest import a_context
from tests.unit.local.lambda_runtime.doubles import a_function
from txnpipe.local.lambda_runtime.part import LambdaPart

part = LambdaPart(a_context(Path(sys.argv[1])))
part.start()
busy = a_function(sys.argv[2], timeout_s=300)
threading.Thread(target=part.run, args=(busy, b'"busy"'), daemon=True).start()
idle = a_function("def handler(event, context): pass", arn=busy.arn + "2", name="idle")
part.run(idle, b"{}")
while len(part.processes()) < 2 or not Path(sys.argv[3]).exists():
    threading.Event().wait(0.01)
print(*[process.pid for process in part.processes()], flush=True)
threading.Event().wait()
"""

BUSY = {
    "asleep": "time.sleep(300)",
    "spinning": "\n    while True: pass",
    "in C, holding the interpreter": "re.match('(a*)*b', 'a' * 64)",
    "ignoring signals": "[signal.signal(s, signal.SIG_IGN) for s in (1, 2, 15)]; time.sleep(300)",
}


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a worker in C code ends when that returns")
@pytest.mark.parametrize("work", BUSY.values(), ids=BUSY.keys())
def test_workers_end_when_the_daemon_is_killed(tmp_path: Path, work: str) -> None:
    begun = tmp_path / "begun"
    source = (
        "import re, signal, time, pathlib\n"
        f"def handler(event, context):\n    pathlib.Path({str(begun)!r}).touch()\n    {work}"
    )
    daemon = subprocess.Popen(
        [sys.executable, "-c", DAEMON, str(tmp_path / "home"), source, str(begun)],
        stdout=subprocess.PIPE,
        cwd=Path(__file__).parents[3],
    )
    assert daemon.stdout is not None
    workers = [psutil.Process(int(pid)) for pid in daemon.stdout.readline().split()]
    assert len(workers) == 2
    os.kill(daemon.pid, signal.SIGKILL)
    daemon.wait()
    daemon.stdout.close()
    deadline = time.monotonic() + 5
    while any(worker.is_running() and worker.status() != psutil.STATUS_ZOMBIE for worker in workers):
        assert time.monotonic() < deadline, "a worker outlives its daemon"
        threading.Event().wait(0.01)
