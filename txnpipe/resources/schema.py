"""The tables, brought to the newest version by the warehouse's migrations."""

from __future__ import annotations

from dataclasses import dataclass

from txnpipe.resources.difference import Difference
from txnpipe.resources.resource import Cloud, Observed
from txnpipe.resources.warehouse_address import status_of
from txnpipe.warehouse import Warehouse, migrations, open_warehouse
from txnpipe.warehouse.schema import load as load_migrations


@dataclass(frozen=True)
class SchemaState:
    """The migrations that are still to be applied, by name: none is what we want."""

    pending: tuple[str, ...]


@dataclass(frozen=True)
class Schema:
    """The schema inside the warehouse."""

    cloud: Cloud
    name: str
    warehouse: str
    kind: str = "schema"

    @property
    def requires(self) -> tuple[str, ...]:
        """See Resource."""
        return (self.warehouse,)

    @property
    def inside(self) -> str | None:
        """See Resource."""
        return self.warehouse

    def desired(self) -> SchemaState:
        """See Resource."""
        return SchemaState(())

    def read(self) -> Observed[SchemaState] | None:
        """See Resource. None where there is no warehouse to ask yet, or an empty one."""
        status = status_of(self.cloud)
        if status is None or status == "creating":
            return None
        if status != "available":
            return Observed(None, f"warehouse is {status}", ready=False)
        with self._open() as warehouse:
            pending = tuple(migration.name for migration in migrations.pending(warehouse))
        if len(pending) == len(load_migrations()):
            return None
        return Observed(SchemaState(pending), "behind" if pending else "current")

    def create(self, desired: SchemaState) -> None:
        """See Resource."""
        with self._open() as warehouse:
            migrations.apply(warehouse)

    def update(self, desired: SchemaState, differences: tuple[Difference, ...]) -> None:
        """See Resource."""
        self.create(desired)

    def settle(self) -> None:
        """See Resource. A migration is committed or it is not."""

    def delete(self) -> None:
        """See Resource. It goes with the warehouse."""

    def _open(self) -> Warehouse:
        return open_warehouse(self.cloud.target, self.cloud.settings, self.cloud.names)
