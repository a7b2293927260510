"""One job for all tests of a module: a JVM takes some seconds to start."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest

from tests.directories import make_directory
from tests.integration.flink.rig import NAMES, OBSERVED, Rig, pipeline_statements
from tests.integration.kinesis.server import Server
from txnpipe.local.postgres import database
from txnpipe.local.postgres.server import PostgresServer
from txnpipe.warehouse import migrations
from txnpipe.warehouse.direct import DirectWarehouse, connector
from txnpipe.warehouse.interface import Warehouse


@pytest.fixture(scope="module")
def rig() -> Iterator[Rig]:
    """Kinesis with its limits, no stream yet, no job yet."""
    directory = make_directory("txnpipe-flink-")
    server = Server(directory / "kinesis", enforce_limits=True).start()
    rig = Rig(directory, server)
    rig.client = server.client()
    yield rig
    if rig.job:
        rig.job.kill()
    server.stop()
    shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture(scope="module")
def pipeline(rig: Rig) -> Rig:
    """The rig with both streams and the analytics app's own statements running."""
    for stream, shards in ((NAMES.stream, 2), (NAMES.alert_stream, 1), (OBSERVED, 1)):
        rig.create(stream, shards)
    rig.job = rig.supervise(pipeline_statements())
    rig.job.run()
    return rig


@pytest.fixture(scope="module")
def warehouse() -> Iterator[Warehouse]:
    """A PostgreSQL with the pipeline's tables."""
    home = make_directory("txnpipe-flink-postgres-")
    server = PostgresServer(home / "redshift" / "wh", home / "wh.log", name="wh", preferred_port=0)
    try:
        server.start()
        database.provision(server, "txnpipe", "txnpipe_admin", "Passw0rd")
        connect = connector(
            "127.0.0.1", server.port, "txnpipe", "txnpipe_admin", lambda: "Passw0rd", "prefer"
        )
        with DirectWarehouse(connect) as direct:
            migrations.apply(direct)
            yield direct
    finally:
        server.stop()
        shutil.rmtree(home)
