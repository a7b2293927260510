"""What a statement says instead of a password."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any, cast

import pytest

from txnpipe.warehouse.interface import Dialect, Result, Statement, Warehouse
from txnpipe.warehouse.passwords import hashed, redshift_md5, scram_verifier
from txnpipe.warehouse.users import ensure_loader_user

PASSWORD = "Loader-Pass1"


class Listening:
    """A warehouse that hears everything."""

    def __init__(self, dialect: Dialect, *, user_exists: bool) -> None:
        self.dialect = dialect
        self.heard: list[str] = []
        self._rows: list[tuple[Any, ...]] = [("loader",)] if user_exists else []

    def query(self, sql: str, parameters: dict[str, object]) -> Result:
        self.heard.append(f"{sql} {parameters}")
        return Result(("usename",), self._rows)

    def run_batch(self, statements: Sequence[str | Statement]) -> None:
        self.heard += map(str, statements)


@pytest.mark.parametrize("dialect", ["redshift", "postgres"])
@pytest.mark.parametrize("exists", [False, True])
def test_no_statement_holds_the_password(dialect: Dialect, exists: bool) -> None:
    warehouse = Listening(dialect, user_exists=exists)
    ensure_loader_user(cast(Warehouse, warehouse), "loader", PASSWORD)
    said = [text for text in warehouse.heard if "PASSWORD" in text]
    assert len(said) == 1
    assert said[0].startswith("ALTER USER loader" if exists else "CREATE USER loader")
    assert not [text for text in warehouse.heard if PASSWORD in text]


def test_redshift_s_form_is_the_one_of_its_documentation() -> None:
    # The example of "CREATE USER" in the Redshift Database Developer Guide.
    assert redshift_md5("user1", "ez") == "md5153c434b4b77c89e6b94f12c5393af5b"
    assert hashed("redshift", "user1", "ez") == "md5153c434b4b77c89e6b94f12c5393af5b"


def test_the_verifier_is_that_of_rfc_7677() -> None:
    # The exchange of RFC 7677, section 3 (password pencil), as PostgreSQL stores it.
    salt = base64.b64decode("W22ZaJ0SNY7soEsUEjb6gQ==")
    assert scram_verifier("pencil", salt) == (
        "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY="
        ":wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="
    )


def test_two_verifiers_of_one_password_differ() -> None:
    assert hashed("postgres", "loader", PASSWORD) != hashed("postgres", "loader", PASSWORD)
