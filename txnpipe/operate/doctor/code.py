"""What the zips are made of: the Kinesis connector, and psycopg2 for the functions' platform."""

from __future__ import annotations

import importlib.util
import zipfile
from pathlib import Path

from txnpipe.aws import Target
from txnpipe.checks import Verdict, failed, ok, warning
from txnpipe.errors import ExitCode
from txnpipe.packaging.psycopg2_files import Origin, origin

CONNECTOR = "flink-sql-connector-aws-kinesis-streams"
_BUILT_FOR = {"FLINK-1": "-1.20", "FLINK-2": "-2.0"}
"""How a connector's version ends, for the runtimes that begin so."""
_FIX = f"Set analytics.connector_jar to the path of {CONNECTOR}-VERSION.jar from Maven Central."


def check_connector(jar: Path | None, runtime: str) -> Verdict:
    """Whether the connector is there, is a jar, and is built for the runtime, as far as its name tells."""
    if jar is None:
        return failed(
            "The analytics app needs Flink's Kinesis connector, and none is named.", _FIX, ExitCode.USAGE
        )
    if not jar.is_file():
        return failed(f"There is no Kinesis connector at {jar}.", _FIX, ExitCode.USAGE)
    if not zipfile.is_zipfile(jar):
        return failed(f"{jar} is no jar that can be read.", _FIX, ExitCode.USAGE)
    ending = next(ending for begin, ending in _BUILT_FOR.items() if runtime.startswith(begin))
    if not jar.stem.endswith(ending):
        return warning(
            f"The name of {jar} does not say that it is built for {runtime}.",
            f"Take a version of {CONNECTOR} that ends in {ending}, unless you know better.",
        )
    return ok(f"The Kinesis connector is {jar.name}.")


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
