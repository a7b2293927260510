"""What workers print: HOME/logs/lambda-NAME.log, bounded, in Lambda's own form (START, END, REPORT).

The same lines go to CloudWatch Logs (see `cloudwatch`).
"""

from __future__ import annotations

import os
import selectors
import threading
from collections.abc import Callable
from pathlib import Path

MAX_LOG_BYTES = 5_000_000
"""A log is moved to NAME.log.1 at this size; the one before is dropped."""
TAIL_BYTES = 4096
"""What LogType=Tail returns of an invocation's log."""
_MAX_LINE_BYTES = 65536
_READ_BYTES = 65536


class FunctionLog:
    """The log file of one function, written by all its workers, line by line."""

    def __init__(self, path: Path, max_bytes: int = MAX_LOG_BYTES) -> None:
        self._path = path
        self._max_bytes = max_bytes
        self._lock = threading.Lock()

    def write(self, lines: bytes) -> None:
        """Appends whole lines. A full disk loses log lines, never an invocation."""
        with self._lock:
            try:
                self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
                fd = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
                try:
                    os.write(fd, lines)
                    size = os.fstat(fd).st_size
                finally:
                    os.close(fd)
                if size > self._max_bytes:
                    self._path.replace(self._path.with_name(self._path.name + ".1"))
            except OSError:
                return


class WorkerOutput:
    """One worker's standard output and error: lines go to the log, the end of an invocation's to its tail.

    also: takes the same whole lines; must return at once.
    """

    def __init__(self, log: FunctionLog, also: Callable[[bytes], None] = lambda _lines: None) -> None:
        self._log = log
        self._also = also
        self._partial = b""
        self._tail = b""
        self._lock = threading.Lock()

    def feed(self, data: bytes) -> None:
        """Takes what the worker printed."""
        with self._lock:
            self._tail = (self._tail + data)[-TAIL_BYTES:]
            whole, newline, rest = (self._partial + data).rpartition(b"\n")
            if len(rest) > _MAX_LINE_BYTES:
                whole, newline, rest = whole + newline + rest, b"\n", b""
            self._partial = rest
            if newline:
                self._write(whole + newline)

    def begin(self, line: str) -> None:
        """Starts the log of an invocation with this line."""
        with self._lock:
            self._tail = b""
        self.add(line)

    def add(self, line: str) -> None:
        """A line of Lambda's own. An unfinished line of the worker is ended first."""
        with self._lock:
            text = line.encode() + b"\n"
            if self._partial:
                self._tail += b"\n"
            self._tail = (self._tail + text)[-TAIL_BYTES:]
            self._write(self._partial + b"\n" + text if self._partial else text)
            self._partial = b""

    def _write(self, lines: bytes) -> None:
        self._log.write(lines)
        self._also(lines)

    @property
    def tail(self) -> bytes:
        """The last 4 KB of the current or last invocation."""
        with self._lock:
            return self._tail


class OutputPump:
    """One thread that reads the pipes of all workers, so that none ever blocks on a full pipe."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._lock = threading.Lock()
        self._outputs: dict[int, WorkerOutput] = {}
        self._wake_read, self._wake_write = os.pipe()
        os.set_blocking(self._wake_read, False)
        self._selector.register(self._wake_read, selectors.EVENT_READ)
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="lambda-output", daemon=True)
        self._thread.start()

    def attach(self, fd: int, output: WorkerOutput) -> None:
        """Reads `fd` (and closes it at its end) into `output`."""
        os.set_blocking(fd, False)
        with self._lock:
            self._outputs[fd] = output
            self._selector.register(fd, selectors.EVENT_READ)
        self._wake()

    def drain(self, fd: int) -> None:
        """Reads at once what is in the pipe: everything the worker printed before it answered."""
        with self._lock:
            self._read_all(fd)

    def stop(self) -> None:
        """Reads what is left and closes the pipes."""
        self._stopping = True
        self._wake()
        self._thread.join(timeout=5)
        with self._lock:
            for fd in list(self._outputs):
                self._read_all(fd)
                if fd in self._outputs:  # not at its end: something that the worker started still holds it
                    self._close(fd)
            self._selector.close()
            os.close(self._wake_read)
            os.close(self._wake_write)

    def _wake(self) -> None:
        os.write(self._wake_write, b"\0")

    def _run(self) -> None:
        while not self._stopping:
            for key, _ in self._selector.select():
                with self._lock:
                    if key.fd == self._wake_read:
                        os.read(self._wake_read, 4096)
                    else:
                        self._read_all(key.fd)

    def _read_all(self, fd: int) -> None:
        output = self._outputs.get(fd)
        while output is not None:
            try:
                data = os.read(fd, _READ_BYTES)
            except BlockingIOError:
                return
            if not data:
                self._close(fd)
                return
            output.feed(data)

    def _close(self, fd: int) -> None:
        self._selector.unregister(fd)
        del self._outputs[fd]
        os.close(fd)
