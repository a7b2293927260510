"""What the managed Python runtime brings beside the standard library: the runtime client and boto3.

A directory of links to just these packages is the only thing of the daemon's environment that a worker can
import, so a dependency missing in a function's zip is missing here too.
"""

from __future__ import annotations

import importlib.util
import re
import shutil
import sys
from pathlib import Path

RUNTIME_PACKAGES = (
    "awslambdaric",
    "runtime_client",
    "snapshot_restore_py",
    "simplejson",
    "boto3",
    "botocore",
    "s3transfer",
    "jmespath",
    "dateutil",
    "six",
    "urllib3",
)


def link_runtime_packages(directory: Path) -> None:
    """Makes `directory` anew. Packages that are not installed are left out."""
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True, mode=0o700)
    for name in RUNTIME_PACKAGES:
        spec = importlib.util.find_spec(name)
        if spec is not None and spec.origin is not None:
            origin = Path(spec.origin)
            source = origin.parent if spec.submodule_search_locations else origin
            (directory / source.name).symlink_to(source)


def find_python(runtime: str) -> Path | None:
    """The interpreter for "python3.13"; None where this machine has none."""
    if runtime == f"python{sys.version_info.major}.{sys.version_info.minor}":
        return Path(sys.executable)
    found = shutil.which(runtime) if re.fullmatch(r"python3\.\d+", runtime) else None
    return Path(found) if found else None
