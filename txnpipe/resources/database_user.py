"""The loader's own database user: it may read and insert, nothing else.

Whether the user has the password of the secret cannot be read from a database. So the version of the secret
that was given to the user is written on the secret as a tag, after the user has it: whatever is killed in
between is done again.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from txnpipe.resources.difference import KNOWN_AFTER_APPLY, Difference
from txnpipe.resources.resource import Cloud, Observed, id_of, tags_of
from txnpipe.resources.secret import TAG_APPLIED, LoaderSecret
from txnpipe.resources.warehouse import status_of
from txnpipe.warehouse import open_warehouse
from txnpipe.warehouse.users import ensure_loader_user


@dataclass(frozen=True)
class DatabaseUserState:
    """`secret_version` is the version id of the secret whose password the user has."""

    secret_version: Any


@dataclass(frozen=True)
class DatabaseUser:
    """The user inside the warehouse."""

    cloud: Cloud
    name: str
    warehouse: str
    schema: str
    secret: LoaderSecret
    kind: str = "database user"

    @property
    def requires(self) -> tuple[str, ...]:
        """See Resource."""
        return (self.schema, id_of(self.secret))

    @property
    def inside(self) -> str | None:
        """See Resource."""
        return self.warehouse

    def desired(self) -> DatabaseUserState:
        """See Resource."""
        secret = self.secret.describe()
        return DatabaseUserState(KNOWN_AFTER_APPLY if secret is None else _current_version(secret))

    def read(self) -> Observed[DatabaseUserState] | None:
        """See Resource. None where there is no cluster to ask yet."""
        status = status_of(self.cloud)
        if status is None or status == "creating":
            return None
        if status != "available":
            return Observed(None, f"warehouse is {status}", ready=False)
        with open_warehouse(self.cloud.target, self.cloud.settings, self.cloud.names) as warehouse:
            found = warehouse.query("SELECT 1 FROM pg_user WHERE usename = :name", {"name": self.name})
        if not found.rows:
            return None
        applied = tags_of((self.secret.describe() or {}).get("Tags", [])).get(TAG_APPLIED)
        return Observed(DatabaseUserState(applied), "available")

    def create(self, desired: DatabaseUserState) -> None:
        """See Resource."""
        manager = self.cloud.client("secretsmanager")
        value = manager.get_secret_value(SecretId=self.secret.name)
        password = json.loads(value["SecretString"])["password"]
        with open_warehouse(self.cloud.target, self.cloud.settings, self.cloud.names) as warehouse:
            ensure_loader_user(warehouse, self.name, password)
        manager.tag_resource(
            SecretId=self.secret.name, Tags=[{"Key": TAG_APPLIED, "Value": value["VersionId"]}]
        )

    def update(self, desired: DatabaseUserState, differences: tuple[Difference, ...]) -> None:
        """See Resource."""
        self.create(desired)

    def settle(self) -> None:
        """See Resource. A user is there as soon as its transaction is committed."""

    def delete(self) -> None:
        """See Resource. It goes with the cluster."""


def _current_version(secret: dict[str, Any]) -> Any:
    for version, stages in secret.get("VersionIdsToStages", {}).items():
        if "AWSCURRENT" in stages:
            return version
    return KNOWN_AFTER_APPLY
