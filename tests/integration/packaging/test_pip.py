"""Fetching psycopg2 with the real pip."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.unit.packaging.test_lambda_zip import HERE
from txnpipe.aws import FunctionPlatform
from txnpipe.errors import TxnpipeError
from txnpipe.packaging import psycopg2_files as module
from txnpipe.packaging.psycopg2_files import psycopg2_files


@pytest.mark.skipif(sys.platform != "linux", reason="Lambda's wheel is not the installed one elsewhere")
def test_the_fetched_wheel_holds_the_files_of_the_installed_distribution(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed = psycopg2_files(HERE)
    monkeypatch.setattr(module, "_is_like_this_interpreter", lambda platform: False)
    assert psycopg2_files(FunctionPlatform(HERE.python, HERE.architecture), cache=tmp_path) == installed


def test_a_platform_that_nobody_built_for_is_explained(tmp_path: Path) -> None:
    with pytest.raises(TxnpipeError, match="pip could not fetch psycopg2-binary"):
        psycopg2_files(FunctionPlatform("3.99", "arm64"), cache=tmp_path)
    assert list(tmp_path.iterdir()) == []
