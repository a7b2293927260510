"""What the doctor says of this machine."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from txnpipe.checks import State
from txnpipe.operate.doctor.machine import check_cache, check_python


@pytest.mark.parametrize(
    ("version", "state"),
    [
        ((3, 10, 9), State.FAILED),
        ((3, 11, 0), State.OK),
        ((3, 14, 7), State.OK),
        ((3, 15, 0), State.WARNING),
    ],
)
def test_python_must_be_one_that_was_tried(version: tuple[int, int, int], state: State) -> None:
    assert check_python(version).state is state


@pytest.mark.parametrize(("free", "state"), [(99_999_999, State.WARNING), (100_000_000, State.OK)])
def test_the_cache_wants_room_before_it_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free: int, state: State
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=free))
    assert check_cache(tmp_path / "not" / "there").state is state
    assert list(tmp_path.iterdir()) == []
