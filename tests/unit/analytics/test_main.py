"""main.py with a stand-in for PyFlink, which is not installed here: what it executes, in which order."""

from __future__ import annotations

import ast
import runpy
import shutil
import sys
import types
from pathlib import Path

import pytest

from txnpipe.config import Settings
from txnpipe.local.flink.code import split
from txnpipe.names import Names
from txnpipe.packaging.analytics_zip import ANALYTICS, render_statements


class RecordingPyFlink:
    """pyflink.table as far as main.py uses it."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, ...]] = []

    def in_streaming_mode(self) -> str:
        return "streaming"

    def create(self, settings: str) -> RecordingPyFlink:
        self.calls.append(("create", settings))
        return self

    def create_statement_set(self) -> RecordingPyFlink:
        return self

    def get_config(self) -> RecordingPyFlink:
        return self

    def set(self, name: str, value: str) -> None:
        self.calls.append(("set", name, value))

    def execute_sql(self, statement: str) -> None:
        self.calls.append(("define", statement))

    def add_insert_sql(self, statement: str) -> None:
        self.calls.append(("insert", statement))

    def execute(self) -> None:
        self.calls.append(("execute",))


@pytest.fixture
def pyflink(monkeypatch: pytest.MonkeyPatch) -> RecordingPyFlink:
    recorder = RecordingPyFlink()
    table = types.ModuleType("pyflink.table")
    table.EnvironmentSettings = table.TableEnvironment = recorder  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "pyflink", types.ModuleType("pyflink"))
    monkeypatch.setitem(sys.modules, "pyflink.table", table)
    return recorder


def test_it_executes_every_statement_and_one_set_of_inserts(
    tmp_path: Path, pyflink: RecordingPyFlink
) -> None:
    text = render_statements(Settings(), Names("default", "0" * 12, "us-east-1"), "us-east-1")
    (tmp_path / "statements.sql").write_text(text, "utf-8")
    shutil.copy(ANALYTICS / "main.py", tmp_path / "main.py")

    runpy.run_path(str(tmp_path / "main.py"), run_name="__main__")

    kinds = [call[0] for call in pyflink.calls]
    assert kinds == ["create"] + ["set"] * 3 + ["define"] * 9 + ["insert", "execute"]
    assert ("set", "table.local-time-zone", "UTC") in pyflink.calls
    # The local cloud executes the same statements.
    executed = [call[1] for call in pyflink.calls if call[0] in ("define", "insert")]
    assert executed == [statement for statement in split(text) if not statement.startswith("SET ")]


def test_it_imports_only_the_standard_library_and_pyflink() -> None:
    tree = ast.parse((ANALYTICS / "main.py").read_text("utf-8"))
    imported = {
        name.split(".")[0]
        for node in ast.walk(tree)
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else []
        )
    }
    assert imported <= set(sys.stdlib_module_names) | {"pyflink"}
