"""The flag that names the Kinesis connector of the analytics app, for the commands that build its zip."""

from __future__ import annotations

from typing import Annotated

import typer

SETS = {"connector_jar": "analytics.connector_jar"}
"""Which setting it overrides."""
ConnectorJar = Annotated[
    str | None,
    typer.Option(
        "--connector-jar",
        metavar="PATH",
        help="Flink's Kinesis connector for the analytics app (aws only).",
        show_default=False,
    ),
]
