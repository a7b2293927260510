"""What a worker finds in its environment, and what it does not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.unit.local.lambda_runtime.doubles import RUNTIME, a_function
from txnpipe.local.lambda_runtime.environment import worker_environment
from txnpipe.local.part import LocalContext


def environment(**function: Any) -> dict[str, str]:
    context = LocalContext(
        home=Path("/home"),
        endpoint_url="http://127.0.0.1:4566",
        access_key_id="KEY",
        secret_access_key="SECRET",
        enforce_limits=True,
        flink_heap_mb=512,
        client=lambda _service, _region: None,
    )
    return worker_environment(
        a_function(**function),
        context,
        task_root=Path("/task"),
        runtime_dir=Path("/runtime"),
        tmp=Path("/tmp/worker"),
        api="127.0.0.1:1/secret",
        log_stream="2026/01/01/[$LATEST]1",
    )


def test_lambdas_variables_are_there() -> None:
    found = environment(region="eu-west-1", memory_mb=256)
    assert found["AWS_REGION"] == found["AWS_DEFAULT_REGION"] == "eu-west-1"
    assert found["AWS_ACCESS_KEY_ID"] == "KEY"
    assert found["AWS_SECRET_ACCESS_KEY"] == "SECRET"
    assert found["AWS_ENDPOINT_URL"] == "http://127.0.0.1:4566"
    assert found["AWS_EXECUTION_ENV"] == f"AWS_Lambda_{RUNTIME}"
    assert found["AWS_LAMBDA_FUNCTION_NAME"] == "f"
    assert found["AWS_LAMBDA_FUNCTION_VERSION"] == "$LATEST"
    assert found["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"] == "256"
    assert found["AWS_LAMBDA_RUNTIME_API"] == "127.0.0.1:1/secret"
    assert found["_HANDLER"] == "app.handler"
    assert found["LAMBDA_TASK_ROOT"] == "/task"
    assert found["TMPDIR"] == "/tmp/worker"


def test_the_functions_variables_are_there_but_cannot_replace_reserved_ones() -> None:
    found = environment(environment=(("AWS_REGION", "mars"), ("TABLE", "t"), ("TZ", "Europe/Paris")))
    assert found["TABLE"] == "t"
    assert found["AWS_REGION"] == "us-east-1"
    assert found["TZ"] == "Europe/Paris"


def test_nothing_of_the_daemons_environment_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HOME", "AWS_PROFILE", "AWS_SESSION_TOKEN", "PYTHONPATH", "VIRTUAL_ENV", "SECRET_OF_DAEMON"):
        monkeypatch.setenv(name, "daemon")
    assert "daemon" not in environment().values()


def test_the_users_own_aws_configuration_is_out_of_reach() -> None:
    found = environment()
    assert found["AWS_CONFIG_FILE"] == found["AWS_SHARED_CREDENTIALS_FILE"] == "/dev/null"


def test_a_log_format_is_told_to_the_runtime_unless_it_is_the_default() -> None:
    found = environment(log_format="JSON", log_level="WARN")
    assert (found["AWS_LAMBDA_LOG_FORMAT"], found["AWS_LAMBDA_LOG_LEVEL"]) == ("JSON", "WARN")
    assert environment().keys().isdisjoint({"AWS_LAMBDA_LOG_FORMAT", "AWS_LAMBDA_LOG_LEVEL"})
