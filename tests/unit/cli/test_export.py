"""`txnpipe export cloudformation`, the real program, in a shell that knows no account."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from txnpipe.errors import ExitCode
from txnpipe.target import STAND_IN_CONNECTOR, _machine_architecture


def run(directory: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "TXNPIPE_"))}
    return subprocess.run(
        [sys.executable, "-m", "txnpipe", "export", "cloudformation", *arguments],
        cwd=directory,
        env={**kept, **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_template_goes_to_standard_output_and_advice_beside_it(tmp_path: Path) -> None:
    # As in a shell that uses the local cloud: nobody is asked, so that endpoint does not matter.
    result = run(tmp_path, AWS_ENDPOINT_URL="http://127.0.0.1:4580")
    assert result.returncode == 0, result.stderr
    assert "StreamTransactionStream" in yaml.safe_load(result.stdout)["Resources"]
    assert "Not in the stack" in result.stderr
    assert "CAPABILITY_NAMED_IAM" in result.stderr
    assert "LoaderSha256=…" in result.stderr


def test_a_file_is_written_in_the_form_that_its_name_says(tmp_path: Path) -> None:
    assert run(tmp_path, "--output", "p.json").returncode == 0
    assert run(tmp_path, "--output", "p.txt", "--format", "yaml", "--quiet").stderr == ""
    as_json = json.loads((tmp_path / "p.json").read_text())
    assert as_json == yaml.safe_load((tmp_path / "p.txt").read_text())


def test_under_json_there_is_one_document(tmp_path: Path) -> None:
    document = json.loads(run(tmp_path, "--json").stdout)
    assert document["template"]["Resources"]
    assert document["missing"]
    assert json.loads(run(tmp_path, "--json", "--output", "p.yaml").stdout)["template"] is None


def test_zips_are_built_under_the_keys_that_the_template_expects(tmp_path: Path) -> None:
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    result = run(
        tmp_path,
        *("--with-code", "build", "--account", "123456789012", "--json"),
        *("--connector-jar", str(STAND_IN_CONNECTOR)),
        TXNPIPE_FUNCTIONS_PYTHON=version,
        TXNPIPE_FUNCTIONS_ARCHITECTURE=_machine_architecture(),
    )
    assert result.returncode == 0, result.stderr
    document = json.loads(result.stdout)
    parameters = document["template"]["Parameters"]
    files = sorted((tmp_path / "build" / "code").iterdir())
    assert len(files) == 3
    for file in files:
        zip_name, digest = file.stem.rsplit("-", 1)
        assert hashlib.sha256(file.read_bytes()).hexdigest() == digest
        assert parameters[f"{zip_name.capitalize()}Sha256"]["Default"] == digest
    (analytics,) = (file for file in files if file.name.startswith("analytics"))
    assert b"arn:aws:kinesis:us-east-1:123456789012:stream/TransactionStream" in analytics.read_bytes()


@pytest.mark.parametrize("account", [[], ["--account", "12"]])
def test_code_is_for_one_account(tmp_path: Path, account: list[str]) -> None:
    result = run(tmp_path, "--with-code", "build", *account)
    assert result.returncode == ExitCode.USAGE
    assert "--account" in result.stderr


def test_a_place_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    result = run(tmp_path, "--output", "nowhere/p.yaml")
    assert result.returncode == ExitCode.ENVIRONMENT
    assert "nowhere/p.yaml" in result.stderr
