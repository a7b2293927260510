"""The password that is made for the loader."""

from __future__ import annotations

from txnpipe.resources.secret import PASSWORD_LENGTH, make_password
from txnpipe.warehouse.users import acceptable


def test_every_password_is_one_that_the_warehouse_accepts() -> None:
    passwords = {make_password() for _ in range(200)}
    assert len(passwords) == 200
    assert all(acceptable(password) and len(password) == PASSWORD_LENGTH for password in passwords)
