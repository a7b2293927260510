"""One worker: a process that runs a function, and the invocation it works on.

A worker is in one of these conditions: starting (the process loads the function), idle (it asked for the
next invocation), busy, ended. The thread that starts the process also waits for its end, for two reasons:
the end is noticed at once, and Linux ties PR_SET_PDEATHSIG to the life of the thread that forked.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from txnpipe.local.lambda_runtime import results, system_log
from txnpipe.local.lambda_runtime.functions import FunctionSpec
from txnpipe.local.lambda_runtime.logs import OutputPump, WorkerOutput
from txnpipe.local.lambda_runtime.results import InvokeResult, Kind
from txnpipe.local.lambda_runtime.runtime_api import Invocation

INIT_TIMEOUT_S = 10.0
"""Lambda's bound on loading a function; the first invocation's own time comes on top of it."""
LAUNCHER = Path(__file__).parent / "bootstrap" / "launcher.py"


@dataclass(frozen=True)
class Launch:
    """How to start a worker's process."""

    python: Path
    task_root: Path
    environment: dict[str, str]
    tmp: Path
    lifeline: int
    """The end of a pipe that the process inherits; the other end lives as long as the daemon."""


class NeverStartedError(Exception):
    """The worker ended between two invocations: the event was not seen, another worker can take it."""


class Worker:
    """See the module. `invoke` is called by one thread at a time; the Runtime API calls the rest."""

    def __init__(
        self,
        spec: FunctionSpec,
        output: WorkerOutput,
        pump: OutputPump,
        on_exit: Callable[[Worker], None],
    ) -> None:
        self.spec = spec
        self.idle_since = 0.0
        self.pid: int | None = None
        self._output = output
        self._pump = pump
        self._on_exit = on_exit
        self._changed = threading.Condition()
        self._pipe: int | None = None
        self._invocation: Invocation | None = None
        self._taken_at: float | None = None
        self._outcome: tuple[Kind, bytes] | None = None
        self._init_error: bytes | None = None
        self._was_ready = False
        self._retired = False
        self._exit_code: int | None = None
        self._started_at = 0.0
        self._ready_at: float | None = None

    def start(self, launch: Launch) -> None:
        """Starts the process; returns when it is there, or has failed to start."""
        forked = threading.Event()
        threading.Thread(
            target=self._live, args=(launch, forked), name=f"lambda-{self.spec.name}", daemon=True
        ).start()
        forked.wait()

    def _live(self, launch: Launch, forked: threading.Event) -> None:
        launch.tmp.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._started_at = time.monotonic()
        read_end, write_end = os.pipe()
        process, code = None, 127
        try:
            process = subprocess.Popen(
                [str(launch.python), "-S", str(LAUNCHER), str(launch.lifeline), str(os.getpid())],
                cwd=launch.task_root,
                env=launch.environment,
                stdin=subprocess.DEVNULL,
                stdout=write_end,
                stderr=subprocess.STDOUT,
                pass_fds=(launch.lifeline,),
                start_new_session=True,
            )
        except OSError as error:
            os.close(read_end)
            self._output.add(f"Could not start the runtime: {error}")
            forked.set()
        else:
            self.pid = process.pid
            self._pipe = read_end
            self._pump.attach(read_end, self._output)
            forked.set()
            _wait_unreaped(process)
        finally:
            os.close(write_end)
        with self._changed:
            if process is not None:
                # Still a zombie, so its pid and group are nobody else's: what it started ends with it.
                _kill_group(process.pid)
                code = process.wait()
            self._exit_code = code
            self._changed.notify_all()
        shutil.rmtree(launch.tmp, ignore_errors=True)
        self._on_exit(self)

    @property
    def alive(self) -> bool:
        """Whether the process has not ended and is not about to."""
        with self._changed:
            return self._exit_code is None and not self._retired

    @property
    def failed_to_load(self) -> bool:
        """Whether the process gave up the function, or ended by itself, before it was ready."""
        with self._changed:
            ended = self._exit_code is not None and not self._retired
            return self._init_error is not None or (ended and not self._was_ready)

    def invoke(self, request_id: str, payload: bytes) -> InvokeResult:
        """Runs one invocation to its end, at the latest INIT_TIMEOUT_S + the function's time-out from now.

        Raises NeverStartedError if a worker that had been ready ended before it took the event.
        """
        spec = self.spec
        with self._changed:
            cold = not self._was_ready
            self._output.begin(system_log.begin(spec, request_id))
            # The deadline is set when the runtime takes the event: loading the function has its own bound.
            self._taken_at, self._outcome = None, None
            self._invocation = Invocation(request_id, spec.arn, 0, payload)
            self._changed.notify_all()
            self._changed.wait_for(self._taken_or_ended, INIT_TIMEOUT_S)
            if not cold and self._ended() and not self._taken():
                raise NeverStartedError
            started = self._taken_at or time.monotonic()
            remaining = started + spec.timeout_s - time.monotonic()
            self._changed.wait_for(self._answered_or_ended, max(0.0, remaining))
            if (self._taken_at or 0.0) > started:
                # Slow to load: it took the event after INIT_TIMEOUT_S, and has its whole time from then.
                started = self._taken_at or 0.0
                remaining = started + spec.timeout_s - time.monotonic()
                self._changed.wait_for(self._answered_or_ended, max(0.0, remaining))
            kind, body = self._judge(request_id)
            self._invocation = None
        if kind in ("timeout", "init_error"):
            self.kill()
        self._report(request_id, kind, body, time.monotonic() - started, cold)
        return InvokeResult(kind, body, request_id, spec.version, self._output.tail)

    def _taken(self) -> bool:
        return self._taken_at is not None

    def _taken_or_ended(self) -> bool:
        return self._taken() or self._ended()

    def _answered_or_ended(self) -> bool:
        return self._outcome is not None or self._ended()

    def _ended(self) -> bool:
        return self._exit_code is not None or self._init_error is not None

    def _judge(self, request_id: str) -> tuple[Kind, bytes]:
        if self._outcome is not None:
            return self._outcome
        if self._init_error is not None:
            return "init_error", self._init_error
        if self._exit_code is not None:
            return "crash" if self._was_ready else "init_error", results.exited(request_id, self._exit_code)
        return "timeout", results.timed_out(request_id, self.spec.timeout_s)

    def _report(self, request_id: str, kind: Kind, body: bytes, duration_s: float, cold: bool) -> None:
        if self._pipe is not None:
            self._pump.drain(self._pipe)
        loaded = cold and self._ready_at is not None
        init_ms = ((self._ready_at or 0.0) - self._started_at) * 1000 if loaded else None
        usage = system_log.Usage(duration_s * 1000, peak_memory_mb(self.pid), init_ms)
        for line in system_log.end(self.spec, request_id, kind, body, usage):
            self._output.add(line)

    def next(self) -> Invocation | None:
        """Runtime API: see runtime_api.Runtime."""
        with self._changed:
            if not self._was_ready:
                self._was_ready, self._ready_at = True, time.monotonic()
            self._changed.wait_for(
                lambda: (
                    self._retired
                    or self._exit_code is not None
                    or (self._invocation is not None and self._taken_at is None)
                )
            )
            if self._invocation is None or self._retired or self._exit_code is not None:
                return None
            self._taken_at = time.monotonic()
            deadline = int((time.time() + self.spec.timeout_s) * 1000)
            waiting = self._invocation
            self._changed.notify_all()
            return Invocation(waiting.request_id, waiting.function_arn, deadline, waiting.payload)

    def respond(self, request_id: str, body: bytes | None) -> bool:
        """Runtime API: see runtime_api.Runtime."""
        if body is None:
            return self._finish(request_id, ("error", results.response_too_large()))
        return self._finish(request_id, ("ok", body))

    def fail(self, request_id: str, body: bytes) -> bool:
        """Runtime API: see runtime_api.Runtime."""
        return self._finish(request_id, ("error", body))

    def _finish(self, request_id: str, outcome: tuple[Kind, bytes]) -> bool:
        with self._changed:
            current = self._invocation
            if current is None or current.request_id != request_id or self._outcome is not None:
                return False
            self._outcome = outcome
            self._changed.notify_all()
            return True

    def fail_init(self, body: bytes) -> None:
        """Runtime API: see runtime_api.Runtime."""
        with self._changed:
            self._init_error = body
            self._changed.notify_all()

    def kill(self) -> None:
        """Ends the process and what it started, at once; Lambda gives no warning either."""
        with self._changed:
            self._retired = True
            self._changed.notify_all()
            if self.pid is not None and self._exit_code is None:
                _kill_group(self.pid)

    def wait_ended(self, timeout_s: float) -> bool:
        """Whether the process has ended, within `timeout_s`."""
        with self._changed:
            return self._changed.wait_for(lambda: self._exit_code is not None, timeout_s)


def _wait_unreaped(process: subprocess.Popen[bytes]) -> None:
    """Waits for the end of a process and leaves it a zombie, where Python can (on macOS since 3.13)."""
    if hasattr(os, "waitid"):
        with contextlib.suppress(ChildProcessError):  # somebody else in this process has waited for it
            os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    else:
        process.wait()


def _kill_group(pid: int) -> None:
    try:
        os.killpg(pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        return  # nothing of the group is left; macOS says "not permitted" of a group of zombies


def peak_memory_mb(pid: int | None) -> int:
    """The largest resident size of a process so far, in MB; 0 where the system does not say."""
    try:
        with Path(f"/proc/{pid}/status").open() as status:
            for line in status:
                if line.startswith("VmHWM:"):
                    return int(line.split()[1]) // 1024 + 1
    except OSError:
        pass  # no /proc, or no process
    return 0
