"""Finds the pipeline's warehouse and opens it the way the settings ask for."""

from __future__ import annotations

import json
from dataclasses import dataclass

from txnpipe.aws import Target, error_code, translated
from txnpipe.config import Settings
from txnpipe.errors import ExitCode, TxnpipeError
from txnpipe.names import Names
from txnpipe.warehouse.interface import Warehouse, WarehouseError


@dataclass(frozen=True)
class Location:
    """Where a cluster is and which secret opens it."""

    cluster: str
    status: str
    host: str
    port: int
    database: str
    admin_user: str
    secret_arn: str


def locate(target: Target, names: Names) -> Location:
    """Asks Redshift for the pipeline's cluster.

    Raises TxnpipeError: NOT_FOUND (no cluster), CONFLICT (there is one, but it takes no connections now).
    """
    from botocore.exceptions import ClientError

    redshift = target.client("redshift")
    with translated("find", f"the warehouse {names.cluster}"):
        try:
            clusters = redshift.describe_clusters(ClusterIdentifier=names.cluster)["Clusters"]
        except ClientError as error:
            if error_code(error) not in ("ClusterNotFound", "ClusterNotFoundFault"):
                raise
            clusters = []
    if not clusters:
        raise TxnpipeError(
            f"There is no warehouse {names.cluster}.", "Create it with txnpipe setup.", ExitCode.NOT_FOUND
        )
    cluster = clusters[0]
    status = cluster["ClusterStatus"]
    endpoint = cluster.get("Endpoint") or {}
    if not endpoint.get("Address") or status in _CLOSED:
        raise TxnpipeError(
            f"The warehouse {names.cluster} is {status} and takes no connections.",
            _fix(status),
            ExitCode.CONFLICT,
        )
    return Location(
        cluster=names.cluster,
        status=status,
        host=endpoint["Address"],
        port=int(endpoint["Port"]),
        database=cluster["DBName"],
        admin_user=cluster["MasterUsername"],
        secret_arn=cluster.get("MasterPasswordSecretArn") or "",
    )


def open_warehouse(target: Target, settings: Settings, names: Names) -> Warehouse:
    """The pipeline's warehouse as its administrator; connects when first used. Close it, or use `with`.

    Raises as `locate` does; CONFLICT for a cluster whose password no secret keeps.
    """
    location = locate(target, names)
    if not location.secret_arn:
        raise TxnpipeError(
            f"Redshift does not manage the password of {location.cluster}'s administrator in a secret.",
            "Run txnpipe setup: it turns that on.",
            ExitCode.CONFLICT,
        )
    if target.warehouse_access == "data-api":
        from txnpipe.warehouse.data_api import DataApiWarehouse

        where = {
            "ClusterIdentifier": location.cluster,
            "Database": settings.warehouse.database,
            "SecretArn": location.secret_arn,
        }
        return DataApiWarehouse(target.client("redshift-data"), where)
    from txnpipe.warehouse.direct import DirectWarehouse, connector

    return DirectWarehouse(
        connector(
            location.host,
            location.port,
            settings.warehouse.database,
            location.admin_user,
            lambda: secret_password(target, location.secret_arn),
            target.sslmode,
        )
    )


def secret_password(target: Target, secret_arn: str) -> str:
    """The password in a secret of the form {"username", "password"}. Raises TxnpipeError (SERVICE)."""
    with translated("read", "the warehouse's password"):
        value = target.client("secretsmanager").get_secret_value(SecretId=secret_arn)
    try:
        return str(json.loads(value["SecretString"])["password"])
    except (KeyError, ValueError, TypeError) as error:
        raise WarehouseError(
            f"The secret {secret_arn} does not hold a password.", "Run txnpipe setup: it repairs it."
        ) from error


_CLOSED = frozenset(
    {"creating", "deleting", "paused", "pausing", "resuming", "rebooting", "hardware-failure"}
)


def _fix(status: str) -> str:
    if status in ("paused", "pausing"):
        return "Resume it: run txnpipe setup, or aws redshift resume-cluster."
    if status == "deleting":
        return "Wait until it is gone, then run txnpipe setup."
    return "Wait until it is available, then run the same command again."
