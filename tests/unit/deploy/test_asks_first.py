"""Where changes cost money, a command says how much before it makes the first one."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest

from tests.unit.deploy.remote import Remote, settings_of
from txnpipe.cli import main as program
from txnpipe.cli.environment import Environment
from txnpipe.cli.frame import Invocation
from txnpipe.errors import ExitCode
from txnpipe.operate.cost.estimate import estimate
from txnpipe.operate.cost.prices import HOURS_PER_MONTH


def standing(shards: int) -> float:
    """What the default pipeline costs a month with so many shards."""
    return float(estimate(settings_of(), shards=shards).total(HOURS_PER_MONTH, "standing"))


def monthly(shards: int) -> str:
    """The same as it is told."""
    return f"${standing(shards):.0f} a month"


MONTHLY = monthly(1)


class Terminal(io.StringIO):
    """A stream that a person sits at."""

    def isatty(self) -> bool:
        return True


def run(
    remote: Remote,
    directory: Path,
    monkeypatch: pytest.MonkeyPatch,
    *arguments: str,
    answer: str | None = None,
) -> tuple[int, str, str]:
    """Runs a command on the in-memory account. answer: what a person types; None where there is none."""
    monkeypatch.setattr(Invocation, "target", remote.target)
    monkeypatch.setattr("txnpipe.cli.deployment.pipeline_graph", lambda run: remote.graph(run.settings))
    monkeypatch.setattr("txnpipe.deploy.apply.lock_of", remote.lock)
    made = io.StringIO if answer is None else Terminal
    streams = made(answer or ""), io.StringIO(), made()
    environment = Environment(*streams, {"COLUMNS": "200"}, directory)
    code = program.run(arguments, environment)
    return code, streams[1].getvalue(), streams[2].getvalue()


@pytest.fixture
def in_place(remote: Remote) -> Remote:
    """An account with the default pipeline."""
    remote.setup(settings_of())
    remote.recorder.taken.clear()
    return remote


def test_setup_shows_plan_and_cost_and_changes_nothing_unasked(
    remote: Remote, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code, _, err = run(remote, tmp_path, monkeypatch, "setup")
    assert code == ExitCode.REFUSED
    assert err.index("create  stream TransactionStream") < err.index(MONTHLY)
    assert err.index(MONTHLY) < err.index("error: ")
    assert remote.recorder.changes == []


@pytest.mark.parametrize("answer", ["n\n", "\n", ""])
def test_setup_asks_after_the_cost_and_takes_only_yes(
    remote: Remote, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: str
) -> None:
    code, _, err = run(remote, tmp_path, monkeypatch, "setup", answer=answer)
    assert code == ExitCode.REFUSED
    assert err.index(MONTHLY) < err.index("Change account 123456789012, region us-east-1?")
    assert remote.recorder.changes == []


def test_with_yes_the_cost_is_shown_all_the_same(
    remote: Remote, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code, out, err = run(remote, tmp_path, monkeypatch, "setup", "--yes", "--json")
    assert code == ExitCode.OK
    assert err.index(MONTHLY) < err.index("1/")
    assert json.loads(out)["cost"]["month"] == pytest.approx(standing(1))


def test_setup_counts_the_shards_that_the_stream_really_has(
    in_place: Remote, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_place.target.client("kinesis").update_shard_count(
        StreamName="TransactionStream", TargetShardCount=2, ScalingType="UNIFORM_SCALING"
    )
    _, out, err = run(in_place, tmp_path, monkeypatch, "setup", "--yes", "--json")
    assert monthly(2) in err
    assert json.loads(out)["cost"]["month"] == pytest.approx(standing(1) + 10.95)


def test_a_price_that_is_none_stops_setup_before_it_changes_anything(
    remote: Remote, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "txnpipe.yaml").write_text("prices: {shard: 1}\n")
    code, _, _ = run(remote, tmp_path, monkeypatch, "setup", "--yes")
    assert (code, remote.recorder.changes) == (ExitCode.USAGE, [])


def test_scale_says_what_the_change_costs_and_asks(
    in_place: Remote, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code, _, err = run(in_place, tmp_path, monkeypatch, "scale", "--shards", "2", answer="n\n")
    assert code == ExitCode.REFUSED
    assert err.index("$10.95 a month now and $21.90 afterwards") < err.index("Change TransactionStream")
    assert in_place.recorder.changes == []


def test_scale_with_yes_says_it_too(
    in_place: Remote, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code, out, err = run(in_place, tmp_path, monkeypatch, "scale", "--shards", "2", "--yes", "--json")
    assert code == ExitCode.OK
    assert "$21.90 afterwards" in err
    document: dict[str, Any] = json.loads(out)
    assert document["cost"] == {"month_before": 10.95, "month_after": 21.9}
    assert in_place.recorder.changes == ["kinesis.UpdateShardCount"]
