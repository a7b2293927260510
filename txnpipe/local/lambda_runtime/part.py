"""The Lambda runtime as a part of the daemon.

Functions that event source mappings feed are kept warm, one worker for each enabled mapping: the first record
after a setup, an update of the function or a restart finds a worker that has loaded it. On AWS it would not,
unless the function had provisioned concurrency; a user of this machine should not have to send twice.
"""

from __future__ import annotations

import os
import shutil
import threading
import uuid
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import partial

from txnpipe.local.lambda_runtime import hook
from txnpipe.local.lambda_runtime.background import BackgroundInvocations
from txnpipe.local.lambda_runtime.cloudwatch import CloudWatchOutput, LogStream
from txnpipe.local.lambda_runtime.code_store import BadCodeError, CodeStore
from txnpipe.local.lambda_runtime.environment import worker_environment
from txnpipe.local.lambda_runtime.functions import FunctionSpec, find_function
from txnpipe.local.lambda_runtime.invoke_service import InvokeService
from txnpipe.local.lambda_runtime.log_store import LogStore
from txnpipe.local.lambda_runtime.logs import FunctionLog, OutputPump, WorkerOutput
from txnpipe.local.lambda_runtime.pool import CannotRunError, FunctionPool
from txnpipe.local.lambda_runtime.results import InvokeResult
from txnpipe.local.lambda_runtime.runtime_api import RuntimeApi
from txnpipe.local.lambda_runtime.runtime_packages import find_python, link_runtime_packages
from txnpipe.local.lambda_runtime.worker import Launch, Worker
from txnpipe.local.part import Listener, LocalContext, Process
from txnpipe.local.service import ServiceError

SWEEP_S = 1.0
"""How often workers are looked after: the idle ones ended, those that are to be warm started."""


class LambdaPart:
    """Runs functions. `invoke` is for event source mappings, `service` answers the API call `Invoke`."""

    name = "lambda"

    def __init__(
        self,
        context: LocalContext,
        find: Callable[[str, str, str | None], FunctionSpec] = find_function,
    ) -> None:
        self._context = context
        self._find = find
        self._home = context.home / self.name
        self._code = CodeStore(self._home / "code")
        self._pools: dict[str, FunctionPool] = {}
        self._logs: dict[str, FunctionLog] = {}
        self._lock = threading.Lock()
        self._cloudwatch = CloudWatchOutput(LogStore(context.moto_gate_later).put)
        self._stopping = threading.Event()
        self._wake = threading.Event()
        self._warm: Mapping[str, int] = {}
        self._background = BackgroundInvocations(self.run)
        self._api: RuntimeApi | None = None
        self.service = InvokeService(self, find)

    def start(self) -> None:
        """Opens the Runtime API and hooks moto. Workers are started by `keep_warm` and by invocations."""
        self._home.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._code.clear()
        shutil.rmtree(self._home / "tmp", ignore_errors=True)
        link_runtime_packages(self._home / "runtime")
        self._lifeline_read, self._lifeline_write = os.pipe()
        self._pump = OutputPump()
        self._cloudwatch.start()
        self._api = RuntimeApi()
        self._unhook = hook.install(self.run_later)
        self._sweeper = threading.Thread(target=self._sweep, name="lambda-sweeper", daemon=True)
        self._sweeper.start()

    def stop(self) -> None:
        """Ends all workers, whatever they do."""
        if self._api is None:
            return
        self._stopping.set()
        self._wake.set()
        self._unhook()
        with self._lock:
            pools = list(self._pools.values())
        for pool in pools:
            pool.stop()
        self._background.stop()
        self._api.stop()
        self._api = None
        self._sweeper.join(timeout=5)
        self._pump.stop()
        self._cloudwatch.stop()
        os.close(self._lifeline_read)
        os.close(self._lifeline_write)

    def processes(self) -> list[Process]:
        """The workers alive now."""
        with self._lock:
            pools = list(self._pools.values())
        return [
            Process(f"lambda {worker.spec.name}", worker.pid)
            for pool in pools
            for worker in pool.workers
            if worker.pid is not None
        ]

    def listeners(self) -> list[Listener]:
        """The Runtime API's port."""
        return [Listener("lambda runtime API", self._api.port)] if self._api else []

    def keep_warm(self, counts: Mapping[str, int]) -> None:
        """Keeps so many workers of each function (ARN) ready from now on, in place of what was asked before.

        Returns at once; the workers are started by another thread.
        """
        with self._lock:
            self._warm = dict(counts)
        self._wake.set()

    def invoke(self, function_arn: str, payload: bytes, region: str) -> InvokeResult:
        """Runs a function synchronously.

        Raises ServiceError: ResourceNotFoundException, TooManyRequestsException (nothing was run).
        """
        return self.run(self._find(function_arn, region, None), payload)

    def run(self, spec: FunctionSpec, payload: bytes) -> InvokeResult:
        """Runs a function as it is now. Raises ServiceError TooManyRequestsException."""
        return self._pool(spec.arn).invoke(spec, payload)

    def _pool(self, arn: str) -> FunctionPool:
        with self._lock:
            pool = self._pools.get(arn)
            if pool is None:
                pool = self._pools[arn] = FunctionPool(self._start_worker)
            return pool

    def run_later(self, spec: FunctionSpec, payload: bytes) -> None:
        """Queues an asynchronous invocation. Raises ServiceError TooManyRequestsException."""
        self._background.add(spec, payload)

    def _start_worker(self, spec: FunctionSpec, on_exit: Callable[[Worker], None]) -> Worker:
        api = self._api
        if api is None:
            raise CannotRunError("Runtime.ExitError", "The local cloud is stopping.")
        if spec.layers:
            raise CannotRunError(
                "Runtime.LayersUnsupported",
                "The local cloud runs functions without layers: put their content into the function's zip.",
            )
        python = find_python(spec.runtime)
        if python is None:
            raise CannotRunError(
                "Runtime.InvalidRuntime",
                f"The local cloud cannot run {spec.runtime or 'a container image'} on this machine: "
                "install that Python on the PATH, or use the runtime of the Python that txnpipe runs on.",
            )
        try:
            task_root = self._code.open(spec.code_sha256, spec.code)
        except BadCodeError as error:
            raise CannotRunError("Runtime.InvalidZipFile", str(error)) from error
        except OSError as error:
            raise CannotRunError(
                "Runtime.ExitError", f"Could not unpack the function's code: {error}"
            ) from error
        worker_id = uuid.uuid4().hex
        stream = LogStream(
            spec.region,
            f"/aws/lambda/{spec.name}",
            f"{datetime.now(UTC):%Y/%m/%d}/[{spec.version}]{worker_id}",
            spec.role,
        )
        output = WorkerOutput(self._log_of(spec.name), partial(self._cloudwatch.add, stream))

        def ended(worker: Worker) -> None:
            api.remove(address)
            on_exit(worker)

        worker = Worker(spec, output, self._pump, ended)
        address = api.add(worker)
        tmp = self._home / "tmp" / worker_id
        environment = worker_environment(
            spec,
            self._context,
            task_root=task_root,
            runtime_dir=self._home / "runtime",
            tmp=tmp,
            api=address,
            log_stream=stream.name,
        )
        worker.start(Launch(python, task_root, environment, tmp, self._lifeline_read))
        return worker

    def _log_of(self, function_name: str) -> FunctionLog:
        with self._lock:
            if function_name not in self._logs:
                path = self._context.home / "logs" / f"lambda-{function_name}.log"
                self._logs[function_name] = FunctionLog(path)
            return self._logs[function_name]

    def _sweep(self) -> None:
        while not self._stopping.is_set():
            self._wake.wait(SWEEP_S)
            self._wake.clear()
            if self._stopping.is_set():
                return
            kept = self._warm_up()
            with self._lock:
                pools = dict(self._pools)
            for arn, pool in pools.items():
                pool.sweep(kept[arn])
                if self._is_gone(arn):
                    with self._lock:
                        del self._pools[arn]
                    pool.stop()

    def _warm_up(self) -> Counter[str]:
        """Starts what is missing; returns how many workers each pool is to keep."""
        with self._lock:
            wanted = self._warm
        counts: Counter[str] = Counter()
        for arn, count in wanted.items():
            try:
                spec = self._find(arn, arn.split(":")[3], None)
            except ServiceError:
                continue  # the function was deleted before its mappings
            counts[spec.arn] += count
            self._pool(spec.arn).warm_up(spec, counts[spec.arn])
        return counts

    def _is_gone(self, arn: str) -> bool:
        try:
            self._find(arn, arn.split(":")[3], None)
        except ServiceError:
            return True
        return False
