"""From a Data API request to a login: which server, which database, as whom."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import psycopg2

from txnpipe.local.postgres.server import HOST, PostgresServer
from txnpipe.local.redshift import temporary_credentials
from txnpipe.local.service import ServiceError

IDENTITY = "root"
"""The database user of the local cloud's one identity, where a request names no other."""


@dataclass(frozen=True)
class Login:
    """Where and as whom. `password` is asked for when connecting and never shown."""

    port: int
    database: str
    user: str
    password: str = field(repr=False)

    def connect(self) -> Any:
        """A psycopg2 connection in autocommit mode. Raises psycopg2.OperationalError."""
        connection = psycopg2.connect(
            host=HOST,
            port=self.port,
            dbname=self.database,
            user=self.user,
            password=self.password,
            connect_timeout=10,
            application_name="redshift-data",
        )
        connection.autocommit = True
        return connection


class Endpoints(Protocol):
    """Finds the database server behind a cluster or a workgroup."""

    def server(self, region: str, cluster: str | None, workgroup: str | None) -> PostgresServer:
        """The running server. Raises ServiceError (ValidationException) where there is none."""
        ...

    def secret(self, region: str, secret_id: str) -> dict[str, str]:
        """Username and password. Raises ServiceError (ValidationException)."""
        ...


class DatabaseRefusalError(Exception):
    """The database refuses, or would: the statement fails with this text."""


def resolve(
    endpoints: Endpoints, region: str, request: Mapping[str, Any], database: str | None = None
) -> Callable[[], Login]:
    """Checks the connection parameters of a request and returns what finds the login.

    Raises ServiceError (ValidationException) for what the service refuses at once; the function returned may
    raise DatabaseRefusalError, which makes the statement fail.
    """
    cluster, workgroup = request.get("ClusterIdentifier"), request.get("WorkgroupName")
    if bool(cluster) == bool(workgroup):
        raise ServiceError("ValidationException", "Specify either ClusterIdentifier or WorkgroupName.")
    if request.get("SecretArn") and request.get("DbUser"):
        raise ServiceError("ValidationException", "Specify either SecretArn or DbUser, not both.")
    if workgroup and request.get("DbUser"):
        raise ServiceError("ValidationException", "DbUser cannot be used with WorkgroupName.")
    name = database or request.get("Database")
    if not name:
        raise ServiceError("ValidationException", "Database is required.")
    if workgroup and ":" in workgroup:
        workgroup = workgroup.rpartition("/")[2]
    server = endpoints.server(region, cluster, workgroup)
    secret_arn = request.get("SecretArn")
    if secret_arn:
        secret = endpoints.secret(region, secret_arn)
        return lambda: Login(server.port, name, secret["username"], secret["password"])
    user = request.get("DbUser")

    def with_temporary_credentials() -> Login:
        try:
            issued = temporary_credentials.issue(
                server, user or IDENTITY, temporary_credentials.utc_now(), auto_create=user is None
            )
        except temporary_credentials.NoSuchUserError as error:
            raise DatabaseRefusalError(f'FATAL: user "{user}" does not exist') from error
        return Login(server.port, name, issued.user, issued.password)

    return with_temporary_credentials
