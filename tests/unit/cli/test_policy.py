"""`txnpipe policy`: what it prints, and that it needs nobody's answer for it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.unit.cli.test_frame import run
from txnpipe.errors import ExitCode
from txnpipe.operate.permissions import MANAGED_POLICY_CHARACTERS

ACCOUNT = "123456789012"


def test_stdout_is_a_policy_and_nothing_else(tmp_path: Path) -> None:
    result = run(tmp_path, "policy", "--account", ACCOUNT)
    document = json.loads(result.out)
    assert result.code == ExitCode.OK
    assert set(document) == {"Version", "Statement"}
    assert "--part 1" in result.err


def test_the_policy_is_of_the_pipeline_the_region_and_the_account_that_were_named(tmp_path: Path) -> None:
    arguments = ("--account", ACCOUNT, "--pipeline", "staging", "--region", "eu-west-1")
    statements = json.loads(run(tmp_path, "policy", *arguments).out)["Statement"]
    streams = next(each["Resource"] for each in statements if each["Sid"] == "Streams")
    assert streams == [
        f"arn:aws:kinesis:eu-west-1:{ACCOUNT}:stream/staging-TransactionStream",
        f"arn:aws:kinesis:eu-west-1:{ACCOUNT}:stream/staging-TransactionAlerts",
    ]


def test_the_parts_together_are_the_whole(tmp_path: Path) -> None:
    whole = json.loads(run(tmp_path, "policy", "--account", ACCOUNT).out)
    number, statements = 0, []
    while (
        result := run(tmp_path, "policy", "--account", ACCOUNT, "--part", str(number := number + 1))
    ).code == 0:
        assert len("".join(result.out.split())) <= MANAGED_POLICY_CHARACTERS
        statements += json.loads(result.out)["Statement"]
    assert result.code == ExitCode.USAGE
    assert statements == whole["Statement"]


def test_every_part_goes_into_a_file(tmp_path: Path) -> None:
    result = run(tmp_path, "policy", "--account", ACCOUNT, "--output", "policies")
    files = sorted((tmp_path / "policies").iterdir())
    parts = [
        json.loads(run(tmp_path, "policy", "--account", ACCOUNT, "--part", str(number)).out)
        for number in range(1, len(files) + 1)
    ]
    assert [file.name for file in files] == [f"txnpipe-default-{n}.json" for n in range(1, len(files) + 1)]
    assert [json.loads(file.read_text()) for file in files] == parts
    assert result.out == ""


def test_read_only_leaves_out_what_changes_something(tmp_path: Path) -> None:
    result = run(tmp_path, "policy", "--account", ACCOUNT, "--read-only", "--json")
    (document,) = json.loads(result.out)["documents"]
    actions = {action for each in document["Statement"] for action in each["Action"]}
    assert "kinesis:DescribeStreamSummary" in actions
    assert not {
        action for action in actions if action.partition(":")[2].startswith(("Create", "Delete", "Put"))
    }


@pytest.mark.parametrize("account", ["1234", "12345678901a", "١٢٣٤٥٦٧٨٩٠١٢"])
def test_what_is_no_account_id_is_refused(tmp_path: Path, account: str) -> None:
    result = run(tmp_path, "policy", "--account", account)
    assert (result.code, result.out) == (ExitCode.USAGE, "")


def test_the_local_cloud_needs_no_policy(tmp_path: Path) -> None:
    result = run(tmp_path, "policy")
    assert result.code == ExitCode.USAGE
    assert "--target aws" in result.err
