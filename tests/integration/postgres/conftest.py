"""A real PostgreSQL for each test that wants one."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.directories import make_directory
from tests.ports import free_port
from txnpipe.local.postgres.server import PostgresServer


@pytest.fixture
def home() -> Iterator[Path]:
    """An installation's home. Not pytest's tmp_path, which the server's account could not enter."""
    directory = make_directory("txnpipe-postgres-")
    yield directory
    shutil.rmtree(directory)


@pytest.fixture
def server(home: Path) -> Iterator[PostgresServer]:
    """A server that is not started yet; stopped at the end whatever happened to it."""
    made = PostgresServer(
        home / "redshift" / "wh", home / "logs" / "postgres-wh.log", name="wh", preferred_port=free_port()
    )
    yield made
    made.stop()
