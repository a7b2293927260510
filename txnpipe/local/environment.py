"""The environment with which unmodified programs use the local cloud: AWS SDKs and CLI, psql."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Protocol

from txnpipe.aws import Target, translated
from txnpipe.local.client import LocalCloud
from txnpipe.local.home import Home

REMOVED = ("AWS_SESSION_TOKEN", "AWS_PROFILE")
"""Variables that would overrule the key."""


def aws_variables(cloud: LocalCloud, region: str) -> dict[str, str]:
    """For the AWS SDKs and the AWS CLI."""
    return {
        "AWS_ACCESS_KEY_ID": cloud.access_key_id,
        "AWS_SECRET_ACCESS_KEY": cloud.secret_access_key,
        "AWS_REGION": region,
        "AWS_DEFAULT_REGION": region,
        "AWS_ENDPOINT_URL": cloud.endpoint_url,
    }


class Address(Protocol):
    """Where a warehouse is, and which secret holds its administrator's password ("" for none)."""

    @property
    def host(self) -> str | None: ...

    @property
    def port(self) -> int | None: ...

    @property
    def database(self) -> str: ...

    @property
    def admin_user(self) -> str: ...

    @property
    def secret_arn(self) -> str: ...


def warehouse_variables(home: Home, target: Target, found: Address | None, pipeline: str) -> dict[str, str]:
    """For psql and everything else that uses libpq; empty where the pipeline has no warehouse.

    The administrator's password goes into a file that only its owner can read.
    """
    if found is None or found.host is None or not found.secret_arn:
        return {}
    with translated("read", "the warehouse's password"):
        secret = target.client("secretsmanager").get_secret_value(SecretId=found.secret_arn)["SecretString"]
    host, port, database, user = found.host, str(found.port), found.database, found.admin_user
    line = ":".join(_escaped(field) for field in (host, port, "*", user, json.loads(secret)["password"]))
    return {
        "PGHOST": host,
        "PGPORT": port,
        "PGUSER": user,
        "PGDATABASE": database,
        "PGPASSFILE": str(_write_password_file(home, pipeline, line)),
    }


def _write_password_file(home: Home, pipeline: str, line: str) -> Path:
    home.password_files.mkdir(mode=0o700, exist_ok=True)
    path = home.password_files / pipeline
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(line + "\n")
    return temporary.replace(path)


def _escaped(field: str) -> str:
    """As in a .pgpass file (PostgreSQL documentation, "The Password File")."""
    return field.replace("\\", "\\\\").replace(":", "\\:")
