"""What becomes of what workers print."""

from __future__ import annotations

import os
import stat
import threading
from pathlib import Path

from tests.waiting import PATIENCE_S
from txnpipe.local.lambda_runtime.logs import TAIL_BYTES, FunctionLog, OutputPump, WorkerOutput


def test_lines_of_several_workers_are_not_torn(tmp_path: Path) -> None:
    log = FunctionLog(tmp_path / "f.log")
    one, two = WorkerOutput(log), WorkerOutput(log)
    one.feed(b"first half, ")
    two.feed(b"whole line\n")
    one.feed(b"second half\n")
    assert (tmp_path / "f.log").read_bytes() == b"whole line\nfirst half, second half\n"


def test_lambdas_own_lines_end_an_unfinished_one(tmp_path: Path) -> None:
    output = WorkerOutput(FunctionLog(tmp_path / "f.log"))
    output.begin("START RequestId: 1")
    output.feed(b"no newline")
    output.add("END RequestId: 1")
    assert (tmp_path / "f.log").read_bytes() == b"START RequestId: 1\nno newline\nEND RequestId: 1\n"


def test_the_tail_is_of_the_last_invocation_and_bounded(tmp_path: Path) -> None:
    output = WorkerOutput(FunctionLog(tmp_path / "f.log"))
    output.begin("START 1")
    output.feed(b"old\n")
    output.begin("START 2")
    assert output.tail == b"START 2\n"
    output.feed(b"x" * 10_000)
    assert len(output.tail) == TAIL_BYTES


def test_a_line_without_end_does_not_grow_for_ever(tmp_path: Path) -> None:
    output = WorkerOutput(FunctionLog(tmp_path / "f.log"))
    for _ in range(10):
        output.feed(b"x" * 10_000)
    assert (tmp_path / "f.log").stat().st_size >= 65_536


def test_a_log_is_private_and_bounded(tmp_path: Path) -> None:
    log = FunctionLog(tmp_path / "logs" / "f.log", max_bytes=1000)
    for number in range(100):
        log.write(b"%099d\n" % number)
    sizes = {path.name: path.stat().st_size for path in (tmp_path / "logs").iterdir()}
    assert set(sizes) <= {"f.log", "f.log.1"}
    assert max(sizes.values()) <= 1100
    assert stat.S_IMODE((tmp_path / "logs" / "f.log.1").stat().st_mode) == 0o600


def test_a_log_that_cannot_be_written_fails_nothing(tmp_path: Path) -> None:
    (tmp_path / "logs").write_text("in the way")
    FunctionLog(tmp_path / "logs" / "f.log").write(b"line\n")


def test_the_pump_reads_pipes_and_drain_reads_what_is_there(tmp_path: Path) -> None:
    pump = OutputPump()
    try:
        output = WorkerOutput(FunctionLog(tmp_path / "f.log"))
        read_end, write_end = os.pipe()
        pump.attach(read_end, output)
        threads = [threading.Thread(target=os.write, args=(write_end, b"x" * 60_000)) for _ in range(5)]
        for thread in threads:  # more than a pipe holds: somebody has to read
            thread.start()
        for thread in threads:
            thread.join(PATIENCE_S)
            assert not thread.is_alive()
        os.write(write_end, b"\nlast\n")
        pump.drain(read_end)
        assert output.tail.endswith(b"\nlast\n")
        os.close(write_end)
    finally:
        pump.stop()
    assert (tmp_path / "f.log").read_bytes().count(b"x") == 300_000


def test_the_pump_stops_with_pipes_that_ended_and_pipes_that_did_not(tmp_path: Path) -> None:
    pump = OutputPump()
    log = FunctionLog(tmp_path / "f.log")
    pipes = [os.pipe() for _ in range(2)]
    for read_end, write_end in pipes:
        os.write(write_end, b"line\n")
        pump.attach(read_end, WorkerOutput(log))
    os.close(pipes[0][1])
    pump.stop()
    assert (tmp_path / "f.log").read_bytes() == b"line\nline\n"
    os.close(pipes[1][1])
