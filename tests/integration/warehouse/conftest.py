"""A real PostgreSQL with the Data API in front of it, and both ways to it."""

from __future__ import annotations

import shutil
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from tests.directories import make_directory
from txnpipe.local.guard import Guard
from txnpipe.local.postgres import database
from txnpipe.local.postgres.server import HOST, PostgresServer
from txnpipe.local.redshift.data_api.service import DataApiService
from txnpipe.local.redshift.data_api.statements import Executions
from txnpipe.local.server import ApiServer, Listening, UnknownOperation, WsgiEnvironment
from txnpipe.local.service import Response, ServiceError
from txnpipe.warehouse import Warehouse
from txnpipe.warehouse.data_api import DataApiWarehouse
from txnpipe.warehouse.direct import DirectWarehouse, connector

ADMIN, PASSWORD, DATABASE = "adm", "Admin-Pass1", "txnpipe"
SECRET, CLUSTER = "arn:aws:secretsmanager:us-east-1:000000000000:secret:redshift!wh-adm-abcdef", "wh"
KEY = "ASIATESTTESTTESTTEST"


class OneCluster:
    """Endpoints with a single cluster."""

    def __init__(self, server: PostgresServer) -> None:
        self._server = server
        self.secrets = {
            SECRET: {"username": ADMIN, "password": PASSWORD},
            "wrong": {"username": ADMIN, "password": "guess"},
        }

    def server(self, region: str, cluster: str | None, workgroup: str | None) -> PostgresServer:
        if cluster != CLUSTER:
            raise ServiceError("ValidationException", "Redshift endpoint doesn't exist in this region.")
        return self._server

    def secret(self, region: str, secret_id: str) -> dict[str, str]:
        return self.secrets[secret_id]


class Nothing:
    """Answers no call."""

    def answer(self, environ: WsgiEnvironment, service: str) -> Response:
        raise UnknownOperation("This call is not implemented.")


@dataclass
class Installation:
    """The server and where its Data API is."""

    server: PostgresServer
    data_api_url: str

    def client(self) -> Any:
        """boto3's client of the Data API, as anybody would make it."""
        import boto3
        from botocore.config import Config

        return boto3.client(
            "redshift-data",
            region_name="us-east-1",
            endpoint_url=self.data_api_url,
            aws_access_key_id=KEY,
            aws_secret_access_key="secret",
            config=Config(proxies={}, retries={"total_max_attempts": 1}),
        )

    def direct(self, database_name: str = DATABASE, user: str = ADMIN, password: str = PASSWORD) -> Warehouse:
        """The direct way."""
        return DirectWarehouse(
            connector(HOST, self.server.port, database_name, user, lambda: password, "prefer")
        )

    def data_api(self, database_name: str = DATABASE) -> Warehouse:
        """The Data API way."""
        where = {"ClusterIdentifier": CLUSTER, "Database": database_name, "SecretArn": SECRET}
        return DataApiWarehouse(self.client(), where)


@pytest.fixture(scope="session")
def installation() -> Iterator[Installation]:
    directory = make_directory("txnpipe-warehouse-")
    server = PostgresServer(directory / "redshift" / "wh", directory / "log", name="wh", preferred_port=0)
    executions = Executions(directory / "data-api")
    listener = socket.create_server((HOST, 0))
    api = ApiServer(Guard(KEY), Nothing())
    api.add(DataApiService(OneCluster(server), executions))
    listening = Listening(api, listener)
    try:
        server.start()
        database.provision(server, DATABASE, ADMIN, PASSWORD)
        executions.start()
        listening.start()
        yield Installation(server, f"http://{HOST}:{listener.getsockname()[1]}")
    finally:
        listening.stop()
        executions.stop()
        server.remove()
        shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture
def fresh_database(installation: Installation) -> Iterator[str]:
    """A database of its own for a test that changes the schema."""
    name = f"db_{next(_numbers)}"
    with installation.direct() as warehouse:
        warehouse.execute(f"CREATE DATABASE {name}")
    yield name
    with database.superuser(installation.server) as cursor:
        cursor.execute(f"DROP DATABASE {name} WITH (FORCE)")


_numbers = iter(range(1_000_000))

Opener = Callable[..., Warehouse]


@pytest.fixture(params=["direct", "data_api"])
def opener(request: pytest.FixtureRequest, installation: Installation) -> Opener:
    """Opens the warehouse one way, then the other."""
    made: Opener = getattr(installation, request.param)
    return made
