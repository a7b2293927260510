"""The workers of one function: reused, bounded, replaced when the function changes, ended when idle."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable

from txnpipe.local.lambda_runtime import results
from txnpipe.local.lambda_runtime.functions import FunctionSpec
from txnpipe.local.lambda_runtime.results import InvokeResult
from txnpipe.local.lambda_runtime.worker import NeverStartedError, Worker
from txnpipe.local.service import ServiceError

UNRESERVED_WORKERS = 10
"""Workers of a function without reserved concurrency. AWS allows 1,000 an account; a laptop does not."""
QUEUE_TIMEOUT_S = 60.0
"""How long an invocation waits for one of UNRESERVED_WORKERS before it is throttled."""
SPARE_IDLE_S = 10.0
"""Idle workers but the most recently used end after this: each holds some 60 MB and a database connection."""
LAST_IDLE_S = 600.0
"""The last idle worker ends after this; AWS keeps them for some minutes too."""


class CannotRunError(Exception):
    """No worker can be started for this function on this machine."""

    def __init__(self, error_type: str, message: str) -> None:
        super().__init__(message)
        self.error_type = error_type


class FunctionPool:
    """Workers of one function (or one published version). Thread-safe.

    start_worker: starts a worker for a spec, with the pool's on_exit; raises CannotRunError.
    """

    def __init__(
        self,
        start_worker: Callable[[FunctionSpec, Callable[[Worker], None]], Worker],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._start_worker = start_worker
        self._clock = clock
        self._free = threading.Condition()
        self._spec: FunctionSpec | None = None
        self._idle: list[Worker] = []
        self._busy = 0
        self._all: set[Worker] = set()
        self._stopped = False

    def invoke(self, spec: FunctionSpec, payload: bytes) -> InvokeResult:
        """Runs one invocation. Raises ServiceError TooManyRequestsException where AWS would throttle."""
        request_id = str(uuid.uuid4())
        self._reserve(spec)
        try:
            while True:
                try:
                    worker = self._worker_for(spec)
                except CannotRunError as error:
                    body = results.not_runnable(error.error_type, str(error))
                    return InvokeResult("init_error", body, request_id, spec.version)
                try:
                    result = worker.invoke(request_id, payload)
                except NeverStartedError:
                    continue
                self._give_back(worker)
                return result
        finally:
            with self._free:
                self._busy -= 1
                self._free.notify()

    def _reserve(self, spec: FunctionSpec) -> None:
        with self._free:
            if spec.reserved_concurrency is not None:
                available = self._busy < spec.reserved_concurrency
            else:
                available = self._free.wait_for(lambda: self._busy < UNRESERVED_WORKERS, QUEUE_TIMEOUT_S)
            if not available:
                raise ServiceError("TooManyRequestsException", "Rate Exceeded.", 429)
            self._busy += 1

    def _worker_for(self, spec: FunctionSpec) -> Worker:
        self._refuse_when_stopped()
        with self._free:
            if spec != self._spec:
                self._spec = spec
                outdated, self._idle = self._idle, []
            else:
                outdated = []
            while self._idle:
                worker = self._idle.pop()
                if worker.alive:
                    return worker
        for worker in outdated:
            worker.kill()
        worker = self._start_worker(spec, self._ended)
        with self._free:
            self._all.add(worker)
            if not worker.alive:
                self._all.discard(worker)  # ended before it was added: _ended will not remove it
        try:
            self._refuse_when_stopped()
        except CannotRunError:
            worker.kill()  # stop() may not have seen it
            raise
        return worker

    def _refuse_when_stopped(self) -> None:
        with self._free:
            if self._stopped:
                raise CannotRunError("Runtime.ExitError", "The local cloud is stopping.")

    def _give_back(self, worker: Worker) -> None:
        with self._free:
            current = worker.spec == self._spec and worker.alive and not self._stopped
            if current:
                worker.idle_since = self._clock()
                self._idle.append(worker)
        if not current:
            worker.kill()

    def _ended(self, worker: Worker) -> None:
        with self._free:
            self._all.discard(worker)
            if worker in self._idle:
                self._idle.remove(worker)

    def sweep(self) -> None:
        """Ends workers that have been idle for too long."""
        now = self._clock()
        with self._free:
            # The end of the list is the most recently used.
            ending = [worker for worker in self._idle[:-1] if now - worker.idle_since > SPARE_IDLE_S]
            ending += [worker for worker in self._idle[-1:] if now - worker.idle_since > LAST_IDLE_S]
            self._idle = [worker for worker in self._idle if worker not in ending]
        for worker in ending:
            worker.kill()

    def stop(self) -> None:
        """Ends all workers, whatever they do."""
        with self._free:
            self._stopped = True
            workers = list(self._all)
        for worker in workers:
            worker.kill()
        for worker in workers:
            worker.wait_ended(5)

    @property
    def workers(self) -> list[Worker]:
        """The workers whose process lives."""
        with self._free:
            return [worker for worker in self._all if not worker.wait_ended(0)]
