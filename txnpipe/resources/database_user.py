"""The loader's own database user: it may read and insert, nothing else.

Whether the user has the password of the secret cannot be read from a database. So the version of the secret
that was given to the user is written on the secret as a tag, after the user has it: whatever is killed in
between is done again.

The users that were made stand in another tag, before each is made. One that is no longer the configured one
loses its privileges and is dropped; nobody else's user is ever touched.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from txnpipe.resources.difference import KNOWN_AFTER_APPLY, Difference
from txnpipe.resources.resource import Cloud, Observed, id_of, tags_of
from txnpipe.resources.secret import TAG_APPLIED, TAG_USERS_MADE, LoaderSecret
from txnpipe.resources.warehouse_address import status_of
from txnpipe.warehouse import open_warehouse
from txnpipe.warehouse.users import ensure_loader_user, retire_user


@dataclass(frozen=True)
class DatabaseUserState:
    """`secret_version` is the version id of the secret whose password the user has; `former`, the users of
    earlier configurations that are still to be removed."""

    secret_version: Any
    former: tuple[str, ...]


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
        return DatabaseUserState(KNOWN_AFTER_APPLY if secret is None else _current_version(secret), ())

    def read(self) -> Observed[DatabaseUserState] | None:
        """See Resource. None where there is no warehouse to ask yet."""
        status = status_of(self.cloud)
        if status is None or status == "creating":
            return None
        if status != "available":
            return Observed(None, f"warehouse is {status}", ready=False)
        with open_warehouse(self.cloud.target, self.cloud.settings, self.cloud.names) as warehouse:
            found = warehouse.query("SELECT 1 FROM pg_user WHERE usename = :name", {"name": self.name})
        if not found.rows:
            return None
        tags = tags_of((self.secret.describe() or {}).get("Tags", []))
        state = DatabaseUserState(tags.get(TAG_APPLIED), tuple(sorted(_made(tags) - {self.name})))
        return Observed(state, "available")

    def create(self, desired: DatabaseUserState) -> None:
        """See Resource."""
        manager = self.cloud.client("secretsmanager")
        value = manager.get_secret_value(SecretId=self.secret.name)
        password = json.loads(value["SecretString"])["password"]
        made = _made(tags_of((self.secret.describe() or {}).get("Tags", [])))
        if self.name not in made:
            self._tag({TAG_USERS_MADE: " ".join(sorted(made | {self.name}))})
        with open_warehouse(self.cloud.target, self.cloud.settings, self.cloud.names) as warehouse:
            ensure_loader_user(warehouse, self.name, password)
            for former in sorted(made - {self.name}):
                retire_user(warehouse, former)
        self._tag({TAG_APPLIED: value["VersionId"], TAG_USERS_MADE: self.name})

    def _tag(self, tags: dict[str, str]) -> None:
        self.cloud.client("secretsmanager").tag_resource(
            SecretId=self.secret.name, Tags=[{"Key": key, "Value": value} for key, value in tags.items()]
        )

    def update(self, desired: DatabaseUserState, differences: tuple[Difference, ...]) -> None:
        """See Resource."""
        self.create(desired)

    def settle(self) -> None:
        """See Resource. A user is there as soon as its transaction is committed."""

    def delete(self) -> None:
        """See Resource. It goes with the warehouse."""


def _made(tags: Mapping[str, str]) -> set[str]:
    return set(tags.get(TAG_USERS_MADE, "").split())


def _current_version(secret: dict[str, Any]) -> Any:
    for version, stages in secret.get("VersionIdsToStages", {}).items():
        if "AWSCURRENT" in stages:
            return version
    return KNOWN_AFTER_APPLY
