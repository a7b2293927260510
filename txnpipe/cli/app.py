"""The program: its commands, in the order help shows them."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import typer

HELP = """Create, feed, prove, scale and remove a real-time transaction pipeline.

txnpipe setup                 create everything (on this machine, unless --target aws)

txnpipe send --count 1000     push 1,000 synthetic transactions

txnpipe verify                prove that every row and every alert arrived

txnpipe scale --shards 4      more shards

txnpipe teardown              remove everything
"""

PIPELINE, LOOK, MACHINE = "The pipeline", "Look inside", "This machine"

COMMANDS: tuple[tuple[str, str], ...] = (
    ("setup", PIPELINE),
    ("send", PIPELINE),
    ("verify", PIPELINE),
    ("scale", PIPELINE),
    ("teardown", PIPELINE),
    ("plan", PIPELINE),
    ("status", LOOK),
    ("sql", LOOK),
    ("alerts", LOOK),
    ("rejects", LOOK),
    ("dead-letters", LOOK),
    ("runs", LOOK),
    ("cost", LOOK),
    ("config", LOOK),
    ("export", LOOK),
    ("doctor", MACHINE),
    ("policy", LOOK),
    ("demo", MACHINE),
    ("local", MACHINE),
    ("version", MACHINE),
)
"""Command and help panel. The module of the same name in txnpipe.cli, with _ for -, holds a function of that
name, or a Typer app called `app` where the command has subcommands."""

GROUPS = ("config", "dead-letters", "export", "local")
"""Commands that only hold subcommands."""


def build() -> typer.Typer:
    """The Typer application with all commands."""
    app = typer.Typer(
        help=HELP,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
        rich_markup_mode="rich",
    )

    @app.callback()
    def root() -> None:
        """Holds the subcommands together."""

    root.__doc__ = HELP
    for name, panel in COMMANDS:
        module = importlib.import_module(f"txnpipe.cli.{name.replace('-', '_')}")
        group: typer.Typer | None = getattr(module, "app", None)
        if group is not None:
            app.add_typer(group, name=name, rich_help_panel=panel)
        else:
            function: Callable[..., Any] = getattr(module, name)
            app.command(name, rich_help_panel=panel)(function)
    return app
