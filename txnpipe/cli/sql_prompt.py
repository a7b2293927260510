"""The prompt of `txnpipe sql`.

A statement ends with a semicolon and may span lines. An error is shown and ends the statement, not the
prompt; Ctrl-C drops what was typed or cancels what runs; Ctrl-D or \\q leaves. Lines are remembered between
sessions in the home, those that mention a password excepted.
"""

from __future__ import annotations

import atexit
import os
import sys
from collections.abc import Callable
from pathlib import Path

from txnpipe.cli.frame import Invocation
from txnpipe.errors import TxnpipeError
from txnpipe.sqltext import is_complete, statements
from txnpipe.warehouse import Warehouse

HISTORY_LINES = 1000
HELP = """SQL ends with a semicolon and may span lines.
\\d         tables
\\d NAME    columns of a table
\\?         this help
\\q         leave (as does Ctrl-D)"""

_TABLES = """SELECT table_name, table_type FROM information_schema.tables
WHERE table_schema = 'public' ORDER BY table_name"""
_COLUMNS = """SELECT column_name, data_type, character_maximum_length AS length, numeric_precision AS digits,
numeric_scale AS decimals, is_nullable FROM information_schema.columns
WHERE table_schema = 'public' AND table_name = :name ORDER BY ordinal_position"""


class SqlPrompt:
    """Reads statements from a person and hands them to `execute`."""

    def __init__(self, run: Invocation, warehouse: Warehouse, execute: Callable[[str], None]) -> None:
        self._run = run
        self._warehouse = warehouse
        self._execute = execute
        self._database = run.settings.warehouse.database

    def loop(self) -> None:
        """Runs until the person leaves."""
        self._remember_lines()
        self._run.out.say(f"Warehouse {self._run.names.cluster}. \\? helps, \\q leaves.")
        typed = ""
        while True:
            try:
                line = self._read(f"{self._database}{'->' if typed else '=>'} ")
                if line is None:
                    return
                if not typed and line.strip().startswith("\\"):
                    if not self._command(line.strip()):
                        return
                    continue
                typed += line + "\n"
                if typed.strip() and is_complete(typed):
                    whole, typed = typed, ""
                    self._run_all(whole)
                elif not typed.strip():
                    typed = ""
            except KeyboardInterrupt:
                typed = ""
                self._run.out.say("")

    def _run_all(self, typed: str) -> None:
        for statement in statements(typed):
            try:
                self._execute(statement)
            except TxnpipeError as error:
                self._run.out.error(error)
                return

    def _command(self, text: str) -> bool:
        """Runs a backslash command; False to leave."""
        name, _, argument = text.partition(" ")
        try:
            if name in ("\\q", "\\quit"):
                return False
            if name in ("\\d", "\\dt") and not argument.strip(" ;"):
                tables = self._warehouse.query(_TABLES, read_only=True)
                self._run.out.table(None, tables.columns, tables.rows)
            elif name == "\\d":
                columns = self._warehouse.query(_COLUMNS, {"name": argument.strip(' ;"')}, read_only=True)
                self._run.out.table(None, columns.columns, columns.rows)
            else:
                self._run.out.messages.print(HELP, markup=False)
        except TxnpipeError as error:
            self._run.out.error(error)
        return True

    def _read(self, prompt: str) -> str | None:
        """One line without its end; None at the end of input."""
        environment = self._run.environment
        if environment.stdin is sys.stdin and environment.stdin.isatty():
            try:
                return input(prompt)  # knows readline
            except EOFError:
                self._run.out.say("")
                return None
        self._run.out.messages.print(prompt, end="", markup=False)
        line = environment.stdin.readline()
        return line.rstrip("\n") if line else None

    def _remember_lines(self) -> None:
        if self._run.environment.stdin is not sys.stdin:
            return
        try:
            import readline
        except ImportError:
            return  # a Python without readline: the prompt works, without editing
        file = history_file()
        try:
            readline.read_history_file(file)
        except OSError:
            readline.clear_history()  # none yet
        readline.set_history_length(HISTORY_LINES)
        atexit.register(_save_history, file)


def history_file() -> Path:
    """Where the prompt's lines are kept."""
    from txnpipe.local.home import Home

    return Home.of_user().root / "sql_history"


def _save_history(file: Path) -> None:
    import readline

    for position in range(readline.get_current_history_length(), 0, -1):
        if "password" in (readline.get_history_item(position) or "").lower():
            readline.remove_history_item(position - 1)
    try:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(file, os.O_CREAT | os.O_WRONLY, 0o600))
        readline.write_history_file(file)
    except OSError:
        return  # a home that cannot be written costs the history, nothing else
