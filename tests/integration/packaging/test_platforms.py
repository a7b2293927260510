"""The loader's zip for every platform of Lambda, built here with the wheels that the index really has."""

from __future__ import annotations

import io
import os
import shutil
import stat
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import txnpipe
from tests.integration.packaging import elf
from txnpipe.aws import FunctionPlatform
from txnpipe.errors import TxnpipeError
from txnpipe.packaging.artifact import Artifact
from txnpipe.packaging.lambda_zip import build_loader
from txnpipe.packaging.psycopg2_files import newest_glibc
from txnpipe.resources.function import MAXIMUM_ZIP_BYTES

PLATFORMS = [
    FunctionPlatform(python, architecture)
    for python in ("3.13", "3.14")
    for architecture in ("x86_64", "arm64")
]
MACHINES = {"x86_64": "x86_64", "arm64": "aarch64"}
UNPACKED_BYTES = 250 * 1024 * 1024
"""Lambda quotas: deployment package, unzipped."""
OF_LINUX = {
    "libz.so.1",  # auditwheel leaves it out of wheels: every manylinux system has it
    *("libc.so.6", "libm.so.6", "libdl.so.2", "libpthread.so.0", "librt.so.1", "libresolv.so.2"),
    *("ld-linux-x86-64.so.2", "ld-linux-aarch64.so.1"),
}


@pytest.fixture(scope="module")
def wheels(request: pytest.FixtureRequest) -> Path:
    """A cache of wheels that outlives the run."""
    assert request.config.cache is not None
    return request.config.cache.mkdir("wheels")


def built(platform: FunctionPlatform, wheels: Path) -> Artifact:
    """The zip; the test is skipped where no package index can be reached."""
    try:
        return build_loader(platform, cache=wheels)
    except TxnpipeError:
        asking = [sys.executable, "-m", "pip", "index", "versions", "--retries", "1", "psycopg2-binary"]
        if subprocess.run(asking, check=False, capture_output=True).returncode != 0:
            pytest.skip("no package index can be reached")
        raise


def entries(artifact: Artifact) -> list[zipfile.ZipInfo]:
    with zipfile.ZipFile(io.BytesIO(artifact.content)) as archive:
        assert archive.testzip() is None
        return archive.infolist()


def shared_objects(artifact: Artifact) -> dict[str, elf.SharedObject]:
    """Path in the zip → what it is."""
    with zipfile.ZipFile(io.BytesIO(artifact.content)) as archive:
        names = [name for name in archive.namelist() if ".so" in Path(name).name]
        return {name: elf.read(archive.read(name)) for name in names}


@pytest.fixture(params=PLATFORMS, ids=lambda each: f"{each.python}-{each.architecture}", scope="module")
def platform(request: pytest.FixtureRequest) -> FunctionPlatform:
    found: FunctionPlatform = request.param
    return found


@pytest.fixture(scope="module")
def artifact(platform: FunctionPlatform, wheels: Path) -> Artifact:
    return built(platform, wheels)


def test_the_module_is_for_this_python_and_processor(platform: FunctionPlatform, artifact: Artifact) -> None:
    tag = f"cpython-{platform.python.replace('.', '')}-{MACHINES[platform.architecture]}-linux-gnu"
    modules = [name for name in shared_objects(artifact) if name.startswith("psycopg2/")]
    assert modules == [f"psycopg2/_psycopg.{tag}.so"]


def test_everything_compiled_loads_on_lambdas_linux(platform: FunctionPlatform, artifact: Artifact) -> None:
    found = shared_objects(artifact)
    assert len(found) > 5
    assert {each.machine for each in found.values()} == {platform.architecture}
    too_new = {name for name, each in found.items() if each.newest_glibc > newest_glibc(platform.python)}
    assert too_new == set()
    assert max(each.newest_glibc for each in found.values()) > 0, "the parser found something"


def test_every_library_is_in_the_zip_or_on_every_linux(artifact: Artifact) -> None:
    found = shared_objects(artifact)
    needed = {library for each in found.values() for library in each.libraries}
    assert needed - OF_LINUX - {Path(name).name for name in found} == set()


def test_lambdas_user_may_read_every_file_and_it_fits(artifact: Artifact) -> None:
    assert len(artifact.content) < MAXIMUM_ZIP_BYTES
    assert sum(entry.file_size for entry in entries(artifact)) < UNPACKED_BYTES
    for entry in entries(artifact):
        mode = entry.external_attr >> 16
        assert stat.S_ISREG(mode), entry.filename
        assert mode & 0o444 == 0o444, entry.filename
        assert mode & 0o022 == 0, entry.filename
        assert "\\" not in entry.filename
        assert not entry.filename.startswith("/")


def test_the_cached_wheel_names_the_platform(platform: FunctionPlatform, wheels: Path) -> None:
    built(platform, wheels)
    python = f"cp{platform.python.replace('.', '')}"
    machine = MACHINES[platform.architecture]
    names = [wheel.name for wheel in wheels.glob(f"psycopg2_binary-*-{python}-{python}-*_{machine}.whl")]
    assert names, sorted(wheels.iterdir())


BUILD = """
import sys
from pathlib import Path
from txnpipe.aws import FunctionPlatform
from txnpipe.packaging import lambda_zip
assert lambda_zip.__file__.startswith(sys.argv[1]), lambda_zip.__file__
platform = FunctionPlatform("3.13", "arm64")
print(lambda_zip.build_loader(platform, cache=Path(sys.argv[2])).sha256)
print(lambda_zip.build_notifier(platform).sha256)
"""


def copied(source: Path, target: Path, *, backwards: bool, mtime: int, mode: int) -> Path:
    """A copy whose files were made in this order, at this time, with this mode."""
    for path in sorted(source.rglob("*"), reverse=backwards):
        if path.is_file() and "__pycache__" not in path.parts:
            copy = target / path.relative_to(source)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, copy)
            copy.chmod(mode)
            os.utime(copy, (mtime, mtime))
    return target


def test_another_machine_another_day_gives_the_same_bytes(wheels: Path, tmp_path: Path) -> None:
    built(FunctionPlatform("3.13", "arm64"), wheels)  # fetches, or skips
    source = Path(txnpipe.__file__).parent
    machines = (
        ("here", False, 1_700_000_000, 0o644, 0o022, {"TZ": "UTC", "PYTHONHASHSEED": "1"}),
        (
            "there",
            True,
            1_000_000_001,
            0o600,
            0o077,
            {"TZ": "Pacific/Kiritimati", "PYTHONHASHSEED": "2", "SOURCE_DATE_EPOCH": "1", "LC_ALL": "C"},
        ),
    )
    answers = set()
    for name, backwards, mtime, mode, umask, environment in machines:
        root = tmp_path / name
        copied(source, root / "txnpipe", backwards=backwards, mtime=mtime, mode=mode)
        cache = copied(wheels, root / "wheels", backwards=backwards, mtime=mtime, mode=mode)
        result = subprocess.run(
            [sys.executable, "-c", BUILD, str(root), str(cache)],
            env={**os.environ, "PYTHONPATH": str(root), **environment},
            cwd=root,
            check=False,
            capture_output=True,
            text=True,
            umask=umask,
        )
        assert result.returncode == 0, result.stderr
        answers.add(result.stdout)
    assert len(answers) == 1
