"""Runs the program against a bucket and clients in memory."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest

from tests.unit.traffic.fakes import FakeS3, target_with
from txnpipe.cli import main as program
from txnpipe.cli.environment import Environment
from txnpipe.cli.frame import Invocation


class Terminal(io.StringIO):
    """Standard input that a person types into."""

    def isatty(self) -> bool:
        return True


class Place:
    """A pipeline's bucket, and the program beside it."""

    def __init__(self, directory: Path, monkeypatch: pytest.MonkeyPatch, **clients: Any) -> None:
        self.s3 = FakeS3()
        self._directory = directory
        monkeypatch.setattr(Invocation, "target", target_with(s3=self.s3, **clients))

    def run(self, *arguments: str, typed: str | None = None) -> tuple[int, str, str]:
        """Exit code, stdout and stderr."""
        stdin = io.StringIO() if typed is None else Terminal(typed)
        stderr = io.StringIO() if typed is None else Terminal()
        environment = Environment(stdin, io.StringIO(), stderr, {}, self._directory)
        out = environment.stdout
        code = program.run(arguments, environment)
        assert isinstance(out, io.StringIO)
        return code, out.getvalue(), stderr.getvalue()

    def json(self, *arguments: str) -> dict[str, Any]:
        """The document of a command that must end with 0."""
        code, out, err = self.run(*arguments, "--json")
        assert code == 0, err
        document: dict[str, Any] = json.loads(out)
        return document
