"""Workers do not outlive the daemon, however it ends."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration.lambda_runtime.conftest import is_gone, until_gone
from tests.waiting import PATIENCE_S

DAEMON = """
import sys, threading
from pathlib import Path
from tests.integration.lambda_runtime.conftest import a_context
from tests.unit.local.lambda_runtime.doubles import a_function
from txnpipe.local.lambda_runtime.part import LambdaPart

part = LambdaPart(a_context(Path(sys.argv[1])))
part.start()
busy = a_function(sys.argv[2], timeout_s=600)
threading.Thread(target=part.run, args=(busy, b'"busy"'), daemon=True).start()
idle = a_function("def handler(event, context): pass", arn=busy.arn + "2", name="idle", timeout_s=600)
part.run(idle, b"{}")
while len(part.processes()) < 2 or not Path(sys.argv[3]).exists():
    threading.Event().wait(0.01)
print(*[process.pid for process in part.processes()], flush=True)
threading.Event().wait()
"""

BUSY = {
    "asleep": "time.sleep(600)",
    "spinning": "\n    while True: pass",
    "in C, holding the interpreter": "re.match('(a*)*b', 'a' * 64)",
    "ignoring signals": "[signal.signal(s, signal.SIG_IGN) for s in (1, 2, 15)]; time.sleep(600)",
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
    try:
        workers = [int(pid) for pid in daemon.stdout.readline().split()]
        assert len(workers) == 2
        assert not any(is_gone(worker) for worker in workers)
    finally:
        daemon.kill()
        daemon.wait(PATIENCE_S)
        daemon.stdout.close()
    for worker in workers:
        until_gone(worker)
