"""`txnpipe config show` and `txnpipe config init`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from txnpipe.cli.frame import Invocation, command

app = typer.Typer(help="Show and write settings.")


@app.command()
@command()
def show(run: Invocation) -> None:
    """Show every setting, its value and where it came from.

    txnpipe config show

    txnpipe config show --json --config staging.yaml
    """
    import msgspec

    from txnpipe.config.loading import keys

    values = msgspec.to_builtins(run.settings)
    rows = [(key.name, _at(values, key.name), run.loaded.origin(key.name)) for key in keys()]
    run.out.table(
        None, ("setting", "value", "from"), [(name, _text(value), origin) for name, value, origin in rows]
    )
    run.out.result(
        "config", {"settings": {name: {"value": value, "from": origin} for name, value, origin in rows}}
    )


@app.command()
@command()
def init(
    run: Invocation,
    path: Annotated[Path, typer.Argument(help="File to write.")] = Path("txnpipe.yaml"),
    force: Annotated[bool, typer.Option("--force", help="Replace an existing file.")] = False,
) -> None:
    """Write a commented configuration file with every default.

    txnpipe config init

    txnpipe config init staging.yaml
    """
    from rich.markup import escape

    from txnpipe.config.example import example
    from txnpipe.errors import usage_error

    whole = run.environment.directory / path
    try:
        with whole.open("w" if force else "x", encoding="utf-8") as file:
            file.write(example())
    except FileExistsError:
        raise usage_error(f"{path} exists already.", "Choose another path, or pass --force.") from None
    run.out.say(
        f"Wrote {escape(str(path))}. Uncomment what you change; txnpipe config show tells what is in force."
    )
    run.out.result("config-init", {"path": str(whole)})


def _at(values: Any, name: str) -> Any:
    for part in name.split("."):
        values = values[part]
    return values


def _text(value: object) -> str:
    return "" if value is None else str(value)
