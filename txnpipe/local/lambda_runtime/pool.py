"""The workers of one function: reused, bounded, replaced when the function changes, ended when idle.

A function can be kept warm, by so many workers that are started before they are needed and not ended when
idle; AWS's provisioned concurrency is the nearest thing.
"""

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
        self._broken: FunctionSpec | None = None
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
                if result.kind != "init_error":
                    self._broken = None
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

    def warm_up(self, spec: FunctionSpec, count: int) -> None:
        """Sees to it that there are `count` workers. Starts what is missing; does not wait for it.

        A function that a worker could not load is left to its invocations, which report the error, until it
        loads or changes.
        """
        if spec.reserved_concurrency is not None:
            count = min(count, spec.reserved_concurrency)
        count = min(count, UNRESERVED_WORKERS)
        while True:
            self._replace_outdated(spec)
            with self._free:
                if self._stopped or spec == self._broken or self._busy + len(self._idle) >= count:
                    return
            try:
                worker = self._new_worker(spec)
            except CannotRunError:
                with self._free:
                    self._broken = spec
                return
            self._give_back(worker)

    def _worker_for(self, spec: FunctionSpec) -> Worker:
        self._refuse_when_stopped()
        self._replace_outdated(spec)
        with self._free:
            while self._idle:
                worker = self._idle.pop()
                if worker.alive:
                    return worker
        return self._new_worker(spec)

    def _replace_outdated(self, spec: FunctionSpec) -> None:
        """Makes `spec` the current one. Idle workers of another end now, busy ones when they are done."""
        with self._free:
            if spec == self._spec:
                return
            self._spec = spec
            outdated, self._idle = self._idle, []
        for worker in outdated:
            worker.kill()

    def _new_worker(self, spec: FunctionSpec) -> Worker:
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
            if worker.failed_to_load:
                self._broken = worker.spec
            if worker in self._idle:
                self._idle.remove(worker)

    def sweep(self, kept: int = 0) -> None:
        """Ends workers that have been idle for too long, but not `kept` of them."""
        now = self._clock()
        with self._free:
            # The end of the list is the most recently used.
            spare = self._idle[: -max(1, kept)]
            ending = [worker for worker in spare if now - worker.idle_since > SPARE_IDLE_S]
            if not kept:
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
