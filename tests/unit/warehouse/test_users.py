"""The loader's user: names and passwords that could not stand in SQL never reach it."""

from __future__ import annotations

from typing import Any, cast

import pytest

from txnpipe.errors import ExitCode, TxnpipeError
from txnpipe.warehouse.interface import Warehouse
from txnpipe.warehouse.users import acceptable, ensure_loader_user


class Untouchable:
    def __getattr__(self, name: str) -> Any:
        raise AssertionError(f"{name} was called")


NOBODY = cast(Warehouse, Untouchable())


@pytest.mark.parametrize("user", ["", "a b", "a;b", 'a"b', "Upper", "1st", "x" * 64, "a'b"])
def test_a_name_that_needs_quoting_is_refused(user: str) -> None:
    with pytest.raises(TxnpipeError) as raised:
        ensure_loader_user(NOBODY, user, "Abcdefg1")
    assert raised.value.exit_code is ExitCode.USAGE


@pytest.mark.parametrize(
    "password",
    [
        "Short1a",
        "alllower1",
        "ALLUPPER1",
        "NoDigitsHere",
        "Quote'Aa1",
        'Quote"Aa1',
        "Back\\Aa12",
        "Has blank1",
        "é" * 9 + "A1a",
        "A1a" * 22,
    ],
)
def test_a_password_that_breaks_redshifts_rules_is_refused_and_not_repeated(password: str) -> None:
    assert not acceptable(password)
    with pytest.raises(TxnpipeError) as raised:
        ensure_loader_user(NOBODY, "loader", password)
    assert password not in raised.value.cause + raised.value.fix
