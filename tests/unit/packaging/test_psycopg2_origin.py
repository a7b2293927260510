"""Where psycopg2 for a platform would come from, found out without fetching anything."""

from __future__ import annotations

import importlib.metadata
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from txnpipe.aws import FunctionPlatform
from txnpipe.errors import ExitCode, TxnpipeError
from txnpipe.packaging.psycopg2_files import DISTRIBUTION, Origin, origin
from txnpipe.target import _machine_architecture

HERE = FunctionPlatform(
    f"{sys.version_info.major}.{sys.version_info.minor}", _machine_architecture(), this_machine=True
)
OTHER = FunctionPlatform("3.13", "arm64" if HERE.architecture == "x86_64" else "x86_64")


def test_this_machine_has_it_installed(tmp_path: Path) -> None:
    assert origin(HERE, cache=tmp_path) is Origin.INSTALLED


def test_another_platform_s_is_to_be_fetched_until_it_is_cached(tmp_path: Path) -> None:
    assert origin(OTHER, cache=tmp_path / "none") is Origin.TO_BE_FETCHED
    machine = "aarch64" if OTHER.architecture == "arm64" else "x86_64"
    version = importlib.metadata.version(DISTRIBUTION)
    (tmp_path / f"psycopg2_binary-{version}-cp313-cp313-manylinux_2_28_{machine}.whl").touch()
    assert origin(OTHER, cache=tmp_path) is Origin.CACHED
    assert origin(replace(OTHER, python="3.12"), cache=tmp_path) is Origin.TO_BE_FETCHED


def test_where_it_is_not_installed_at_all_that_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(_: str) -> importlib.metadata.Distribution:
        raise importlib.metadata.PackageNotFoundError

    monkeypatch.setattr(importlib.metadata, "distribution", missing)
    with pytest.raises(TxnpipeError) as caught:
        origin(OTHER)
    assert caught.value.exit_code is ExitCode.ENVIRONMENT
