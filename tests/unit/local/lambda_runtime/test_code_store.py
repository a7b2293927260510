"""Unpacking functions' zips."""

from __future__ import annotations

import io
import os
import zipfile
from pathlib import Path

import pytest

from tests.unit.local.lambda_runtime.doubles import zipped
from txnpipe.local.lambda_runtime import code_store
from txnpipe.local.lambda_runtime.code_store import BadCodeError, CodeStore


def test_a_zip_is_unpacked_under_its_hash_once(tmp_path: Path) -> None:
    store = CodeStore(tmp_path / "code")
    directory = store.open("abc", zipped({"app.py": "x = 1", "package/module.py": ""}))
    assert directory == tmp_path / "code" / "abc"
    assert (directory / "app.py").read_text() == "x = 1"
    assert (directory / "package" / "module.py").exists()
    assert store.open("abc", b"not looked at") == directory


def test_executables_stay_executable(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        info = zipfile.ZipInfo("tool")
        info.external_attr = 0o755 << 16
        archive.writestr(info, "#!/bin/sh\n")
    assert os.access(CodeStore(tmp_path).open("abc", buffer.getvalue()) / "tool", os.X_OK)


@pytest.mark.parametrize("content", [b"", b"PK but no zip"])
def test_what_is_no_zip_is_refused_and_leaves_nothing(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(BadCodeError):
        CodeStore(tmp_path).open("abc", content)
    assert list(tmp_path.iterdir()) == []


def test_a_zip_cannot_write_outside_of_its_directory(tmp_path: Path) -> None:
    with pytest.raises(BadCodeError, match="outside"):
        CodeStore(tmp_path / "code").open("abc", zipped({"../../evil.py": ""}))
    assert not (tmp_path / "evil.py").exists()


def test_a_zip_that_unpacks_to_more_than_the_limit_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(code_store, "MAX_UNPACKED_BYTES", 10)
    with pytest.raises(BadCodeError, match="smaller than 10 bytes"):
        CodeStore(tmp_path).open("abc", zipped({"app.py": "x" * 11}))


def test_clear_removes_all_code(tmp_path: Path) -> None:
    store = CodeStore(tmp_path / "code")
    store.open("abc", zipped({"app.py": ""}))
    store.clear()
    assert not (tmp_path / "code").exists()
