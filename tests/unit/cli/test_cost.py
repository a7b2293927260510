"""`txnpipe cost`, and what setup and scale say of money."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path
from typing import Any

import pytest

from txnpipe.cli import main as program
from txnpipe.cli.environment import Environment
from txnpipe.errors import ExitCode

README = (Path(__file__).parents[3] / "README.md").read_text(encoding="utf-8")


def run(directory: Path, *arguments: str, **variables: str) -> tuple[int, str, str]:
    out, err = io.StringIO(), io.StringIO()
    environment = Environment(io.StringIO(), out, err, variables, directory)
    return program.run(arguments, environment), out.getvalue(), err.getvalue()


@pytest.fixture(autouse=True)
def _nothing_is_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise AssertionError("cost opened a target")

    monkeypatch.setattr("txnpipe.target.open_target", refuse)


def words(text: str) -> list[str]:
    return [" ".join(line.split()) for line in text.splitlines() if line.strip(" ─")]


def test_the_readme_shows_what_the_command_prints(tmp_path: Path) -> None:
    shown = re.search(r"^\$ txnpipe cost\n(.*?)^```", README, flags=re.MULTILINE | re.DOTALL)
    assert shown, "README.md shows no output of txnpipe cost"
    code, out, _ = run(tmp_path, "cost")
    assert code == ExitCode.OK
    printed = words(out)
    assert words(shown.group(1)) == printed[: len(words(shown.group(1)))], (
        "copy the new output of txnpipe cost"
    )


def test_the_readme_s_sum_in_a_sentence_is_the_computed_one(tmp_path: Path) -> None:
    document = json.loads(run(tmp_path, "cost", "--json")[1])
    standing = document["standing"]
    assert f"${standing['hour']:.2f} an hour, ${standing['month']:.0f} a month" in README


def test_local_costs_nothing_and_says_what_aws_would(tmp_path: Path) -> None:
    assert "On this machine it costs nothing." in run(tmp_path, "cost")[2]
    assert "costs nothing" not in run(tmp_path, "cost", "--target", "aws")[2]


def test_aws_needs_no_credentials(tmp_path: Path) -> None:
    code, out, _ = run(tmp_path, "cost", "--target", "aws", "--json", AWS_PROFILE="none-such")
    assert code == ExitCode.OK
    assert json.loads(out)["target"] == "aws"


def test_json_holds_every_line_and_the_sums(tmp_path: Path) -> None:
    document = json.loads(run(tmp_path, "cost", "--json", "--hours", "100")[1])
    assert (document["version"], document["kind"], document["hours"]) == (1, "cost", 100)
    assert sum(line["total"] for line in document["lines"]) == pytest.approx(document["together"]["total"])
    assert document["standing"]["hour"] * 100 == pytest.approx(document["standing"]["total"])


def test_own_prices_come_from_the_configuration(tmp_path: Path) -> None:
    (tmp_path / "txnpipe.yaml").write_text("prices: {kinesis_shard_hour: 1}\n")
    document = json.loads(run(tmp_path, "cost", "--json")[1])
    line = next(line for line in document["lines"] if line["item"] == "kinesis_shard_hour")
    assert (line["hour"], line["source"]) == (1, "configuration")


def test_no_traffic_is_no_traffic_lines(tmp_path: Path) -> None:
    out = run(tmp_path, "cost", "--records-per-second", "0")[1]
    assert "records a second" not in out
    assert "Assumed" not in out


@pytest.mark.parametrize("flags", [("--hours", "nan"), ("--hours", "-1"), ("--records-per-second", "inf")])
def test_what_is_no_amount_is_wrong_usage(tmp_path: Path, flags: tuple[str, str]) -> None:
    assert run(tmp_path, "cost", *flags)[0] == ExitCode.USAGE
