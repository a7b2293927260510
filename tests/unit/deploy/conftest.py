"""The in-memory account of the deploy tests."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cache
from types import SimpleNamespace
from typing import Any

import pytest
from moto import mock_aws
from moto.core import responses
from moto.core.utils import method_names_from_class

from tests.unit.deploy.places import ACCOUNT
from tests.unit.deploy.remote import MIGRATIONS, Migration, Remote, WarehouseDouble


@pytest.fixture
def new_remote(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], Remote]]:
    """Makes empty accounts; each forgets the one before."""
    # moto makes some hundred machine images for each new account, which takes longer than a setup.
    monkeypatch.setenv("MOTO_EC2_LOAD_DEFAULT_AMIS", "false")
    _one_account(monkeypatch)
    open_now = ExitStack()

    def make() -> Remote:
        open_now.close()
        open_now.enter_context(mock_aws())
        account = Remote()
        open_now.callback(account.own.install())
        _names_read_once(monkeypatch)
        _on_its_clock(monkeypatch, account)
        _put_inside(monkeypatch, account)
        return account

    with open_now:
        yield make


@pytest.fixture
def remote(new_remote: Callable[[], Remote]) -> Remote:
    """An empty account."""
    return new_remote()


def _one_account(monkeypatch: pytest.MonkeyPatch) -> None:
    """The local cloud's account has another number than moto's."""
    for name, module in list(sys.modules.items()):
        if name.startswith("txnpipe.local.") and hasattr(module, "ACCOUNT"):
            monkeypatch.setattr(module, "ACCOUNT", ACCOUNT)


def _names_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """moto looks through a class of a hundred methods anew for every request.

    Not for longer than one account: moto's classes have other methods without the local cloud's.
    """
    monkeypatch.setattr(responses, "method_names_from_class", cache(method_names_from_class))


def _on_its_clock(monkeypatch: pytest.MonkeyPatch, account: Remote) -> None:
    """Whatever sleeps, sleeps on the account's clock: the steps, and botocore between two attempts."""
    from botocore import endpoint
    from botocore.retries.quota import RetryQuota

    from txnpipe.deploy import scheduler

    for name, module in account.clock.modules().items():
        monkeypatch.setattr(scheduler, name, module)
    monkeypatch.setattr(endpoint, "time", SimpleNamespace(sleep=account.clock.sleep))
    # The clients outlive the tests, and so would the retries that they have used up.
    monkeypatch.setattr(RetryQuota, "acquire", lambda _, capacity: capacity)


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

    def retire(warehouse: WarehouseDouble, user: str) -> None:
        warehouse.users.pop(user, None)

    monkeypatch.setattr(database_user, "ensure_loader_user", ensure)
    monkeypatch.setattr(database_user, "retire_user", retire)
