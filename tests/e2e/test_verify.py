"""`txnpipe verify` on a whole pipeline: it proves what arrived, and names what was damaged by hand."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest

from tests.e2e.conftest import REGION, Cloud
from tests.e2e.pipelines import Pipeline
from tests.waiting import eventually
from txnpipe.errors import ExitCode
from txnpipe.local.part import ACCOUNT
from txnpipe.names import Names

COUNT = 2000


@pytest.fixture(scope="module")
def pipeline(cloud: Cloud) -> Iterator[Pipeline]:
    made = Pipeline(cloud, "proven")
    made.run("setup")
    yield made
    made.run("teardown")


@pytest.fixture(scope="module")
def sent(pipeline: Pipeline) -> str:
    """A run that arrived whole."""
    run_id: str = pipeline.run("send", "--count", str(COUNT))["run_id"]
    pipeline.prove(COUNT)
    return run_id


def change(pipeline: Pipeline, sql: str, *parameters: object) -> None:
    """Changes the warehouse by hand."""
    with closing(pipeline.connect()) as connection, connection, connection.cursor() as cursor:
        cursor.execute(sql, parameters)


def test_a_settled_run_is_proven_at_once(pipeline: Pipeline, sent: str) -> None:
    proof = pipeline.run("verify", "--run", sent)
    assert proof["settled"] == "complete"
    assert proof["latency_ms"]["event_to_row"]["rows"] == COUNT
    assert proof["latency_ms"]["event_to_alert"]["rows"] > 0
    for rule in proof["alerts"].values():
        assert rule["recall"] == 1.0


def test_the_proof_is_written_as_a_page(pipeline: Pipeline, sent: str) -> None:
    proof = pipeline.run("verify", "--run", sent, "--report", "proof.html")
    place = pipeline.cloud.work / "proof.html"
    assert proof["report"] == str(place.resolve())
    page = place.read_text(encoding="utf-8")
    assert f"✓ {sent}: equal" in page
    assert page.count('role="img"') == 4


def test_repeats_late_and_bad_records_that_were_asked_for_are_proven(pipeline: Pipeline) -> None:
    asked = ("--skew", "0.2", "--duplicates", "0.02", "--late", "0.02", "--invalid", "0.02")
    pipeline.run("send", "--count", "2000", "--new", "--anomaly", "velocity=0.01", *asked)
    proof = pipeline.run("verify")
    assert proof["equal"]
    assert proof["rows"]["stored"] == proof["rows"]["expected"] < COUNT
    assert proof["rejects"]["planted"] > 0
    assert proof["rejects"]["planted_missing"] == 0
    assert {rule: found["recall"] for rule, found in proof["alerts"].items()} == dict.fromkeys(
        proof["alerts"], 1.0
    )


def test_the_human_answer_says_equal(pipeline: Pipeline, sent: str) -> None:
    result = pipeline.cloud.run("verify", "--run", sent, "--pipeline", pipeline.name, check=True)
    assert f"Run {sent}: equal" in result.stdout
    assert "event → alert" in result.stdout
    assert "recall 100%, precision" in result.stdout


def test_a_record_is_followed_to_its_alert(pipeline: Pipeline, sent: str) -> None:
    alert = pipeline.run("alerts", "--run", sent, "--limit", "1")["alerts"][0]
    trace = pipeline.run("verify", "--id", alert["transaction_id"])
    hops = {hop["hop"]: hop for hop in trace["hops"]}
    assert trace["stopped_at"] is None
    assert [hops[name]["ok"] for name in ("sent", "stream", "row", "alert")] == [True] * 4
    assert sent in hops["sent"]["text"]
    assert "still readable" in hops["stream"]["text"]
    assert alert["alert_id"] in hops["alert"]["text"]


def test_an_unknown_id_is_not_found(pipeline: Pipeline, sent: str) -> None:
    result = pipeline.cloud.run("verify", "--id", "never-sent", "--pipeline", pipeline.name)
    assert result.returncode == ExitCode.NOT_FOUND
    assert "never-sent" in result.stderr


def test_an_unknown_run_is_not_found(pipeline: Pipeline, sent: str) -> None:
    result = pipeline.cloud.run("verify", "--run", "20000101T000000-000000", "--pipeline", pipeline.name)
    assert result.returncode == ExitCode.NOT_FOUND


def test_what_was_damaged_by_hand_is_named_exactly(pipeline: Pipeline, sent: str) -> None:
    run_id = pipeline.run("send", "--count", str(COUNT), "--seed", "2")["run_id"]
    pipeline.prove(COUNT)
    deleted, changed, doubled = (f"{run_id}-{index:09d}" for index in (17, 18, 1019))
    alert = pipeline.run("alerts", "--run", run_id, "--limit", "1")["alerts"][0]
    change(pipeline, "DELETE FROM transactions WHERE transaction_id = %s", deleted)
    change(pipeline, "UPDATE transactions SET merchant = 'x' WHERE transaction_id = %s", changed)
    change(pipeline, "INSERT INTO transactions SELECT * FROM transactions WHERE transaction_id = %s", doubled)
    change(pipeline, "DELETE FROM alerts WHERE alert_id = %s", alert["alert_id"])
    report = ("--report", "different.html")
    proof = pipeline.run("verify", "--timeout", "5", *report, code=ExitCode.DIFFERENCE)
    page = (pipeline.cloud.work / "different.html").read_text(encoding="utf-8")
    assert all(each in page for each in ("✗ Different", deleted, changed, doubled, alert["alert_id"]))
    rows = proof["rows"]
    assert rows["missing"] == {"count": 1, "ids": [deleted]}
    assert rows["changed"] == {"count": 1, "ids": [changed]}
    assert rows["changed_fields"] == {changed: ["merchant"]}
    assert rows["duplicate"] == {"count": 1, "ids": [doubled]}
    assert rows["extra"]["count"] == 0
    assert proof["alerts"][alert["rule"]]["missing"]["ids"] == [alert["alert_id"]]

    trace = pipeline.run("verify", "--id", deleted, code=ExitCode.DIFFERENCE)
    assert trace["stopped_at"] == "row"
    assert [hop["ok"] for hop in trace["hops"]][:2] == [True, True]
    assert pipeline.run("verify", "--id", changed, code=ExitCode.DIFFERENCE)["stopped_at"] == "row"
    subject = alert["transaction_id"]
    assert pipeline.run("verify", "--id", subject, code=ExitCode.DIFFERENCE)["stopped_at"] == "alert"


def line(number: int, **changes: Any) -> str:
    fields = {
        "transaction_id": f"file-{number}",
        "amount": number,
        "transaction_type": "purchase",
        "timestamp": "2026-01-02T03:04:05Z",
        "account_id": f"a-{number % 5}",
    }
    return json.dumps(fields | changes) + "\n"


def test_a_file_is_proven_and_so_is_the_same_file_again(pipeline: Pipeline) -> None:
    lines = [line(n) for n in range(300)] + [line(0)]
    (pipeline.cloud.work / "in.jsonl").write_text("".join(lines), encoding="utf-8")
    pipeline.run("send", "--file", "in.jsonl")
    first = pipeline.run("verify")
    assert (first["rows"]["stored"], first["rows"]["repeats"]) == (300, 1)
    pipeline.run("send", "--file", "in.jsonl")
    again = pipeline.run("verify")
    assert again["equal"]
    assert again["run_id"] != first["run_id"]
    assert again["rows"]["stored_by_earlier_runs"]["count"] == 300
    trace = pipeline.run("verify", "--id", "file-7")
    assert trace["stopped_at"] is None


def test_every_run_since_then_is_proven_in_one_go(pipeline: Pipeline, sent: str) -> None:
    known = [each["run_id"] for each in pipeline.run("runs")["runs"]][::-1]
    document = pipeline.run("verify", "--all", "--timeout", "5", code=ExitCode.DIFFERENCE)
    verdicts = {each["run_id"]: each["equal"] for each in document["runs"]}
    assert list(verdicts) == known
    assert verdicts[sent]
    (different,) = [run_id for run_id, equal in verdicts.items() if not equal]
    told = pipeline.cloud.run("verify", "--since", "1d", "--timeout", "5", "--pipeline", pipeline.name)
    assert told.returncode == ExitCode.DIFFERENCE
    assert all(run_id in told.stdout for run_id in known)
    assert f"Run {different}: different" in told.stdout
    assert f"Run {sent}: equal" not in told.stdout
    after = known[known.index(different) + 1 :]
    created = pipeline.run("runs", "show", after[0])["manifest"]["created_at"]
    later = pipeline.run("verify", "--since", created)
    assert [each["run_id"] for each in later["runs"]] == after
    assert all(each["equal"] and each["state"] == "finished" for each in later["runs"])


def test_a_planted_bad_record_is_followed_to_its_reject(pipeline: Pipeline) -> None:
    mixed = next(
        each
        for each in pipeline.run("verify", "--all", "--timeout", "5", code=ExitCode.DIFFERENCE)["runs"]
        if each["rejects"]["planted"]
    )
    by_reason = mixed["rejects"]["planted_by_reason"]
    assert sum(each["sent"] for each in by_reason.values()) == mixed["rejects"]["planted"]
    assert all(each["rejected"] == each["sent"] for each in by_reason.values())
    found = pipeline.run("rejects", "--reason", "missing_field")["rejects"]
    payloads = [json.loads(base64.b64decode(each["payload_base64"])) for each in found]
    transaction_id = next(each for each in payloads if each["run_id"] == mixed["run_id"])["transaction_id"]
    trace = pipeline.run("verify", "--id", transaction_id)
    assert trace["stopped_at"] is None
    assert [hop["ok"] for hop in trace["hops"]] == [True, True, True]
    assert "on purpose: missing_field" in trace["hops"][0]["text"]


def test_a_reject_is_listed_shown_and_followed(pipeline: Pipeline) -> None:
    names = Names(pipeline.name, ACCOUNT, REGION)
    kinesis = pipeline.cloud.client("kinesis")
    payload = line(1, transaction_id="bad-1", amount="NaN").encode()
    sequence = kinesis.put_record(StreamName=names.stream, Data=payload, PartitionKey="a")["SequenceNumber"]

    def rejected() -> dict[str, Any] | None:
        found = pipeline.run("rejects", "--reason", "invalid_amount")["rejects"]
        return next((each for each in found if each["sequence_number"] == sequence), None)

    assert eventually(rejected, "the reject", interval_s=0.5)["payload_bytes"] == len(payload)
    shown = pipeline.cloud.run("rejects", "show", sequence, "--pipeline", pipeline.name, check=True)
    assert payload.decode().strip() in shown.stdout
    trace = pipeline.run("verify", "--id", "bad-1", code=ExitCode.DIFFERENCE)
    assert trace["stopped_at"] == "rejected"
    missing = pipeline.cloud.run("rejects", "show", "7777777", "--pipeline", pipeline.name)
    assert missing.returncode == ExitCode.NOT_FOUND


def test_rejects_are_mended_sent_as_a_run_of_their_own_and_proven(pipeline: Pipeline) -> None:
    """A run with bad records is proven before and after: what it sent does not change."""
    pipeline.run("send", "--count", "1000", "--invalid", "0.05")
    first = pipeline.run("verify")
    assert first["rejects"]["planted"] > 0
    names = Names(pipeline.name, ACCOUNT, REGION)
    payloads = [line(n, transaction_id=f"mended-{n}", transaction_type="x" * 21) for n in range(3)]
    kinesis = pipeline.cloud.client("kinesis")
    for payload in payloads:
        kinesis.put_record(StreamName=names.stream, Data=payload.encode(), PartitionKey="a")
    chosen = ("--reason", "too_long", "--set", "transaction_type=purchase")

    def all_there() -> bool:
        lines = pipeline.cloud.run("rejects", "redrive", *chosen, "--dry-run", "--pipeline", pipeline.name)
        return lines.stdout.count('"mended-') == len(payloads)

    eventually(all_there, "the rejects", interval_s=0.5)
    before = pipeline.count("rejected_transactions")

    sent = pipeline.run("rejects", "redrive", *chosen)

    assert sent["records"] >= len(payloads)
    proof = pipeline.run("verify")
    assert (proof["run_id"], proof["rows"]["stored"]) == (sent["run_id"], sent["records"])
    assert pipeline.count("rejected_transactions") == before
    assert pipeline.run("verify", "--run", first["run_id"])["equal"]
    assert pipeline.run("rejects", "redrive", *chosen)["records"] == 0


@pytest.mark.parametrize(
    "arguments",
    [
        ("alerts", "--limit", "0"),
        ("alerts", "--rule", "no"),
        ("rejects", "--limit", "0"),
        ("verify", "--timeout", "-1"),
        ("verify", "--since", "yesterday"),
        ("verify", "--since", "1h", "--all"),
        ("verify", "--all", "--report", "proof.html"),
    ],
)
def test_bad_input_is_a_usage_error(pipeline: Pipeline, arguments: tuple[str, ...]) -> None:
    result = pipeline.cloud.run(*arguments, "--pipeline", pipeline.name)
    assert result.returncode == ExitCode.USAGE
    assert "fix:" in result.stderr
