"""`txnpipe dead-letters`: what it shows, asks and answers. Functions and bucket are doubles."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.unit.cli.places import Place
from tests.unit.operate.letters import LOADER, NOTIFIER, STREAM, Functions, letter_of
from txnpipe.errors import ExitCode

ONE = "aws/lambda/m/shardId-0/2026/11/24/2026-11-24T05.31.12-one"
TWO = "aws/lambda/m/shardId-0/2026/11/24/2026-11-24T05.31.13-two"
RECORDS = [("a", "49" * 28, b'{"transaction_id":"t1"}'), ("b", "50" * 28, b"\x1b[2Jgone")]


@pytest.fixture
def functions() -> Functions:
    return Functions()


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, functions: Functions) -> Place:
    made = Place(tmp_path, monkeypatch, **{"lambda": functions})
    made.s3.put_object(Bucket="b", Key=ONE, Body=letter_of(RECORDS))
    return made


def add_alerts(place: Place) -> None:
    place.s3.put_object(Bucket="b", Key=TWO, Body=letter_of(RECORDS, function=NOTIFIER))


@pytest.mark.parametrize("command", ["list", "redrive --all", "redrive --all --dry-run", "discard --all"])
def test_that_there_are_none_is_good_news(place: Place, command: str) -> None:
    place.s3.objects.clear()
    code, out, err = place.run("dead-letters", *command.split())
    assert (code, out) == (0, "")
    assert "There are no failed batches." in err


def test_one_that_is_not_there_is_not_found(place: Place) -> None:
    for command in ("show", "redrive", "discard"):
        code, out, err = place.run("dead-letters", command, "x")
        assert (code, out) == (ExitCode.NOT_FOUND, "")
        assert "There is no failed batch x." in err


def test_of_many_the_newest_are_read(place: Place) -> None:
    add_alerts(place)
    document = place.json("dead-letters", "list", "--limit", "1")
    assert document["total"] == 2
    assert [each["key"] for each in document["dead_letters"]] == [TWO]
    assert "The newest 1 of 2; --limit shows more." in place.run("dead-letters", "list", "-n", "1")[2]
    assert place.run("dead-letters", "list", "-n", "0")[0] == ExitCode.USAGE


def test_a_list_has_what_is_known_of_each(place: Place) -> None:
    (letter,) = place.json("dead-letters", "list")["dead_letters"]
    assert letter.pop("written_at")
    assert letter == {
        "key": ONE,
        "stream": STREAM,
        "function": "TransactionLoader",
        "shard_id": "shardId-000000000000",
        "first_sequence_number": "49" * 28,
        "last_sequence_number": "50" * 28,
        "records": 2,
        "payloads_held": 2,
        "condition": "RetryAttemptsExhausted",
        "error": "Unhandled",
        "bytes": len(letter_of(RECORDS)),
    }
    _, table, _ = place.run("dead-letters", "list")
    assert "2026-11-24T05.31.12-one" in table
    assert "…494949494949 to …505050505050" in table


def test_a_payload_is_shown_and_cannot_control_the_terminal(place: Place) -> None:
    code, out, _ = place.run("dead-letters", "show", "2026-11-24T05.31.12-one")
    assert code == 0
    assert '{"transaction_id":"t1"}' in out
    assert "\\x1b[2Jgone" in out
    assert "\x1b" not in out


def test_fields_of_a_strangers_object_cannot_control_the_terminal(place: Place) -> None:
    letter = json.loads(letter_of(RECORDS))
    letter["requestContext"]["condition"] = "\x1b]0;title\x07"
    place.s3.put_object(Bucket="b", Key=ONE, Body=json.dumps(letter).encode())
    for command in (["list"], ["show", ONE]):
        assert "\x1b" not in place.run("dead-letters", *command)[1]


def test_which_ones_must_be_said_and_only_one_way(place: Place) -> None:
    for command in ("redrive", "discard"):
        assert place.run("dead-letters", command)[0] == ExitCode.USAGE
        assert place.run("dead-letters", command, ONE, "--all")[0] == ExitCode.USAGE
    assert ONE in place.s3.objects


def test_failed_batches_go_to_their_functions(place: Place, functions: Functions) -> None:
    add_alerts(place)
    document = place.json("dead-letters", "redrive", "--all")
    assert (document["records"], document["left"]) == (4, 0)
    assert [name for name, _ in functions.calls] == [LOADER, NOTIFIER]
    assert place.s3.objects == {}


def test_a_dry_run_hands_nothing_over(place: Place, functions: Functions) -> None:
    code, out, _ = place.run("dead-letters", "redrive", "--all", "--dry-run")
    assert (code, out) == (0, "would send  2026-11-24T05.31.12-one  2 records to TransactionLoader\n")
    assert (functions.calls, set(place.s3.objects)) == ([], {ONE})


def test_what_was_not_taken_is_a_difference_and_named(place: Place, functions: Functions) -> None:
    add_alerts(place)
    functions.failing = {NOTIFIER}
    code, out, err = place.run("dead-letters", "redrive", "--all")
    assert code == ExitCode.DIFFERENCE
    assert out == "sent  2026-11-24T05.31.12-one  2 records to TransactionLoader\n"
    assert "2026-11-24T05.31.13-two: TransactionNotifier failed: OperationalError" in err
    assert "Records taken: 2. Batches left: 1." in err
    assert list(place.s3.objects) == [TWO]


def test_discarding_asks_first(place: Place) -> None:
    add_alerts(place)
    assert place.run("dead-letters", "discard", "--all")[0] == ExitCode.REFUSED
    assert place.run("dead-letters", "discard", ONE, typed="n\n")[0] == ExitCode.REFUSED
    assert set(place.s3.objects) == {ONE, TWO}
    assert place.json("dead-letters", "discard", "2026-11-24T05.31.12-one", "--yes")["deleted"] == [ONE]
    assert list(place.s3.objects) == [TWO]
