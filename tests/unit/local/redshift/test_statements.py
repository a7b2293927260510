"""Executions of the Data API come to an end, whatever the database does."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg2
import pytest

from tests.waiting import PATIENCE_S
from txnpipe.local.redshift.data_api import results
from txnpipe.local.redshift.data_api.access import Login
from txnpipe.local.redshift.data_api.statements import Executions


class BrokenConnection:
    """A connection whose server goes away right after it was made."""

    def __enter__(self) -> BrokenConnection:
        return self

    def __exit__(self, *_error: object) -> None:
        return

    @property
    def info(self) -> Any:
        raise psycopg2.InterfaceError("connection already closed")

    def close(self) -> None:
        return


class LoginOfBroken(Login):
    def connect(self) -> Any:
        return BrokenConnection()


@pytest.fixture
def executions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Executions]:
    monkeypatch.setattr(results, "read_as_text", lambda _connection: None)
    made = Executions(tmp_path / "data-api")
    made.start()
    yield made
    made.stop()


def _refused() -> Login:
    raise psycopg2.errors.InternalError_("tuple concurrently updated")


@pytest.mark.parametrize(
    ("login", "says"),
    [
        (_refused, "tuple concurrently updated"),
        (lambda: LoginOfBroken(0, "d", "u", "p"), "connection already closed"),
    ],
)
def test_a_statement_whose_connection_fails_in_any_way_has_failed(
    executions: Executions, login: Any, says: str
) -> None:
    execution = executions.submit("us-east-1", {}, ["SELECT 1"], login, is_batch=True)
    executions.wait(execution, PATIENCE_S)
    assert (execution.status, execution.error) == ("FAILED", says)
    assert [part.status for part in execution.parts] == ["FAILED"]
