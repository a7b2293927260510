from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.kinesis.server import Server


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """The engine in a child process, limits off."""
    server = Server(tmp_path / "kinesis").start()
    yield server
    server.stop()


@pytest.fixture
def limited_server(tmp_path: Path) -> Iterator[Server]:
    """The engine in a child process, with AWS's limits."""
    server = Server(tmp_path / "kinesis", enforce_limits=True).start()
    yield server
    server.stop()
