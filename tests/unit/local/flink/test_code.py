"""What is in the application's zip, and how little it can do to the machine that unpacks it."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import pytest

from txnpipe.local.flink.code import RUN_OPTIONS, CodeError, location, read, run_options, split, unpack

OPTIONS = {"python": "main.py", "jarfile": "lib/connector.jar"}


def archive(**files: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as target:
        for name, text in files.items():
            target.writestr(name.replace("__", "/").replace("_dot_", "."), text)
    return buffer.getvalue()


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "code"


def test_statements_and_jar_are_found_where_the_run_options_say(target: Path) -> None:
    unpack(
        archive(
            main_dot_py="pass", statements_dot_sql="SET 'a' = 'b';\nSELECT 1;\n", lib__connector_dot_jar="j"
        ),
        target,
    )
    code = read(OPTIONS, target)
    assert code.statements == ("SET 'a' = 'b'", "SELECT 1")
    assert code.jar == target / "lib" / "connector.jar"
    assert read({"python": "main.py"}, target).jar is None


def test_a_semicolon_within_a_line_ends_nothing() -> None:
    assert split("SELECT ';' || 'x';  \nSELECT 2;") == ("SELECT ';' || 'x'", "SELECT 2")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "no `python`"),
        ({"python": "other.py"}, "no file other.py"),
        ({"python": "../main.py"}, "no file"),
        ({"python": "/etc/passwd"}, "no file"),
        ({"python": "main.py", "jarfile": "missing.jar"}, "no file missing.jar"),
    ],
)
def test_files_that_are_not_in_the_zip_are_named(target: Path, options: dict[str, str], message: str) -> None:
    unpack(archive(main_dot_py="pass", statements_dot_sql="SELECT 1;"), target)
    with pytest.raises(CodeError, match=message):
        read(options, target)


def test_a_program_without_statements_cannot_run_here(target: Path) -> None:
    unpack(archive(main_dot_py="pass"), target)
    with pytest.raises(CodeError, match=r"no statements\.sql"):
        read({"python": "main.py"}, target)


def test_what_is_no_zip_is_refused_and_what_was_there_is_gone(target: Path) -> None:
    unpack(archive(main_dot_py="pass"), target)
    with pytest.raises(CodeError, match="not a zip"):
        unpack(b"no zip", target)
    assert list(target.iterdir()) == []


def test_nothing_is_unpacked_outside_its_directory(target: Path) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as evil:
        evil.writestr("../outside.txt", "x")
        evil.writestr("/absolute.txt", "x")
    unpack(buffer.getvalue(), target)
    assert not (target.parent / "outside.txt").exists()
    assert not Path("/absolute.txt").exists()


def test_location_and_run_options_come_from_the_configuration() -> None:
    s3 = {"BucketARN": "arn:aws:s3:::b", "FileKey": "k"}
    configuration = {
        "ApplicationCodeConfiguration": {"CodeContent": {"S3ContentLocation": s3}},
        "EnvironmentProperties": {
            "PropertyGroups": [{"PropertyGroupId": RUN_OPTIONS, "PropertyMap": {"python": "main.py"}}]
        },
    }
    assert location(configuration) == ("b", "k", None)
    assert run_options(configuration) == {"python": "main.py"}
    with pytest.raises(CodeError):
        location({})
    with pytest.raises(CodeError, match="is missing"):
        run_options({})
