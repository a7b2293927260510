"""Ctrl-C while `send` reads an input that says nothing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

from tests.waiting import PATIENCE_S

_PROGRAM = """
import sys
from pathlib import Path
from txnpipe.cli.environment import Environment
from txnpipe.cli.frame import Invocation
from txnpipe.cli.output import Output
from txnpipe.cli.send import _input
from txnpipe.traffic.lines import Chunks

environment = Environment(variables={}, directory=Path.cwd())
run = Invocation(environment, Output(environment, as_json=False, quiet=False, color=False), None, {})
try:
    with _input(run, sys.argv[1]) as source:
        for chunk in Chunks(source):
            print("waiting", flush=True)
except KeyboardInterrupt:
    sys.exit(130)
"""


def interrupted(file: str, stdin: int) -> tuple[int, str]:
    program = subprocess.Popen(
        [sys.executable, "-c", _PROGRAM, file],
        stdin=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert program.stdout is not None
    assert program.stdout.readline() == "waiting\n"  # its reader waits now
    program.send_signal(signal.SIGINT)
    _, err = program.communicate(timeout=PATIENCE_S)
    return program.returncode, err


def test_standard_input_can_be_left() -> None:
    reading, writing = os.pipe()
    try:
        assert interrupted("-", reading) == (130, "")
    finally:
        os.close(reading)
        os.close(writing)


def test_a_named_pipe_can_be_left(tmp_path: os.PathLike[str]) -> None:
    pipe = os.fspath(tmp_path) + "/pipe"
    os.mkfifo(pipe)
    held = os.open(pipe, os.O_RDWR)
    try:
        assert interrupted(pipe, subprocess.DEVNULL) == (130, "")
    finally:
        os.close(held)


def test_a_non_blocking_input_that_has_nothing_now_has_not_ended() -> None:
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    try:
        assert interrupted("-", reading) == (130, "")
    finally:
        os.close(reading)
        os.close(writing)
