"""This machine, whatever the target: Python, and the disk that caches are on."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import platformdirs

from txnpipe.checks import Check, Verdict, failed, ok, warning
from txnpipe.errors import ExitCode

OLDEST, FIRST_UNTRIED = (3, 11), (3, 15)
"""What pyproject.toml asks for."""
CACHE_BYTES = 100_000_000
"""What a wheel and a connector take in the cache, several times over."""


def machine_checks() -> list[Check]:
    """The checks that every target has."""
    return [
        Check("python", lambda: check_python(sys.version_info[:3])),
        Check("cache", lambda: check_cache(platformdirs.user_cache_path("txnpipe"))),
    ]


def check_python(version: tuple[int, int, int]) -> Verdict:
    """Whether this Python is one that txnpipe is tried with."""
    name = ".".join(map(str, version))
    if version[:2] < OLDEST:
        return failed(f"This is Python {name}.", "Use Python 3.11 or newer.", ExitCode.ENVIRONMENT)
    if version[:2] >= FIRST_UNTRIED:
        return warning(f"Nobody has tried txnpipe with Python {name}.", "Use Python 3.14.")
    return ok(f"This is Python {name}.")


def check_cache(directory: Path) -> Verdict:
    """Whether the cache has room. The directory need not be there yet."""
    there = next(path for path in (directory, *directory.parents) if path.exists())
    free = shutil.disk_usage(there).free
    if free < CACHE_BYTES:
        return warning(
            f"{free // 1_000_000:,} MB are free for the cache {directory}.",
            "Free some space; wheels and connectors are kept there.",
        )
    return ok(f"{free // 1_000_000:,} MB are free for the cache {directory}.")
