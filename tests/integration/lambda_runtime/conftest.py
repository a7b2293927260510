"""A Lambda runtime without a daemon around it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.unit.local.lambda_runtime.doubles import a_function
from tests.waiting import PATIENCE_S, eventually
from txnpipe.local.lambda_runtime import part as part_module
from txnpipe.local.lambda_runtime.part import LambdaPart
from txnpipe.local.lambda_runtime.results import InvokeResult
from txnpipe.local.lambda_runtime.runtime_packages import link_runtime_packages
from txnpipe.local.part import LocalContext


def a_context(home: Path) -> LocalContext:
    return LocalContext(
        home=home,
        endpoint_url="http://127.0.0.1:9",
        access_key_id="KEY",
        secret_access_key="SECRET",
        enforce_limits=True,
        flink_heap_mb=512,
        client=lambda _service, _region: None,
    )


class Runtime:
    """Runs functions given by their source, with a time-out that no machine is too slow for."""

    def __init__(self, home: Path) -> None:
        self.home = home
        # The control plane knows every function that a test runs.
        self.part = LambdaPart(a_context(home), lambda _arn, _region, _qualifier: a_function())
        self.part.start()

    def run(self, source: str, event: Any = None, **function: Any) -> InvokeResult:
        spec = a_function(source, **({"timeout_s": int(PATIENCE_S)} | function))
        return self.part.run(spec, json.dumps(event).encode())

    def value(self, source: str, event: Any = None, **function: Any) -> Any:
        """What the handler returns; it must not fail."""
        result = self.run(source, event, **function)
        assert result.kind == "ok", result
        return json.loads(result.payload)

    def error(self, source: str, event: Any = None, **function: Any) -> tuple[str, dict[str, Any]]:
        """(kind, error object); it must fail."""
        result = self.run(source, event, **function)
        assert result.failed, result
        return result.kind, json.loads(result.payload)

    @property
    def log(self) -> str:
        return (self.home / "logs" / "lambda-f.log").read_text()


def is_gone(pid: int) -> bool:
    """Whether a process has ended, whoever is to reap it."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def until_gone(pid: int) -> None:
    eventually(lambda: is_gone(pid), f"end of process {pid}")


@pytest.fixture
def make_runtime(tmp_path: Path) -> Iterator[Callable[[], Runtime]]:
    made: list[Runtime] = []

    def make() -> Runtime:
        made.append(Runtime(tmp_path / f"home-{len(made)}"))
        return made[-1]

    yield make
    for runtime in made:
        runtime.part.stop()


def without_awslambdaric(directory: Path) -> None:
    """The runtime's packages as on a system that awslambdaric has no wheel for."""
    link_runtime_packages(directory)
    (directory / "awslambdaric").unlink()


@pytest.fixture(params=["awslambdaric", "small client"])
def runtime(
    request: pytest.FixtureRequest,
    make_runtime: Callable[[], Runtime],
    monkeypatch: pytest.MonkeyPatch,
) -> Runtime:
    """One with AWS's runtime client, and one with our own."""
    if request.param == "small client":
        monkeypatch.setattr(part_module, "link_runtime_packages", without_awslambdaric)
    return make_runtime()
