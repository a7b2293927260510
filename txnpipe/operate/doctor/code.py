"""What the zips are made of: the Kinesis connector, and psycopg2 for the functions' platform."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import platformdirs

from txnpipe.aws import Target
from txnpipe.checks import Verdict, failed, ok
from txnpipe.config.settings import AnalyticsSettings
from txnpipe.errors import ExitCode
from txnpipe.packaging.connector import RELEASES, connector
from txnpipe.packaging.psycopg2_files import Origin, origin


def check_connector(settings: AnalyticsSettings, jar: Path | None, cache: Path | None = None) -> Verdict:
    """Whether the connector is there and fits the runtime, or may be downloaded. Downloads nothing.

    Raises USAGE for a jar that will not do, and where none is named and none may be downloaded.
    """
    release = RELEASES[settings.runtime]
    digest = settings.connector_sha256 or release.sha256
    if jar is not None or digest is None:
        connector(settings, jar)
        return ok(f"The Kinesis connector {jar} fits {settings.runtime}.")
    kept = (cache or platformdirs.user_cache_path("txnpipe") / "connectors") / f"{digest}.jar"
    if kept.is_file():
        return ok(f"The Kinesis connector {release.version} is in the cache.")
    return ok(f"setup downloads the Kinesis connector from {release.url(settings.connector_url)}.")


def check_psycopg2(target: Target) -> Verdict:
    """Whether psycopg2 for the functions' platform is at hand, or pip is there to fetch it."""
    platform = target.functions
    where = f"Python {platform.python} on {platform.architecture}"
    match origin(platform):
        case Origin.INSTALLED:
            return ok(f"The installed psycopg2 runs on Lambda's {where}.")
        case Origin.CACHED:
            return ok(f"psycopg2 for {where} is in the cache.")
        case _:
            if importlib.util.find_spec("pip") is None:
                return failed(
                    f"psycopg2 for {where} is not at hand, and this Python has no pip to fetch it with.",
                    "Run python -m ensurepip, or set functions.python and functions.architecture to this "
                    "machine's.",
                    ExitCode.ENVIRONMENT,
                )
            return ok(f"psycopg2 for {where} is not at hand; setup fetches it with pip.")
