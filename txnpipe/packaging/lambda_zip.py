"""Builds the zips of the two functions.

A zip keeps the package's paths, so that `txnpipe.functions.loader.handler` is a handler's name inside and
outside of Lambda. It holds the function, what the functions share, the event contract and, for the loader,
psycopg2 for the function's platform; boto3 comes with the runtime.
"""

from __future__ import annotations

from pathlib import Path

from txnpipe.aws import FunctionPlatform
from txnpipe.packaging.artifact import Artifact, zip_bytes
from txnpipe.packaging.psycopg2_files import Download, pip_download, psycopg2_files

_PACKAGE = Path(__file__).parent.parent
_SHARED = (
    "__init__.py",
    "transactions.py",
    "functions/__init__.py",
    "functions/alerts.py",
    "functions/log.py",
    "functions/metrics.py",
    "functions/records.py",
)


def build_loader(
    platform: FunctionPlatform, *, cache: Path | None = None, download: Download = pip_download
) -> Artifact:
    """The loader's zip; handler `txnpipe.functions.loader.handler`.

    cache: where fetched wheels are kept; the user's cache directory by default.
    Raises TxnpipeError (ENVIRONMENT) when psycopg2 for the platform is not to be had.
    """
    files = _sources("loader") | psycopg2_files(platform, cache=cache, download=download)
    return Artifact.of("loader.zip", zip_bytes(files))


def build_notifier(platform: FunctionPlatform) -> Artifact:  # noqa: ARG001 - as build_loader; it is pure Python
    """The notifier's zip; handler `txnpipe.functions.notifier.handler`."""
    return Artifact.of("notifier.zip", zip_bytes(_sources("notifier")))


def _sources(function: str) -> dict[str, bytes]:
    own = sorted((_PACKAGE / "functions" / function).glob("*.py"))
    paths = [*(_PACKAGE / name for name in _SHARED), *own]
    return {f"txnpipe/{path.relative_to(_PACKAGE).as_posix()}": path.read_bytes() for path in paths}
