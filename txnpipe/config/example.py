"""Writes the commented example configuration, config.example.yaml, from the settings themselves."""

from __future__ import annotations

import textwrap

import msgspec
import yaml

from txnpipe.config.loading import Key, keys
from txnpipe.config.settings import Settings

HEADER = """\
# txnpipe's settings with their defaults. Copy the lines you change into txnpipe.yaml.
# A flag beats the environment (stream.shards is TXNPIPE_STREAM_SHARDS), the environment beats the file.
# `txnpipe config show` lists every value and where it came from.
"""


def example() -> str:
    """The text of config.example.yaml: every key, commented out, with its default and its meaning."""
    lines = [HEADER]
    section = ""
    for key in keys():
        above, _, leaf = key.name.rpartition(".")
        if above != section:
            section = above
            described = (_section_type(above).__doc__ or "").strip()
            lines.append(f"\n# {described}\n# {above}:")
        indent = "  " if above else ""
        lines += [f"#{indent}   {line}" for line in textwrap.wrap(key.description, 96)]
        lines.append(f"# {indent}{leaf}: {_value(key)}")
    return "\n".join(lines) + "\n"


def _section_type(name: str) -> type[msgspec.Struct]:
    return type(getattr(Settings(), name))


def _value(key: Key) -> str:
    plain = msgspec.to_builtins(key.default)
    return yaml.safe_dump(plain, default_flow_style=True, width=1000).removesuffix("\n").removesuffix("\n...")
