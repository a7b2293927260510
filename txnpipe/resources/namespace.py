"""The data of a serverless warehouse: a Redshift Serverless namespace with its database and administrator.

Redshift keeps the administrator's password in a secret of its own. Data in a namespace are always encrypted,
here with the key that AWS owns.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from txnpipe.resources.difference import LOSES_DATA, Difference
from txnpipe.resources.resource import Cloud, Observed
from txnpipe.resources.serverless import (
    changed,
    described,
    made,
    removed,
    serverless_tags,
    settled,
)
from txnpipe.resources.warehouse_kind import refuse_other_kind


@dataclass(frozen=True)
class NamespaceState:
    """What a plan compares. `log_exports`: none, they cost extra and repeat what the tables hold."""

    database: str = field(metadata=LOSES_DATA)
    admin_user: str = field(metadata=LOSES_DATA)
    managed_password: bool
    log_exports: tuple[str, ...]


@dataclass(frozen=True)
class Namespace:
    """The namespace."""

    cloud: Cloud
    name: str
    kind: str = "namespace"
    requires: tuple[str, ...] = ()
    inside: str | None = None

    def desired(self) -> NamespaceState:
        """See Resource."""
        refuse_other_kind(self.cloud)
        settings = self.cloud.settings.warehouse
        return NamespaceState(
            database=settings.database,
            admin_user=settings.admin_user,
            managed_password=True,
            log_exports=(),
        )

    def read(self) -> Observed[NamespaceState] | None:
        """See Resource."""
        found = described(self.cloud, "namespace", self.name)
        if found is None:
            return None
        leaving = found.status == "DELETING"
        if not leaving:
            self.cloud.assert_ours(self.kind, self.name, found.tags)
        document = found.document
        state = NamespaceState(
            database=document["dbName"],
            admin_user=document["adminUsername"],
            managed_password=bool(document.get("adminPasswordSecretArn")),
            log_exports=tuple(sorted(document.get("logExports", []))),
        )
        facts = {"database": state.database, "arn": found.arn}
        return Observed(state, found.status, ready=found.status == "AVAILABLE", leaving=leaving, facts=facts)

    def create(self, desired: NamespaceState) -> None:
        """See Resource."""
        serverless = self.cloud.client("redshift-serverless")
        made(
            self.cloud,
            self,
            lambda: serverless.create_namespace(
                namespaceName=self.name,
                dbName=desired.database,
                adminUsername=desired.admin_user,
                manageAdminPassword=True,
                logExports=list(desired.log_exports),
                tags=serverless_tags(self.cloud.tags),
            ),
        )

    def update(self, desired: NamespaceState, differences: tuple[Difference, ...]) -> None:
        """See Resource. One thing at a time."""
        fields = {difference.field for difference in differences}
        if "managed_password" in fields:
            self._change(desired, "managed_password", manageAdminPassword=True)
        if "log_exports" in fields:
            self._change(desired, "log_exports", logExports=list(desired.log_exports))

    def _change(self, desired: NamespaceState, name: str, **change: Any) -> None:
        serverless = self.cloud.client("redshift-serverless")
        changed(
            self.cloud,
            self,
            desired,
            name,
            lambda: serverless.update_namespace(namespaceName=self.name, **change),
        )

    def settle(self) -> None:
        """See Resource."""
        settled(self.cloud, self)

    def delete(self) -> None:
        """See Resource. Leaves a snapshot where the target says so."""
        serverless = self.cloud.client("redshift-serverless")
        removed(
            self.cloud, self, lambda: serverless.delete_namespace(namespaceName=self.name, **self._farewell())
        )

    def _farewell(self) -> dict[str, Any]:
        if not self.cloud.target.final_snapshot:
            return {}
        stamp = datetime.now(UTC).strftime("%Y%m%d%H%M%S")
        return {
            "finalSnapshotName": f"{self.name}-final-{stamp}",
            "finalSnapshotRetentionPeriod": self.cloud.settings.warehouse.final_snapshot_retention_days,
        }
