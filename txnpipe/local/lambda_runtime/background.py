"""Asynchronous invocations (`InvocationType=Event`): a queue in memory, two retries, as Lambda's default.

Unlike Lambda's, the queue does not outlive the daemon, and the pauses are seconds instead of minutes.
"""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable

from txnpipe.local.lambda_runtime.functions import FunctionSpec
from txnpipe.local.lambda_runtime.results import InvokeResult
from txnpipe.local.service import ServiceError

RETRY_PAUSES_S = (1.0, 2.0)
"""Lambda waits one and two minutes."""
THREADS = 8
MAX_QUEUED = 10_000

_log = logging.getLogger(__name__)


class BackgroundInvocations:
    """Runs queued invocations with a few threads, started when first needed."""

    def __init__(
        self,
        invoke: Callable[[FunctionSpec, bytes], InvokeResult],
        retry_pauses_s: tuple[float, ...] = RETRY_PAUSES_S,
    ) -> None:
        self._invoke = invoke
        self._pauses = retry_pauses_s
        self._queue: queue.Queue[tuple[FunctionSpec, bytes] | None] = queue.Queue(MAX_QUEUED)
        self._threads: list[threading.Thread] = []
        self._idle = 0
        self._lock = threading.Lock()
        self._stopping = threading.Event()

    def add(self, spec: FunctionSpec, payload: bytes) -> None:
        """Queues an invocation. Raises ServiceError TooManyRequestsException when the queue is full."""
        try:
            self._queue.put_nowait((spec, payload))
        except queue.Full:
            raise ServiceError("TooManyRequestsException", "Rate Exceeded.", 429) from None
        with self._lock:
            if self._idle == 0 and len(self._threads) < THREADS:
                thread = threading.Thread(target=self._run, name="lambda-background", daemon=True)
                self._threads.append(thread)
                thread.start()

    def stop(self) -> None:
        """Gives up what is queued; an invocation that runs ends with its worker."""
        self._stopping.set()
        for _ in self._threads:
            try:
                self._queue.put_nowait(None)
            except queue.Full:
                break  # the threads look at _stopping after each item anyway
        for thread in self._threads:
            thread.join(timeout=5)

    def _run(self) -> None:
        while not self._stopping.is_set():
            with self._lock:
                self._idle += 1
            item = self._queue.get()
            with self._lock:
                self._idle -= 1
            if item is None:
                return
            self._attempt(*item)

    def _attempt(self, spec: FunctionSpec, payload: bytes) -> None:
        for pause in (*self._pauses, None):
            try:
                result = self._invoke(spec, payload)
            except ServiceError as error:
                reason = str(error)
            else:
                if not result.failed:
                    return
                reason = result.payload[:500].decode(errors="replace")
            if pause is None:
                _log.warning("An asynchronous invocation of %s failed for good: %s", spec.arn, reason)
            elif self._stopping.wait(pause):
                return
