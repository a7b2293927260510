"""Finds the pipeline's warehouse and opens it the way the settings ask for."""

from __future__ import annotations

import json
from dataclasses import dataclass

from txnpipe.aws import Target, translated
from txnpipe.config import Settings
from txnpipe.errors import ExitCode, TxnpipeError
from txnpipe.names import Names
from txnpipe.warehouse.finding import Kind, find
from txnpipe.warehouse.interface import Warehouse, WarehouseError


@dataclass(frozen=True)
class Location:
    """Where a warehouse is, and which secret opens it."""

    kind: Kind
    name: str
    status: str
    host: str
    port: int
    database: str
    admin_user: str
    secret_arn: str


def locate(target: Target, settings: Settings, names: Names) -> Location:
    """Asks Redshift for the pipeline's warehouse of the kind that the settings name.

    Raises TxnpipeError: NOT_FOUND (there is none), CONFLICT (there is one, but it takes no connections now).
    """
    kind: Kind = settings.warehouse.kind
    with translated("find", f"the warehouse {names.cluster}"):
        found = find(target, kind, names.cluster)
    if found is None:
        other = (
            ", or set warehouse.kind to the kind that it has" if _other_is_there(target, kind, names) else ""
        )
        raise TxnpipeError(
            f"There is no {kind} warehouse {names.cluster}.",
            f"Create it with txnpipe setup{other}.",
            ExitCode.NOT_FOUND,
        )
    if found.host is None or found.port is None or found.status in _CLOSED:
        raise TxnpipeError(
            f"The warehouse {names.cluster} is {found.status} and takes no connections.",
            _fix(found.status),
            ExitCode.CONFLICT,
        )
    return Location(
        kind=kind,
        name=found.name,
        status=found.status,
        host=found.host,
        port=int(found.port),
        database=found.database,
        admin_user=found.admin_user,
        secret_arn=found.secret_arn,
    )


def _other_is_there(target: Target, kind: Kind, names: Names) -> bool:
    other: Kind = "serverless" if kind == "provisioned" else "provisioned"
    with translated("find", f"the warehouse {names.cluster}"):
        return find(target, other, names.cluster) is not None


def open_warehouse(target: Target, settings: Settings, names: Names) -> Warehouse:
    """The pipeline's warehouse as its administrator; connects when first used. Close it, or use `with`.

    Raises as `locate` does; CONFLICT for a warehouse whose password no secret keeps.
    """
    location = locate(target, settings, names)
    if not location.secret_arn:
        raise TxnpipeError(
            f"Redshift does not manage the password of {location.name}'s administrator in a secret.",
            "Run txnpipe setup: it turns that on.",
            ExitCode.CONFLICT,
        )
    if target.warehouse_access == "data-api":
        from txnpipe.warehouse.data_api import DataApiWarehouse

        named = "ClusterIdentifier" if location.kind == "provisioned" else "WorkgroupName"
        where = {
            named: location.name,
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
"""Of a cluster; a workgroup is creating, available, modifying or deleting."""


def _fix(status: str) -> str:
    if status in ("paused", "pausing"):
        return "Resume it: run txnpipe setup, or aws redshift resume-cluster."
    if status == "deleting":
        return "Wait until it is gone, then run txnpipe setup."
    return "Wait until it is available, then run the same command again."
