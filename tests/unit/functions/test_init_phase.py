"""What Lambda's init phase does: everything that takes long and asks nobody anything."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.unit.functions.test_loader_retries import ENVIRONMENT

LOAD = """
import importlib, json, socket, sys

def refuse(*_arguments):
    raise AssertionError("the init phase used the network")

socket.socket.connect = socket.getaddrinfo = refuse
entry = importlib.import_module(f"txnpipe.functions.{sys.argv[1]}.entry")
print(json.dumps([type(warm).__name__ for warm in entry._warm]))
"""
OF_A_WORKER = {
    "AWS_ACCESS_KEY_ID": "KEY",
    "AWS_SECRET_ACCESS_KEY": "SECRET",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
}


def loaded(function: str, environment: dict[str, str]) -> str:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    result = subprocess.run(
        [sys.executable, "-c", LOAD, function],
        env={**kept, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout.strip()


@pytest.mark.parametrize(("function", "made"), [("loader", '["Loader"]'), ("notifier", '["SNS"]')])
def test_the_init_phase_makes_the_clients_and_asks_nobody_anything(function: str, made: str) -> None:
    assert loaded(function, ENVIRONMENT | OF_A_WORKER) == made


@pytest.mark.parametrize("function", ["loader", "notifier"])
def test_outside_of_lambda_nothing_is_made(function: str) -> None:
    assert loaded(function, {}) == "[]"
