"""`txnpipe alerts --follow`. The warehouse's answers are given."""

from __future__ import annotations

import contextlib
import io
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from txnpipe.cli import main as program
from txnpipe.cli.environment import Environment
from txnpipe.cli.frame import Invocation
from txnpipe.errors import ExitCode
from txnpipe.operate.alerts import StoredAlert

BEGAN = datetime(2026, 11, 24, 5, 31)


def alert(number: int) -> StoredAlert:
    when = BEGAN + timedelta(seconds=number)
    return StoredAlert(
        f"large_amount:t{number}", "large_amount", f"t{number}", "a", Decimal("1"), when, when, "r", "", when
    )


def test_following_shows_each_new_alert_once_and_no_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored = [alert(number) for number in range(50)]

    def newest(_: Any, *, limit: int, **__: Any) -> list[StoredAlert]:
        return stored[::-1][:limit]

    looks = iter([alert(50), alert(51)])

    def sleep(_: float) -> None:
        coming = next(looks, None)
        if coming is None:
            raise KeyboardInterrupt
        stored.append(coming)

    monkeypatch.setattr("txnpipe.cli.alerts.time", SimpleNamespace(sleep=sleep))
    monkeypatch.setattr("txnpipe.operate.alerts.newest_alerts", newest)
    monkeypatch.setattr("txnpipe.warehouse.open_warehouse", lambda *_: contextlib.nullcontext())
    monkeypatch.setattr(Invocation, "target", SimpleNamespace(account="000000000000", region="us-east-1"))
    environment = Environment(io.StringIO(), io.StringIO(), io.StringIO(), {}, tmp_path)
    assert program.run(["alerts", "--follow", "--limit", "2"], environment) == ExitCode.INTERRUPTED
    assert isinstance(environment.stdout, io.StringIO)
    shown = [word for word in environment.stdout.getvalue().split() if word[0] == "t" and word[1:].isdigit()]
    assert shown == ["t48", "t49", "t50", "t51"]
