"""The environment for psql: where the cluster is, and its password in a file of the owner's alone."""

from __future__ import annotations

import json
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from txnpipe.errors import TxnpipeError
from txnpipe.local.client import LocalCloud
from txnpipe.local.environment import aws_variables, warehouse_variables
from txnpipe.local.home import Home
from txnpipe.local.runtime import Options

PASSWORD = "a:b\\c d'e"


@dataclass(frozen=True)
class Warehouse:
    """What was found of a warehouse."""

    host: str | None = "127.0.0.1"
    port: int | None = 5440
    database: str = "txnpipe"
    admin_user: str = "admin"
    secret_arn: str = "arn:secret"


class Secrets:
    """A target that knows one secret, or answers with an error code."""

    def __init__(self, error: str = "") -> None:
        self._error = error

    def client(self, service: str) -> Secrets:
        assert service == "secretsmanager"
        return self

    def get_secret_value(self, **arguments: str) -> dict[str, str]:
        assert arguments == {"SecretId": "arn:secret"}
        if self._error:
            raise ClientError({"Error": {"Code": self._error, "Message": "no"}}, "GetSecretValue")
        return {"SecretString": json.dumps({"username": "admin", "password": PASSWORD})}


def variables(home: Home, found: Warehouse | None, error: str = "") -> dict[str, str]:
    target: Any = Secrets(error)
    return warehouse_variables(home, target, found, "default")


def test_psql_finds_the_cluster_and_the_password_is_private(tmp_path: Path) -> None:
    found = variables(Home(tmp_path), Warehouse())

    file = Path(found.pop("PGPASSFILE"))
    assert found == {"PGHOST": "127.0.0.1", "PGPORT": "5440", "PGUSER": "admin", "PGDATABASE": "txnpipe"}
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert file.read_text() == "127.0.0.1:5440:*:admin:a\\:b\\\\c d'e\n"


@pytest.mark.parametrize("found", [None, Warehouse(host=None, port=None), Warehouse(secret_arn="")])
def test_without_a_warehouse_there_is_nothing_for_psql(tmp_path: Path, found: Warehouse | None) -> None:
    assert variables(Home(tmp_path), found) == {}
    assert list(tmp_path.iterdir()) == []


def test_a_secret_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(TxnpipeError, match="AccessDenied"):
        variables(Home(tmp_path), Warehouse(), "AccessDenied")


def test_the_aws_variables_are_those_that_sdks_read(tmp_path: Path) -> None:
    cloud = LocalCloud(
        endpoint_url="http://127.0.0.1:4580",
        account="000000000000",
        access_key_id="KEY",
        secret_access_key="SECRET",
        pid=1,
        home=Home(tmp_path),
        options=Options(enforce_limits=True, api_port=4580, flink_heap_mb=512),
        started=False,
    )

    assert aws_variables(cloud, "eu-west-1") == {
        "AWS_ACCESS_KEY_ID": "KEY",
        "AWS_SECRET_ACCESS_KEY": "SECRET",
        "AWS_REGION": "eu-west-1",
        "AWS_DEFAULT_REGION": "eu-west-1",
        "AWS_ENDPOINT_URL": "http://127.0.0.1:4580",
    }
    assert "KEY" not in repr(cloud)
    assert "SECRET" not in repr(cloud)
