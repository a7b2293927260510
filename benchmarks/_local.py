"""What benchmarks take of the local cloud, one part at a time: a target, and a PostgreSQL."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from txnpipe.aws import Credentials, FunctionPlatform, Target
from txnpipe.local.postgres import database
from txnpipe.local.postgres.server import PostgresServer

ADMIN, PASSWORD, DATABASE = "txnpipe_admin", "Benchmark0nly", "txnpipe"
T = TypeVar("T", bound=Target)


def local_target(kind: type[T], endpoint: str | None = None, credentials: Credentials | None = None) -> T:
    """A target of which only what is given is there."""
    return kind(
        name="local",
        region="us-east-1",
        account="000000000000",
        endpoint_url=endpoint,
        credentials=credentials,
        profile=None,
        warehouse_access="direct",
        sslmode="prefer",
        functions=FunctionPlatform("3.13", "x86_64"),
        batch_window_seconds=0,
        checkpoint_interval_ms=1000,
        connector_jar=None,
    )


@contextmanager
def postgres() -> Iterator[PostgresServer]:
    """A PostgreSQL as the local cloud runs it, with an empty DATABASE that ADMIN owns."""
    home = Path(tempfile.mkdtemp(prefix="txnpipe-benchmark-"))
    home.chmod(0o711)  # root's PostgreSQL runs as another user, who must pass through
    server = PostgresServer(home / "redshift" / "wh", home / "wh.log", name="wh", preferred_port=0)
    try:
        (home / "redshift").mkdir(mode=0o711)
        server.start()
        database.provision(server, DATABASE, ADMIN, PASSWORD)
        yield server
    finally:
        server.stop()
        shutil.rmtree(home)
