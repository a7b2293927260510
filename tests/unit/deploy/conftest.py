"""The in-memory account of the deploy tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from moto import mock_aws

from tests.unit.deploy.remote import MIGRATIONS, Migration, Remote, WarehouseDouble


@pytest.fixture
def new_remote(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], Remote]]:
    """Makes empty accounts; each forgets the one before."""
    # moto makes some hundred machine images for each new account, which takes longer than a setup.
    monkeypatch.setenv("MOTO_EC2_LOAD_DEFAULT_AMIS", "false")
    mocks: list[Any] = []

    def make() -> Remote:
        while mocks:
            mocks.pop().stop()
        mocks.append(mock_aws())
        mocks[-1].start()
        account = Remote()
        _put_inside(monkeypatch, account)
        return account

    yield make
    while mocks:
        mocks.pop().stop()


@pytest.fixture
def remote(new_remote: Callable[[], Remote]) -> Remote:
    """An empty account."""
    return new_remote()


def _put_inside(monkeypatch: pytest.MonkeyPatch, account: Remote) -> None:
    """Puts the warehouse double where the resources open the real one."""
    from txnpipe.resources import database_user, schema

    def opened(*_: Any) -> WarehouseDouble:
        return account.warehouse

    def pending(warehouse: WarehouseDouble) -> list[Migration]:
        return [Migration(name) for name in warehouse.pending]

    def load() -> list[Migration]:
        return [Migration(name) for name in MIGRATIONS]

    def apply(warehouse: WarehouseDouble) -> None:
        warehouse.pending.clear()

    def ensure(warehouse: WarehouseDouble, user: str, password: str) -> None:
        warehouse.users[user] = password

    monkeypatch.setattr(schema, "open_warehouse", opened)
    monkeypatch.setattr(database_user, "open_warehouse", opened)
    monkeypatch.setattr(schema, "migrations", SimpleNamespace(pending=pending, apply=apply))
    monkeypatch.setattr(schema, "load_migrations", load)
    monkeypatch.setattr(database_user, "ensure_loader_user", ensure)
