"""Asynchronous invocations."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from tests.unit.local.lambda_runtime.doubles import a_function
from tests.waiting import PATIENCE_S
from txnpipe.local.lambda_runtime import background
from txnpipe.local.lambda_runtime.background import BackgroundInvocations
from txnpipe.local.lambda_runtime.functions import FunctionSpec
from txnpipe.local.lambda_runtime.results import InvokeResult
from txnpipe.local.service import ServiceError

OK, ERROR = InvokeResult("ok", b"null"), InvokeResult("error", b"{}")


class Bench:
    def __init__(self, answers: list[InvokeResult | ServiceError]) -> None:
        self.answers = answers
        self.calls: list[bytes] = []
        self.called = threading.Semaphore(0)
        self.background = BackgroundInvocations(self._invoke, retry_pauses_s=(0.0, 0.0))

    def _invoke(self, _spec: FunctionSpec, payload: bytes) -> InvokeResult:
        self.calls.append(payload)
        answer = self.answers.pop(0)
        self.called.release()
        if isinstance(answer, ServiceError):
            raise answer
        return answer

    def wait_for_calls(self, count: int) -> None:
        for _ in range(count):
            assert self.called.acquire(timeout=PATIENCE_S)


@pytest.mark.parametrize(
    ("answers", "calls"),
    [
        ([OK], 1),
        ([ERROR, OK], 2),
        ([ERROR, ERROR, ERROR], 3),
        ([ServiceError("TooManyRequestsException", "no"), OK], 2),
    ],
)
def test_an_invocation_is_tried_up_to_three_times(
    answers: list[InvokeResult | ServiceError], calls: int
) -> None:
    bench = Bench([*answers, OK])
    bench.background.add(a_function(), b"first")
    bench.wait_for_calls(calls)
    bench.background.add(a_function(), b"second")
    bench.wait_for_calls(1)
    bench.background.stop()
    assert bench.calls == [b"first"] * calls + [b"second"]


def test_a_full_queue_throttles(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(background, "MAX_QUEUED", 1)
    monkeypatch.setattr(background, "THREADS", 1)
    release = threading.Event()
    begun = threading.Semaphore(0)

    def hold(_spec: FunctionSpec, _payload: bytes) -> InvokeResult:
        begun.release()
        assert release.wait(PATIENCE_S)
        return OK

    waiting: Callable[[FunctionSpec, bytes], InvokeResult] = hold
    queue = BackgroundInvocations(waiting)
    queue.add(a_function(), b"")
    assert begun.acquire(timeout=PATIENCE_S)
    queue.add(a_function(), b"")
    with pytest.raises(ServiceError, match="TooManyRequestsException"):
        queue.add(a_function(), b"")
    release.set()
    queue.stop()
