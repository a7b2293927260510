"""README and help stay true: every command is documented, the exit codes are the real ones."""

from __future__ import annotations

import re
from pathlib import Path

import typer.main

from txnpipe.cli.app import COMMANDS, build
from txnpipe.errors import ExitCode

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_every_command_is_in_the_readme() -> None:
    assert [name for name, _ in COMMANDS if f"txnpipe {name}" not in README] == []


def test_every_command_has_help_that_shows_an_example() -> None:
    group = typer.main.get_command(build())
    without = []
    for name, command in group.commands.items():  # type: ignore[attr-defined]
        for inner in getattr(command, "commands", {"": command}).values():
            if "txnpipe " not in (inner.help or ""):
                without.append(f"{name} {inner.name}")
    assert without == []


def test_the_exit_codes_in_the_readme_are_the_real_ones() -> None:
    rows = re.findall(r"^\| (\d+) \| ([A-Z_]+) \|", README, flags=re.MULTILINE)
    assert {name: int(code) for code, name in rows} == {code.name: int(code) for code in ExitCode}


def test_links_in_the_documents_lead_somewhere() -> None:
    for document in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]:
        for link in re.findall(r"\]\(([^)#:]+)\)", document.read_text(encoding="utf-8")):
            assert (document.parent / link).exists(), f"{document.name} → {link}"
