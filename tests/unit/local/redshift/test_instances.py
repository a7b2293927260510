"""Servers by name: what a failing one looks like to those who start it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import psycopg2
import pytest

from txnpipe.errors import ExitCode, TxnpipeError
from txnpipe.local.postgres import database
from txnpipe.local.postgres.supervisor import Supervisor
from txnpipe.local.redshift.instances import Instances


def test_a_database_that_refuses_its_administrator_is_an_environment_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def provision(*_arguments: Any) -> None:
        raise psycopg2.errors.DiskFull("could not extend file: No space left on device")

    monkeypatch.setattr(Supervisor, "start", lambda _self: None)
    monkeypatch.setattr(database, "provision", provision)
    with pytest.raises(TxnpipeError, match="No space left on device") as refused:
        Instances(tmp_path / "redshift", tmp_path / "logs").start("one", "dev", "admin", "secret")
    assert refused.value.exit_code == ExitCode.ENVIRONMENT
    assert "secret" not in str(refused.value)
