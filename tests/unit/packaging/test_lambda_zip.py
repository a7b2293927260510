"""The functions' zips: what is in them, and where psycopg2 comes from."""

from __future__ import annotations

import importlib.metadata
import io
import os
import platform
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from txnpipe.aws import FunctionPlatform
from txnpipe.errors import ExitCode, TxnpipeError
from txnpipe.packaging import psycopg2_files as module
from txnpipe.packaging.artifact import Artifact
from txnpipe.packaging.lambda_zip import build_loader, build_notifier
from txnpipe.packaging.psycopg2_files import pip_download, psycopg2_files

VERSION = importlib.metadata.version("psycopg2-binary")
HERE = FunctionPlatform(
    f"{sys.version_info.major}.{sys.version_info.minor}",
    "arm64" if platform.machine() in {"arm64", "aarch64"} else "x86_64",
    this_machine=True,
)
ELSEWHERE = FunctionPlatform("3.13" if HERE.python != "3.13" else "3.12", "arm64")
TAG = "cp313" if HERE.python != "3.13" else "cp312"


def names(artifact: Artifact) -> list[str]:
    with zipfile.ZipFile(io.BytesIO(artifact.content)) as archive:
        return archive.namelist()


def unpacked(artifact: Artifact, directory: Path) -> Path:
    with zipfile.ZipFile(io.BytesIO(artifact.content)) as archive:
        archive.extractall(directory)
    return directory


def fake_wheel(directory: Path, tags: str, version: str = VERSION) -> Path:
    directory.mkdir(parents=True, exist_ok=True)
    wheel = directory / f"psycopg2_binary-{version}-{TAG}-{TAG}-{tags}.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("psycopg2/__init__.py", "")
        archive.writestr(f"psycopg2/_psycopg.{TAG}.so", "elsewhere")
        archive.writestr("psycopg2_binary.libs/libpq.so.5", "library")
        archive.writestr("psycopg2_binary-1.dist-info/METADATA", "noise")
        archive.writestr("psycopg2/../../outside.py", "evil")
    return wheel


class FakePip:
    """Stands in for pip: makes a wheel with these tags, or none."""

    def __init__(self, tags: str | None) -> None:
        self.tags = tags
        self.calls: list[list[str]] = []

    def __call__(self, arguments: list[str]) -> None:
        self.calls.append(arguments)
        (destination,) = [argument for argument in arguments if argument.startswith("--dest=")]
        if self.tags:
            fake_wheel(Path(destination.removeprefix("--dest=")), self.tags)


@pytest.mark.parametrize("build", [build_loader, build_notifier])
def test_two_builds_are_equal(build: Callable[[FunctionPlatform], Artifact]) -> None:
    assert build(HERE) == build(HERE)
    assert build(HERE).content == build(HERE).content


def test_the_notifier_is_the_same_for_every_platform() -> None:
    assert build_notifier(HERE) == build_notifier(ELSEWHERE)


def test_zips_hold_what_is_needed_and_nothing_else() -> None:
    own = [name for name in names(build_loader(HERE)) if name.startswith("txnpipe/")]
    assert own == [
        "txnpipe/__init__.py",
        "txnpipe/functions/__init__.py",
        "txnpipe/functions/alerts.py",
        "txnpipe/functions/loader/__init__.py",
        "txnpipe/functions/loader/connection.py",
        "txnpipe/functions/loader/decode.py",
        "txnpipe/functions/loader/entry.py",
        "txnpipe/functions/loader/insert.py",
        "txnpipe/functions/loader/loader.py",
        "txnpipe/functions/loader/settle.py",
        "txnpipe/functions/loader/sql.py",
        "txnpipe/functions/loader/store.py",
        "txnpipe/functions/log.py",
        "txnpipe/functions/metrics.py",
        "txnpipe/functions/records.py",
        "txnpipe/transactions.py",
    ]
    others = [name for name in names(build_loader(HERE)) if not name.startswith("txnpipe/")]
    assert {name.partition("/")[0] for name in others} <= {"psycopg2", "psycopg2_binary.libs"}
    assert not any("__pycache__" in name or name.endswith(".pyc") for name in others)
    assert {name.partition("/")[0] for name in names(build_notifier(HERE))} == {"txnpipe"}


@pytest.mark.parametrize("function", ["loader", "notifier"])
def test_the_handler_imports_with_nothing_but_the_zip_and_the_standard_library(
    function: str, tmp_path: Path
) -> None:
    build = {"loader": build_loader, "notifier": build_notifier}[function]
    directory = unpacked(build(HERE), tmp_path)
    program = (
        f"import sys; sys.path.insert(0, {str(directory)!r})\n"
        f"from txnpipe.functions.{function} import handler\n"
        "assert callable(handler)\n"
        "origins = {m.__file__ for n, m in sys.modules.items() if n.startswith(('txnpipe', 'psycopg2'))}\n"
        f"assert all(o.startswith({str(directory)!r}) for o in origins), origins\n"
        "assert 'boto3' not in sys.modules\n"
    )
    result = subprocess.run(
        [sys.executable, "-I", "-S", "-c", program], check=False, capture_output=True, text=True, cwd=tmp_path
    )
    assert result.returncode == 0, result.stderr


def test_times_and_modes_of_the_sources_do_not_show(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import txnpipe.packaging.lambda_zip as lambda_zip

    expected = build_notifier(HERE)
    package = unpacked(expected, tmp_path) / "txnpipe"
    for path in package.rglob("*.py"):
        os.utime(path, (1_000_000_000, 1_000_000_000))
        path.chmod(0o700)
    (package / "functions" / "notifier" / "__pycache__").mkdir()
    (package / "functions" / "notifier" / "__pycache__" / "entry.cpython-311.pyc").write_bytes(b"x")
    monkeypatch.setattr(lambda_zip, "_PACKAGE", package)
    assert build_notifier(HERE) == expected


def test_psycopg2_of_this_interpreter_is_copied(tmp_path: Path) -> None:
    pip = FakePip(None)
    files = psycopg2_files(HERE, cache=tmp_path, download=pip)
    assert pip.calls == []
    import psycopg2

    assert files["psycopg2/__init__.py"] == Path(psycopg2.__file__).read_bytes()


def test_psycopg2_for_another_platform_is_fetched_once(tmp_path: Path) -> None:
    pip = FakePip("manylinux_2_27_aarch64.manylinux_2_28_aarch64")
    for _ in range(2):
        assert psycopg2_files(ELSEWHERE, cache=tmp_path / "wheels", download=pip) == {
            "psycopg2/__init__.py": b"",
            f"psycopg2/_psycopg.{TAG}.so": b"elsewhere",
            "psycopg2_binary.libs/libpq.so.5": b"library",
        }
    (arguments,) = pip.calls
    assert f"psycopg2-binary=={VERSION}" in arguments
    assert "--only-binary=:all:" in arguments
    assert f"--python-version={ELSEWHERE.python}" in arguments
    assert "--platform=manylinux2014_aarch64" in arguments
    assert "--platform=manylinux_2_34_aarch64" in arguments
    assert "--platform=manylinux_2_35_aarch64" not in arguments
    assert len(list((tmp_path / "wheels").iterdir())) == 1


@pytest.mark.parametrize(
    "tags",
    [
        "manylinux_2_35_aarch64",
        "musllinux_1_2_aarch64",
        "manylinux2014_x86_64",
        "macosx_14_0_arm64",
        "linux_aarch64",
    ],
)
def test_a_wheel_that_would_not_load_on_lambda_is_refused(tags: str, tmp_path: Path) -> None:
    fake_wheel(tmp_path, tags)
    with pytest.raises(TxnpipeError, match="runs on Lambda's Python") as caught:
        psycopg2_files(ELSEWHERE, cache=tmp_path, download=FakePip(tags))
    assert caught.value.exit_code is ExitCode.ENVIRONMENT


def test_a_cached_wheel_of_another_version_is_not_used(tmp_path: Path) -> None:
    fake_wheel(tmp_path, "manylinux2014_aarch64", version="2.0.0")
    pip = FakePip("manylinux2014_aarch64")
    psycopg2_files(ELSEWHERE, cache=tmp_path, download=pip)
    assert len(pip.calls) == 1


def test_a_wheel_built_on_this_machine_is_good_for_this_machine_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_installed_tags", lambda installed: ["linux_x86_64", "linux_aarch64"])
    pip = FakePip(None)
    assert psycopg2_files(HERE, cache=tmp_path, download=pip)
    assert pip.calls == []
    on_lambda = FunctionPlatform(HERE.python, HERE.architecture)
    with pytest.raises(TxnpipeError):
        psycopg2_files(on_lambda, cache=tmp_path, download=pip)
    assert len(pip.calls) == 1


def test_a_damaged_wheel_is_named(tmp_path: Path) -> None:
    wheel = fake_wheel(tmp_path, "manylinux2014_aarch64")
    wheel.write_bytes(wheel.read_bytes()[:100])
    with pytest.raises(TxnpipeError, match=wheel.name) as caught:
        psycopg2_files(ELSEWHERE, cache=tmp_path, download=FakePip(None))
    assert "Delete it" in caught.value.fix


def test_a_missing_distribution_is_said_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "DISTRIBUTION", "psycopg2-of-nobody")
    with pytest.raises(TxnpipeError, match="not installed") as caught:
        psycopg2_files(HERE)
    assert "pip install" in caught.value.fix


def test_a_cache_that_cannot_be_written_is_said_so(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(TxnpipeError, match="cannot be written"):
        psycopg2_files(ELSEWHERE, cache=tmp_path / "file" / "wheels", download=FakePip("x"))


@pytest.mark.parametrize(
    ("stderr", "cause", "fix"),
    [
        ("/usr/bin/python: No module named pip", "has no pip", "ensurepip"),
        (
            "ERROR: Could not find it\nERROR: No matching distribution found for x",
            "No matching distribution",
            "3.13",
        ),
        ("", "gave no reason", "network"),
    ],
)
def test_what_keeps_pip_from_fetching_is_said(
    stderr: str, cause: str, fix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(command: list[str], **options: object) -> subprocess.CompletedProcess[str]:
        assert command[:4] == [sys.executable, "-m", "pip", "download"]
        return subprocess.CompletedProcess(command, 1, "", stderr)

    monkeypatch.setattr(subprocess, "run", run)
    with pytest.raises(TxnpipeError, match=cause) as caught:
        pip_download(["x"])
    assert fix in caught.value.fix
    assert caught.value.exit_code is ExitCode.ENVIRONMENT
