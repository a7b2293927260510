"""One real PostgreSQL for all tests of the loader, with the pipeline's tables and the loader's own user.

Every test runs twice: against the server as it is, and against one that the loader takes for Redshift by its
version. The statements it then sends are those that Redshift gets; PostgreSQL reads them too.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import psycopg2
import pytest

from tests.corpus.lambda_events import ALERT_STREAM_ARN
from tests.directories import make_directory
from txnpipe.functions.loader.connection import Credentials, Endpoint, WarmConnection
from txnpipe.functions.loader.loader import Loader, Outcome
from txnpipe.functions.records import read_batch
from txnpipe.local.postgres import database
from txnpipe.local.postgres.server import PostgresServer
from txnpipe.warehouse import migrations, users
from txnpipe.warehouse.direct import DirectWarehouse, connector

ADMIN = "txnpipe_admin"
LOADER = "txnpipe_loader"
PASSWORD = "Passw0rd"
WINDOW = timedelta(days=7)


class AsRedshift(psycopg2.extensions.connection):
    """A connection to a server that gives Redshift's version, 8.0.2, as its own."""

    server_version = 80_002


@dataclass(frozen=True)
class Warehouse:
    """The server, an administrator's autocommit connection, and shortcuts for looking at tables.

    `factory` is the class of the loaders' connections.
    """

    port: int
    admin: Any
    factory: type[psycopg2.extensions.connection] = psycopg2.extensions.connection

    @property
    def endpoint(self) -> Endpoint:
        return Endpoint("127.0.0.1", self.port, "txnpipe", "prefer")

    def sql(self, statement: str, *parameters: Any) -> list[tuple[Any, ...]]:
        with self.admin.cursor() as cursor:
            cursor.execute(statement, parameters or None)
            return list(cursor.fetchall()) if cursor.description else []

    def snapshot(self) -> dict[str, list[tuple[Any, ...]]]:
        """Everything the loader has written."""
        return {
            "transactions": self.sql("SELECT * FROM transactions ORDER BY transaction_id, sequence_number"),
            "alerts": self.sql("SELECT * FROM alerts ORDER BY alert_id, sequence_number"),
            "rejected": self.sql(
                "SELECT * FROM rejected_transactions ORDER BY stream, shard_id, sequence_number"
            ),
        }

    def loader(self, password: str = PASSWORD, **options: Any) -> Loader:
        """A loader of its own, as a new Lambda process has it."""
        warm = WarmConnection(self.endpoint, lambda: Credentials(LOADER, password), self.connect)
        return Loader(warm, ALERT_STREAM_ARN, WINDOW, **options)

    def connect(self, **options: Any) -> psycopg2.extensions.connection:
        """What a loader connects with."""
        return psycopg2.connect(connection_factory=self.factory, **options)

    def loader_sessions(self) -> list[int]:
        """Process ids of the loader's sessions."""
        found = self.sql("SELECT pid FROM pg_stat_activity WHERE usename = %s", LOADER)
        return [pid for (pid,) in found]


@pytest.fixture(scope="session")
def started_warehouse() -> Iterator[Warehouse]:
    home = make_directory("txnpipe-loader-")
    server = PostgresServer(home / "redshift" / "wh", home / "wh.log", name="wh", preferred_port=0)
    try:
        server.start()
        database.provision(server, "txnpipe", ADMIN, PASSWORD)
        connect = connector("127.0.0.1", server.port, "txnpipe", ADMIN, lambda: PASSWORD, "prefer")
        with DirectWarehouse(connect) as direct:
            migrations.apply(direct)
            users.ensure_loader_user(direct, LOADER, PASSWORD)
        admin = connect()
        yield Warehouse(server.port, admin)
        admin.close()
    finally:
        server.stop()
        shutil.rmtree(home)


@pytest.fixture(params=[psycopg2.extensions.connection, AsRedshift], ids=["PostgreSQL", "as Redshift"])
def warehouse(started_warehouse: Warehouse, request: pytest.FixtureRequest) -> Warehouse:
    """The warehouse with empty tables, as what it is and as Redshift."""
    started_warehouse.sql("TRUNCATE transactions, alerts, rejected_transactions")
    return replace(started_warehouse, factory=request.param)


Load = Callable[[dict[str, Any]], Outcome]


@pytest.fixture
def load(warehouse: Warehouse) -> Load:
    """Invokes one warm loader with an event."""
    loader = warehouse.loader()
    return lambda event: loader.load(read_batch(event), lambda: 60_000)
