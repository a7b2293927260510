"""psycopg2 for a function's platform: its modules and the libraries that its wheel brings.

Where the function runs on an interpreter like this one, the installed distribution is copied. Otherwise pip
fetches the wheel of the same version, once, into a cache. Both give the same files.

Lambda's Python up to 3.11 runs on Amazon Linux 2 (glibc 2.26), a later one on Amazon Linux 2023 (glibc 2.34;
https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtimes.html). A wheel for a newer glibc would not load.
"""

from __future__ import annotations

import importlib.metadata
import platform as this_machine
import re
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterable
from enum import StrEnum
from pathlib import Path

import platformdirs

from txnpipe.aws import FunctionPlatform
from txnpipe.errors import ExitCode, TxnpipeError

DISTRIBUTION = "psycopg2-binary"
DOWNLOAD_TIMEOUT_S = 180

Download = Callable[[list[str]], None]
"""Runs `pip download` with these arguments. Raises TxnpipeError."""

_DIRECTORIES = ("psycopg2/", "psycopg2_binary.libs/")
_MACHINES = {"x86_64": "x86_64", "arm64": "aarch64"}
_LEGACY_TAGS = {"manylinux1": 5, "manylinux2010": 12, "manylinux2014": 17}
_WHEEL = re.compile(
    r"psycopg2_binary-(?P<version>[^-]+)-(?P<python>cp\d+)-(?P<abi>[^-]+)-(?P<tags>[^-]+)\.whl"
)


def psycopg2_files(
    platform: FunctionPlatform, *, cache: Path | None = None, download: Download | None = None
) -> dict[str, bytes]:
    """Path → content. Raises TxnpipeError (ENVIRONMENT) when it is neither installed nor to be fetched."""
    installed = _distribution()
    if _serves(installed, platform):
        return _installed_files(installed)
    directory = cache or _wheels()
    wheel = _cached(directory, installed.version, platform)
    if wheel is None:
        wheel = _fetched(directory, installed.version, platform, download or pip_download)
    return _wheel_files(wheel)


class Origin(StrEnum):
    """Where the files come from."""

    INSTALLED = "installed"
    CACHED = "cached"
    TO_BE_FETCHED = "to be fetched"


def origin(platform: FunctionPlatform, *, cache: Path | None = None) -> Origin:
    """Where `psycopg2_files` will take them from; fetches nothing. Raises ENVIRONMENT as it does."""
    installed = _distribution()
    if _serves(installed, platform):
        return Origin.INSTALLED
    cached = _cached(cache or _wheels(), installed.version, platform)
    return Origin.CACHED if cached else Origin.TO_BE_FETCHED


def _distribution() -> importlib.metadata.Distribution:
    try:
        return importlib.metadata.distribution(DISTRIBUTION)
    except importlib.metadata.PackageNotFoundError:
        raise TxnpipeError(
            f"The package {DISTRIBUTION} is not installed, and the loader's zip needs it.",
            f"Install it: pip install {DISTRIBUTION}.",
            ExitCode.ENVIRONMENT,
        ) from None


def _serves(installed: importlib.metadata.Distribution, platform: FunctionPlatform) -> bool:
    """Whether the installed distribution is the one for a platform."""
    return _is_like_this_interpreter(platform) and (
        platform.this_machine or _runs_on_lambda(_installed_tags(installed), platform)
    )


def _wheels() -> Path:
    return platformdirs.user_cache_path("txnpipe") / "wheels"


def pip_download(arguments: list[str]) -> None:
    """Runs this interpreter's pip. Raises TxnpipeError (ENVIRONMENT) when there is none or it fails."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", *arguments]
    try:
        result = subprocess.run(
            command,
            check=False,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=DOWNLOAD_TIMEOUT_S,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise TxnpipeError(
            f"pip did not fetch {DISTRIBUTION}: {error}.",
            "Check the network, then run the same command again.",
            ExitCode.ENVIRONMENT,
        ) from error
    if result.returncode == 0:
        return
    if "No module named pip" in result.stderr:
        raise TxnpipeError(
            "This Python has no pip to fetch psycopg2 with for the functions' platform.",
            f"Install it: {sys.executable} -m ensurepip. "
            "Or set functions.python and functions.architecture to this machine's.",
            ExitCode.ENVIRONMENT,
        )
    lines = [line.removeprefix("ERROR: ") for line in result.stderr.splitlines() if line.startswith("ERROR")]
    raise TxnpipeError(
        f"pip could not fetch {DISTRIBUTION} for the functions' platform: "
        f"{lines[-1] if lines else 'it gave no reason'}.",
        "Check the network and the package index, or set functions.python and functions.architecture to "
        "a platform that the package has a wheel for (3.13 has).",
        ExitCode.ENVIRONMENT,
        details=tuple(lines[:-1]),
    )


def newest_glibc(python: str) -> int:
    """The minor version of Lambda's glibc 2.x under a Python version."""
    return 34 if _minor(python) >= 12 else 26


def _minor(python: str) -> int:
    return int(python.partition(".")[2])


def _is_like_this_interpreter(platform: FunctionPlatform) -> bool:
    machine = this_machine.machine().lower()
    architecture = "arm64" if machine in {"arm64", "aarch64"} else "x86_64" if machine == "amd64" else machine
    ours = (f"{sys.version_info.major}.{sys.version_info.minor}", architecture)
    return (platform.python, platform.architecture) == ours


def _installed_tags(installed: importlib.metadata.Distribution) -> list[str]:
    """Platform tags of the wheel that was installed; "linux_x86_64" for one built here."""
    lines = (installed.read_text("WHEEL") or "").splitlines()
    return [line.rpartition("-")[2] for line in lines if line.startswith("Tag: ")]


def _runs_on_lambda(tags: Iterable[str], platform: FunctionPlatform) -> bool:
    machine = _MACHINES[platform.architecture]
    for tag in tags:
        name = tag.removesuffix(f"_{machine}")
        if name == tag:
            continue
        minor = _LEGACY_TAGS.get(name)
        if minor is None and (modern := re.fullmatch(r"manylinux_2_(\d+)", name)):
            minor = int(modern[1])
        if minor is not None and minor <= newest_glibc(platform.python):
            return True
    return False


def _installed_files(installed: importlib.metadata.Distribution) -> dict[str, bytes]:
    files = {}
    for entry in installed.files or ():
        path = entry.as_posix()
        if _belongs(path):
            files[path] = Path(str(entry.locate())).read_bytes()
    return _checked(files, f"the installed {DISTRIBUTION}")


def _wheel_files(wheel: Path) -> dict[str, bytes]:
    try:
        with zipfile.ZipFile(wheel) as archive:
            files = {name: archive.read(name) for name in archive.namelist() if _belongs(name)}
    except (OSError, zipfile.BadZipFile) as error:
        raise TxnpipeError(
            f"The wheel {wheel} cannot be read: {error}.",
            "Delete it, then run the same command again.",
            ExitCode.ENVIRONMENT,
        ) from error
    return _checked(files, str(wheel))


def _belongs(path: str) -> bool:
    # The prefix also keeps out any path that leads elsewhere; only psycopg2 itself compiles to __pycache__.
    return path.startswith(_DIRECTORIES) and ".." not in path and not path.endswith((".pyc", "/"))


def _checked(files: dict[str, bytes], origin: str) -> dict[str, bytes]:
    if "psycopg2/__init__.py" not in files or not any("_psycopg" in path for path in files):
        raise TxnpipeError(
            f"There is no psycopg2 in {origin}.",
            f"Install it anew: pip install --force-reinstall {DISTRIBUTION}.",
            ExitCode.ENVIRONMENT,
        )
    return files


def _cached(directory: Path, version: str, platform: FunctionPlatform) -> Path | None:
    """A wheel in a directory that is of this version and loads on this platform."""
    wanted = f"cp3{_minor(platform.python)}"
    for wheel in sorted(directory.glob("psycopg2_binary-*.whl")):
        name = _WHEEL.fullmatch(wheel.name)
        if (
            name
            and (name["version"], name["python"], name["abi"]) == (version, wanted, wanted)
            and _runs_on_lambda(name["tags"].split("."), platform)
        ):
            return wheel
    return None


def _fetched(directory: Path, version: str, platform: FunctionPlatform, download: Download) -> Path:
    machine = _MACHINES[platform.architecture]
    tags = [f"manylinux_2_{minor}_{machine}" for minor in range(newest_glibc(platform.python), 16, -1)]
    try:
        directory.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="download-", dir=directory) as workshop:
            download(
                [
                    f"{DISTRIBUTION}=={version}",
                    "--no-deps",
                    "--only-binary=:all:",
                    "--implementation=cp",
                    f"--python-version={platform.python}",
                    *[f"--platform={tag}" for tag in [*tags, f"manylinux2014_{machine}"]],
                    f"--dest={workshop}",
                ]
            )
            wheel = _cached(Path(workshop), version, platform)
            if wheel is None:
                raise TxnpipeError(
                    f"pip fetched no {DISTRIBUTION} {version} that runs on Lambda's Python {platform.python} "
                    f"({platform.architecture}).",
                    "Set functions.python and functions.architecture to another platform, such as 3.13.",
                    ExitCode.ENVIRONMENT,
                )
            return wheel.replace(directory / wheel.name)
    except OSError as error:
        raise TxnpipeError(
            f"The cache {directory} cannot be written: {error.strerror}.",
            "Make room in it or make it writable, then run the same command again.",
            ExitCode.ENVIRONMENT,
        ) from error
