"""When workers are started, shared, replaced and ended."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

from tests.unit.local.lambda_runtime.doubles import a_function
from tests.waiting import PATIENCE_S
from txnpipe.local.lambda_runtime import pool as pool_module
from txnpipe.local.lambda_runtime.functions import FunctionSpec
from txnpipe.local.lambda_runtime.pool import (
    LAST_IDLE_S,
    SPARE_IDLE_S,
    UNRESERVED_WORKERS,
    CannotRunError,
    FunctionPool,
)
from txnpipe.local.lambda_runtime.results import InvokeResult
from txnpipe.local.lambda_runtime.worker import NeverStartedError
from txnpipe.local.service import ServiceError


class FakeWorker:
    """A worker without a process."""

    def __init__(self, spec: FunctionSpec, on_exit: Callable[[Any], None], factory: Factory) -> None:
        self.spec = spec
        self.idle_since = 0.0
        self.alive = True
        self.failed_to_load = False
        self.calls = 0
        self._on_exit = on_exit
        self._factory = factory

    def invoke(self, request_id: str, _payload: bytes) -> InvokeResult:
        self.calls += 1
        self._factory.on_invoke(self)
        return InvokeResult("ok", b"null", request_id)

    def kill(self) -> None:
        if self.alive:
            self.alive = False
            self._on_exit(self)

    def wait_ended(self, _timeout_s: float) -> bool:
        return not self.alive


class Factory:
    def __init__(self) -> None:
        self.started: list[FakeWorker] = []
        self.on_invoke: Callable[[FakeWorker], None] = lambda _worker: None

    def __call__(self, spec: FunctionSpec, on_exit: Callable[[Any], None]) -> Any:
        self.started.append(FakeWorker(spec, on_exit, self))
        return self.started[-1]

    @property
    def alive(self) -> int:
        return sum(worker.alive for worker in self.started)


class Bench:
    def __init__(self) -> None:
        self.factory = Factory()
        self.now = 0.0
        self.pool = FunctionPool(self.factory, clock=lambda: self.now)

    def while_busy(self, spec: FunctionSpec, count: int) -> tuple[threading.Event, list[threading.Thread]]:
        """Starts so many invocations that last until the event is set."""
        release, begun = threading.Event(), threading.Semaphore(0)

        def hold(_worker: FakeWorker) -> None:
            begun.release()
            assert release.wait(PATIENCE_S)

        self.factory.on_invoke = hold
        threads = [threading.Thread(target=self.pool.invoke, args=(spec, b"")) for _ in range(count)]
        for thread in threads:
            thread.start()
        for _ in threads:
            assert begun.acquire(timeout=PATIENCE_S)
        self.factory.on_invoke = lambda _worker: None
        return release, threads


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_a_worker_is_reused(bench: Bench) -> None:
    for _ in range(5):
        bench.pool.invoke(a_function(), b"{}")
    assert len(bench.factory.started) == 1


def test_simultaneous_invocations_get_workers_of_their_own(bench: Bench) -> None:
    release, threads = bench.while_busy(a_function(), 3)
    assert len(bench.factory.started) == 3
    release.set()
    for thread in threads:
        thread.join()


def test_beyond_the_reserved_concurrency_an_invocation_is_throttled(bench: Bench) -> None:
    function = a_function(reserved_concurrency=2)
    release, threads = bench.while_busy(function, 2)
    with pytest.raises(ServiceError, match="TooManyRequestsException"):
        bench.pool.invoke(function, b"")
    release.set()
    for thread in threads:
        thread.join()
    bench.pool.invoke(function, b"")


def test_a_reserved_concurrency_of_zero_switches_a_function_off(bench: Bench) -> None:
    with pytest.raises(ServiceError, match="TooManyRequestsException"):
        bench.pool.invoke(a_function(reserved_concurrency=0), b"")


def test_without_a_reserved_concurrency_an_invocation_waits_for_a_worker(bench: Bench) -> None:
    release, threads = bench.while_busy(a_function(), UNRESERVED_WORKERS)
    waiting = threading.Thread(target=bench.pool.invoke, args=(a_function(), b""))
    waiting.start()
    assert len(bench.factory.started) == UNRESERVED_WORKERS
    release.set()
    for thread in [waiting, *threads]:
        thread.join(PATIENCE_S)
        assert not thread.is_alive()
    assert len(bench.factory.started) == UNRESERVED_WORKERS


def test_an_invocation_that_waited_too_long_is_throttled(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool_module, "QUEUE_TIMEOUT_S", 0.0)
    release, threads = bench.while_busy(a_function(), UNRESERVED_WORKERS)
    with pytest.raises(ServiceError, match="TooManyRequestsException"):
        bench.pool.invoke(a_function(), b"")
    release.set()
    for thread in threads:
        thread.join()


@pytest.mark.parametrize(
    "change",
    [{"code_sha256": "other"}, {"environment": (("A", "1"),)}, {"timeout_s": 4}, {"memory_mb": 256}],
)
def test_a_changed_function_gets_new_workers(bench: Bench, change: dict[str, Any]) -> None:
    bench.pool.invoke(a_function(), b"")
    bench.pool.invoke(a_function(**change), b"")
    assert len(bench.factory.started) == 2
    assert [worker.alive for worker in bench.factory.started] == [False, True]


def test_a_changed_concurrency_keeps_the_workers(bench: Bench) -> None:
    bench.pool.invoke(a_function(), b"")
    bench.pool.invoke(a_function(reserved_concurrency=5), b"")
    assert len(bench.factory.started) == 1


def test_a_busy_worker_of_the_old_function_finishes_its_call_and_ends(bench: Bench) -> None:
    release, threads = bench.while_busy(a_function(), 1)
    bench.pool.invoke(a_function(timeout_s=9), b"")
    old, new = bench.factory.started
    assert [old.alive, new.alive] == [True, True]
    release.set()
    threads[0].join()
    assert [old.alive, new.alive] == [False, True]


def test_a_worker_that_ended_between_calls_is_replaced_unnoticed(bench: Bench) -> None:
    def die_on_second_call(worker: FakeWorker) -> None:
        if worker.calls == 2:
            worker.kill()
            raise NeverStartedError

    bench.factory.on_invoke = die_on_second_call
    assert [bench.pool.invoke(a_function(), b"").kind for _ in range(2)] == ["ok", "ok"]
    assert len(bench.factory.started) == 2


def test_spare_workers_end_soon_and_the_last_one_later(bench: Bench) -> None:
    release, threads = bench.while_busy(a_function(), 3)
    release.set()
    for thread in threads:
        thread.join()
    bench.now = SPARE_IDLE_S + 1
    bench.pool.sweep()
    assert bench.factory.alive == 1
    bench.now = LAST_IDLE_S + 1
    bench.pool.sweep()
    assert bench.factory.alive == 0
    assert bench.pool.workers == []


def test_a_function_that_cannot_run_here_is_an_init_error() -> None:
    def refuse(_spec: FunctionSpec, _on_exit: Any) -> Any:
        raise CannotRunError("Runtime.InvalidRuntime", "no such Python")

    result = FunctionPool(refuse).invoke(a_function(), b"")
    assert result.kind == "init_error"
    assert b"no such Python" in result.payload


def test_after_a_stop_nothing_runs(bench: Bench) -> None:
    bench.pool.invoke(a_function(), b"")
    bench.pool.stop()
    assert bench.factory.alive == 0
    assert bench.pool.invoke(a_function(), b"").kind == "init_error"
    assert len(bench.factory.started) == 1


class TestKeptWarm:
    def test_missing_workers_are_started_and_the_first_invocations_use_them(self, bench: Bench) -> None:
        bench.pool.warm_up(a_function(), 2)
        bench.pool.warm_up(a_function(), 2)
        release, threads = bench.while_busy(a_function(), 2)
        assert len(bench.factory.started) == 2
        bench.pool.warm_up(a_function(), 2)  # busy workers count
        assert len(bench.factory.started) == 2
        release.set()
        for thread in threads:
            thread.join()

    def test_they_are_not_ended_for_being_idle(self, bench: Bench) -> None:
        bench.pool.warm_up(a_function(), 3)
        bench.now = LAST_IDLE_S + 1
        bench.pool.sweep(kept=2)
        assert bench.factory.alive == 2
        bench.now *= 2
        bench.pool.sweep(kept=2)
        assert bench.factory.alive == 2
        bench.pool.sweep()
        assert bench.factory.alive == 0

    def test_one_that_ended_is_replaced(self, bench: Bench) -> None:
        bench.pool.warm_up(a_function(), 1)
        bench.factory.started[0].kill()
        bench.pool.warm_up(a_function(), 1)
        assert [worker.alive for worker in bench.factory.started] == [False, True]

    def test_a_changed_function_gets_new_ones(self, bench: Bench) -> None:
        bench.pool.warm_up(a_function(), 1)
        bench.pool.warm_up(a_function(timeout_s=9), 1)
        assert [worker.alive for worker in bench.factory.started] == [False, True]
        bench.pool.invoke(a_function(timeout_s=9), b"")
        assert len(bench.factory.started) == 2

    def test_a_function_that_does_not_load_is_not_tried_again_and_again(self, bench: Bench) -> None:
        bench.pool.warm_up(a_function(), 1)
        bench.factory.started[0].failed_to_load = True
        bench.factory.started[0].kill()
        bench.pool.warm_up(a_function(), 1)
        assert len(bench.factory.started) == 1
        bench.pool.warm_up(a_function(environment=(("FIXED", "1"),)), 1)
        assert len(bench.factory.started) == 2

    def test_a_function_that_loads_after_all_is_kept_warm_again(self, bench: Bench) -> None:
        bench.pool.warm_up(a_function(), 2)
        bench.factory.started[0].failed_to_load = True
        bench.factory.started[0].kill()
        bench.pool.invoke(a_function(), b"")
        bench.pool.warm_up(a_function(), 2)
        assert bench.factory.alive == 2

    def test_a_function_that_cannot_run_here_is_left_to_its_invocations(self) -> None:
        asked = []

        def refuse(spec: FunctionSpec, _on_exit: Any) -> Any:
            asked.append(spec)
            raise CannotRunError("Runtime.InvalidRuntime", "no such Python")

        pool = FunctionPool(refuse)
        pool.warm_up(a_function(), 1)
        pool.warm_up(a_function(), 1)
        assert len(asked) == 1

    @pytest.mark.parametrize(("reserved", "started"), [(0, 0), (2, 2), (None, UNRESERVED_WORKERS)])
    def test_there_are_never_more_than_may_run(
        self, bench: Bench, reserved: int | None, started: int
    ) -> None:
        bench.pool.warm_up(a_function(reserved_concurrency=reserved), 99)
        assert len(bench.factory.started) == started

    def test_after_a_stop_none_is_started(self, bench: Bench) -> None:
        bench.pool.stop()
        bench.pool.warm_up(a_function(), 1)
        assert bench.factory.started == []
