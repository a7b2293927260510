"""The warm connection to the warehouse, and the secret that opens it.

A connection lives as long as the function's process and is replaced when it breaks. The secret is read before
the first connection, and again when the server refuses the password: that is how a rotation shows.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import psycopg2
from psycopg2.extensions import TRANSACTION_STATUS_IDLE, connection

CONNECT_TIMEOUT_S = 10


@dataclass(frozen=True)
class Endpoint:
    """Where the warehouse is; `sslmode` as libpq names it."""

    host: str
    port: int
    database: str
    sslmode: str


@dataclass(frozen=True)
class Credentials:
    """A database user. `repr` never shows the password."""

    username: str
    password: str = field(repr=False)


class WarmConnection:
    """One connection, made when it is first needed."""

    def __init__(
        self,
        endpoint: Endpoint,
        read_credentials: Callable[[], Credentials],
        connect: Callable[..., connection] = psycopg2.connect,
    ) -> None:
        self._endpoint = endpoint
        self._read_credentials = read_credentials
        self._connect = connect
        self._credentials: Credentials | None = None
        self._connection: connection | None = None

    def get(self, timeout_s: float) -> connection:
        """The connection, idle and in autocommit mode. A new one has `timeout_s` seconds to open, 10 at most.

        Raises psycopg2.OperationalError.
        """
        if self._connection is None:
            self._connection = self._open(timeout_s)
        return self._connection

    def recover(self) -> bool:
        """Rolls back what an error left open. Returns False where the connection was lost and dropped."""
        if self._connection is None:
            return False
        try:
            if not self._connection.closed:
                with self._connection.cursor() as cursor:
                    cursor.execute("ROLLBACK")  # in autocommit mode, rollback() would send nothing
                if self._connection.info.transaction_status == TRANSACTION_STATUS_IDLE:
                    return True
        except psycopg2.Error:  # the rollback found the connection lost
            pass
        self.drop()
        return False

    def drop(self) -> None:
        """Closes the connection; the next `get` opens another."""
        if self._connection is not None:
            self._connection.close()
        self._connection = None

    def _open(self, timeout_s: float) -> connection:
        known = self._credentials
        if known is not None:
            try:
                return self._open_as(known, timeout_s)
            except psycopg2.OperationalError as error:
                if not refuses_password(error):
                    raise
        self._credentials = self._read_credentials()
        return self._open_as(self._credentials, timeout_s)

    def _open_as(self, credentials: Credentials, timeout_s: float) -> connection:
        opened = self._connect(
            host=self._endpoint.host,
            port=self._endpoint.port,
            dbname=self._endpoint.database,
            user=credentials.username,
            password=credentials.password,
            sslmode=self._endpoint.sslmode,
            connect_timeout=max(2, min(CONNECT_TIMEOUT_S, int(timeout_s))),
            client_encoding="UTF8",
            gssencmode="disable",
            application_name="txnpipe loader",
            # A peer that vanished without a word is noticed after 25 s, not after two hours.
            keepalives=1,
            keepalives_idle=10,
            keepalives_interval=5,
            keepalives_count=3,
        )
        opened.autocommit = True
        return opened


def refuses_password(error: psycopg2.Error) -> bool:
    """Whether the server refused the user or the password. libpq passes on only the message."""
    return "authentication failed" in str(error)


def secret_reader(secret_arn: str, secrets: Any) -> Callable[[], Credentials]:
    """Reads {"username", "password"} with a client of Secrets Manager."""

    def read() -> Credentials:
        secret = json.loads(secrets.get_secret_value(SecretId=secret_arn)["SecretString"])
        return Credentials(secret["username"], secret["password"])

    return read


def secrets_manager() -> Any:
    """The client. Making one takes a third of a second and asks nobody anything."""
    import boto3
    from botocore.config import Config

    return boto3.client(
        "secretsmanager",
        config=Config(connect_timeout=3, read_timeout=5, retries={"mode": "standard", "max_attempts": 3}),
    )
