"""Workers that are there before they are needed. Real processes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.integration.lambda_runtime.conftest import a_context
from tests.unit.local.lambda_runtime.doubles import a_function
from tests.waiting import PATIENCE_S, eventually
from txnpipe.local.lambda_runtime.functions import FunctionSpec
from txnpipe.local.lambda_runtime.part import LambdaPart
from txnpipe.local.service import ServiceError

LOADS = "import os\ndef handler(event, context): return os.getpid()"


class Control:
    """The Lambda control plane: functions by ARN."""

    def __init__(self, home: Path) -> None:
        self.functions: dict[str, FunctionSpec] = {}
        self.part = LambdaPart(a_context(home), lambda arn, _region, _qualifier: self.find(arn))
        self.part.start()

    def find(self, arn: str) -> FunctionSpec:
        if arn not in self.functions:
            raise ServiceError("ResourceNotFoundException", "Function not found", 404)
        return self.functions[arn]

    def put(self, source: str) -> FunctionSpec:
        spec = a_function(source, timeout_s=int(PATIENCE_S))
        self.functions[spec.arn] = spec
        return spec

    def pids(self) -> set[int]:
        return {process.pid for process in self.part.processes()}

    def until(self, condition: Callable[[set[int]], bool]) -> set[int]:
        """The workers' process ids, once they are as wanted."""

        def wanted() -> list[set[int]]:
            pids = self.pids()
            return [pids] if condition(pids) else []

        return eventually(wanted, "workers as wanted")[0]


@pytest.fixture
def control(tmp_path: Path) -> Iterator[Control]:
    made = Control(tmp_path / "home")
    yield made
    made.part.stop()


def test_the_first_invocation_finds_a_worker_that_is_there(control: Control) -> None:
    spec = control.put(LOADS)
    control.part.keep_warm({spec.arn: 1})
    (pid,) = control.until(lambda pids: len(pids) == 1)
    assert control.part.invoke(spec.arn, b"{}", "us-east-1").payload == str(pid).encode()


def test_a_changed_function_has_a_new_worker_before_it_is_invoked(control: Control) -> None:
    arn = control.put(LOADS).arn
    control.part.keep_warm({arn: 1})
    old = control.until(lambda pids: len(pids) == 1)
    control.put(LOADS + "\n")
    control.until(lambda pids: len(pids) == 1 and pids != old)


def test_a_deleted_function_has_no_worker(control: Control) -> None:
    arn = control.put(LOADS).arn
    control.part.keep_warm({arn: 1})
    control.until(lambda pids: len(pids) == 1)
    del control.functions[arn]
    control.until(lambda pids: not pids)


def test_a_function_that_does_not_load_is_started_once_and_its_invocation_tells(control: Control) -> None:
    spec = control.put("raise RuntimeError('no such table')")
    control.part.keep_warm({spec.arn: 1})
    log = control.part._context.home / "logs" / "lambda-f.log"
    control.until(lambda pids: not pids and log.exists() and "no such table" in log.read_text())
    for _ in range(3):  # as the sweeper would
        control.part._warm_up()
    assert control.pids() == set()
    result = control.part.invoke(spec.arn, b"{}", "us-east-1")
    assert result.kind == "init_error"
    assert b"no such table" in result.payload
