"""`txnpipe rejects` against a real PostgreSQL; bucket and stream are doubles."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.integration.operate.test_rejects import event
from tests.integration.proof.conftest import Place
from tests.unit.cli.places import Place as Program
from tests.unit.traffic.fakes import FakeStream, spans
from txnpipe.errors import ExitCode
from txnpipe.transactions import parse

VALID = 49590338271490256608559692538361571095921575989136000001
INVALID = VALID + 1


@pytest.fixture
def stream() -> FakeStream:
    return FakeStream(spans(1))


@pytest.fixture
def program(place: Place, stream: FakeStream, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Program:
    """One reject that is valid by now, and one that is not."""

    @contextlib.contextmanager
    def opened(*_: Any) -> Iterator[Any]:
        yield place.warehouse

    monkeypatch.setattr("txnpipe.warehouse.open_warehouse", opened)
    monkeypatch.setattr("txnpipe.cli.redriving.KinesisStream", lambda target, name: stream)
    place.reject(event(), "too_large", VALID)
    place.reject(event(transaction_id="t2", amount=None), "missing_field", INVALID)
    return Program(tmp_path, monkeypatch)


def sent(program: Program) -> list[bytes]:
    """What the newest run holds."""
    (part,) = [data for key, (data, _) in program.s3.objects.items() if "/input/" in key]
    return part.split(b"\n")[1:-1]


def test_one_is_shown_with_what_the_contract_says_today(program: Program) -> None:
    assert program.json("rejects", "show", str(VALID))["today"] == "valid: txnpipe rejects redrive sends it"
    shown = program.json("rejects", "show", "000002")
    assert (shown["sequence_number"], shown["today"]) == (str(INVALID), "missing_field: amount")
    _, out, _ = program.run("rejects", "show", "000002")
    assert "a required field is absent or null" in out
    assert out.rstrip().endswith(event(transaction_id="t2", amount=None).decode())


@pytest.mark.parametrize(("record", "code"), [("999999", ExitCode.NOT_FOUND), ("0002", ExitCode.USAGE)])
def test_one_that_is_not_there_or_not_named_enough(program: Program, record: str, code: ExitCode) -> None:
    for command in ("show", "redrive"):
        assert program.run("rejects", command, record)[0] == code


def test_an_ending_that_fits_two_is_refused(program: Program, place: Place) -> None:
    place.reject(b"x", "invalid_json", 7_000_001)
    code, _, err = program.run("rejects", "show", "000001")
    assert code == ExitCode.USAGE
    assert "Several rejects" in err


def test_since_narrows_the_list(program: Program, place: Place) -> None:
    hour_ago = datetime.now(UTC).replace(tzinfo=None) - timedelta(hours=1)
    place.reject(b"x", "invalid_json", 7, arrived=hour_ago)

    def listed(since: str) -> bool:
        shown = program.json("rejects", "--since", since)["rejects"]
        return "7" in [each["sequence_number"] for each in shown]

    assert (listed("2h"), listed("30m"), listed("0s")) == (True, False, False)
    place.change("DELETE FROM rejected_transactions WHERE sequence_number = '7'")
    assert len(program.json("rejects", "--since", "2026-11-24T05:31:13")["rejects"]) == 2
    assert program.json("rejects", "--since", "2026-11-24T07:31:14+02:00")["rejects"] == []
    for text in ("yesterday", "2w", "999999999d"):
        code, _, err = program.run("rejects", "--since", text)
        assert code == ExitCode.USAGE
        assert "it is no time" in err


def test_a_dry_run_prints_what_would_be_sent_and_sends_nothing(program: Program, stream: FakeStream) -> None:
    code, out, err = program.run("rejects", "redrive", "--dry-run")
    assert code == 0
    assert [parse(line.encode()).transaction_id for line in out.splitlines()] == ["t1"]
    assert "missing_field: 1" in err
    assert "Would be sent: 1." in err
    assert (stream.indexes(), program.s3.objects) == ([], {})


def test_what_is_valid_goes_as_a_run_that_can_be_proven(program: Program, stream: FakeStream) -> None:
    document = program.json("rejects", "redrive")
    assert (document["records"], document["unacknowledged"]) == (1, 0)
    assert document["left"] == {"missing_field": 1}
    (payload,) = sent(program)
    assert parse(payload).run_id == document["run_id"]
    assert len(stream.indexes()) == 1
    (run,) = program.json("runs")["runs"]
    assert (run["run_id"], run["state"], run["source"]) == (document["run_id"], "finished", "rejects")


def test_fields_can_be_set_for_all_or_for_one(program: Program) -> None:
    program.json("rejects", "redrive", str(INVALID), "--set", "amount=12.50", "--set", "merchant=")
    (payload,) = sent(program)
    assert (parse(payload).transaction_id, str(parse(payload).amount)) == ("t2", "12.50")


@pytest.mark.parametrize(
    "arguments",
    [("--set", "amount"), ("--set", "run_id=x"), (str(VALID), "--reason", "too_large"), ("--since", "x")],
)
def test_what_makes_no_sense_is_refused(program: Program, arguments: tuple[str, ...]) -> None:
    assert program.run("rejects", "redrive", *arguments)[0] == ExitCode.USAGE


def test_nothing_to_send_makes_no_run(program: Program) -> None:
    document = program.json("rejects", "redrive", "--reason", "missing_field")
    assert (document["records"], document["run_id"]) == (0, None)
    assert program.s3.objects == {}


def test_an_export_is_a_file_that_send_reads(program: Program, place: Place, tmp_path: Path) -> None:
    place.reject(b'{"a":\r\n1} \xff', "invalid_utf8", 7)
    code, _, err = program.run("rejects", "export", "--output", "out.jsonl")
    assert code == 0
    assert "Written: 3. Mend them, then: txnpipe send --file out.jsonl" in err
    assert (tmp_path / "out.jsonl").read_bytes().split(b"\n") == [
        event(),
        event(transaction_id="t2", amount=None),
        b'{"a":  1} \xff',
        b"",
    ]
    _, out, _ = program.run("rejects", "export", "--reason", "invalid_utf8")
    assert out == '{"a":  1} \\xff\n'


def test_what_was_cut_off_is_left_out_of_an_export_and_told(program: Program, place: Place) -> None:
    place.change("UPDATE rejected_transactions SET payload_bytes = 40000 WHERE reason = 'too_large'")
    code, out, err = program.run("rejects", "export")
    assert (code, len(out.splitlines())) == (0, 1)
    assert "Left out, for only their first 32 KB were kept: 1." in err
    assert program.json("rejects", "export", "--output", "x")["cut_off"] == 1


def test_an_export_that_cannot_be_written_or_would_be_mixed(program: Program) -> None:
    assert program.run("rejects", "export", "--output", "no/such/directory")[0] == ExitCode.ENVIRONMENT
    assert program.run("rejects", "export", "--json")[0] == ExitCode.USAGE


def test_after_a_stop_the_same_command_sends_the_rest(
    program: Program, place: Place, stream: FakeStream, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("txnpipe.cli.redriving.send", interrupted)
        code, _, err = program.run("rejects", "redrive")
    assert code == ExitCode.INTERRUPTED
    assert "The same command continues run" in err
    assert program.json("rejects", "redrive")["records"] == 1
    assert len(sent(program)) == len(stream.indexes()) == 1
    assert place.rows("SELECT COUNT(*) FROM rejected_transactions") == [(2,)]
