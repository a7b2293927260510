"""From alerts to messages on the topic."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError
from hypothesis import given
from hypothesis import strategies as st

from tests.corpus.embedded_metrics import extracted
from tests.corpus.lambda_events import ALERT_STREAM_ARN, FIRST_SEQUENCE_NUMBER, kinesis_event
from tests.unit.functions.test_alerts import ALERT, FIELDS
from txnpipe.functions.alerts import parse_alert
from txnpipe.functions.notifier.entry import notify
from txnpipe.functions.notifier.message import batch_entry, body, size, subject
from txnpipe.functions.notifier.publish import MAX_BATCH_BYTES, batches, publish

TOPIC = "arn:aws:sns:us-east-1:123456789012:TransactionAlerts"


class Topic:
    """An SNS client. `answers` decide, one a call: an error to raise, or entry id → failure code."""

    def __init__(self, *answers: Exception | dict[str, str]) -> None:
        self.answers = list(answers)
        self.calls: list[list[dict[str, Any]]] = []

    def publish_batch(self, **request: Any) -> dict[str, Any]:
        assert request["TopicArn"] == TOPIC
        entries = request["PublishBatchRequestEntries"]
        assert 1 <= len(entries) <= 10
        assert sum(map(size, entries)) <= MAX_BATCH_BYTES
        self.calls.append(entries)
        answer = self.answers.pop(0) if self.answers else {}
        if isinstance(answer, Exception):
            raise answer
        return {
            "Successful": [{"Id": entry["Id"]} for entry in entries if entry["Id"] not in answer],
            "Failed": [
                {"Id": key, "Code": code, "Message": "why", "SenderFault": code.startswith("Invalid")}
                for key, code in answer.items()
            ],
        }

    @property
    def sent(self) -> list[list[str]]:
        return [[entry["Id"] for entry in call] for call in self.calls]


def entries(count: int) -> list[dict[str, Any]]:
    return [batch_entry(ALERT, f"e{n}") for n in range(count)]


def ids(start: int, end: int) -> list[str]:
    return [f"e{n}" for n in range(start, end)]


class TestMessage:
    def test_carries_the_alert_as_json_and_its_id_as_an_attribute(self) -> None:
        entry = batch_entry(ALERT, "e0")
        assert json.loads(entry["Message"]) == {
            "alert_id": "large_amount:txn123",
            "rule": "large_amount",
            "transaction_id": "txn123",
            "account_id": None,
            "amount": 12000.00,
            "event_time": "2024-12-21T10:00:00Z",
            "detected_at": "2026-01-01T00:00:00.123000Z",
            "run_id": None,
            "detail": "amount above 10000",
        }
        assert entry["MessageAttributes"] == {
            "alert_id": {"DataType": "String", "StringValue": "large_amount:txn123"},
            "rule": {"DataType": "String", "StringValue": "large_amount"},
        }

    def test_the_amount_is_exact(self) -> None:
        assert '"amount": 99999999.99,' in body(ALERT._replace(amount=Decimal("99999999.99")))

    def test_the_body_is_an_alert_again(self) -> None:
        alert = ALERT._replace(account_id='a"\\é', detail="ü", event_time=datetime(1, 1, 1, 0, 0, 0, 5))
        assert parse_alert(body(alert).encode()) == alert

    def test_the_subject_reads_well(self) -> None:
        assert subject(ALERT) == "Alert large_amount: 12000.00, transaction txn123"
        with_account = ALERT._replace(account_id="acct-7")
        assert subject(with_account) == "Alert large_amount: 12000.00, account acct-7, transaction txn123"

    @given(st.text(min_size=1, max_size=50), st.text(min_size=1, max_size=50))
    def test_the_subject_is_what_sns_takes(self, rule: str, transaction_id: str) -> None:
        text = subject(ALERT._replace(rule=rule, transaction_id=transaction_id))
        assert len(text) < 100
        assert text.isascii()
        assert text.isprintable()


class TestPublish:
    def test_ten_messages_a_call(self) -> None:
        topic = Topic()
        result = publish(topic, TOPIC, entries(23))
        assert topic.sent == [ids(0, 10), ids(10, 20), ids(20, 23)]
        assert (result.delivered, result.resume_at) == (ids(0, 23), None)

    def test_no_messages_no_call(self) -> None:
        topic = Topic()
        assert publish(topic, TOPIC, []).delivered == []
        assert topic.calls == []

    def test_large_messages_share_a_call_only_as_far_as_they_fit(self) -> None:
        large = [{**entry, "Message": "x" * 100_000} for entry in entries(5)]
        assert [len(batch) for batch in batches(large)] == [2, 2, 1]

    def test_only_what_failed_is_published_again(self) -> None:
        topic = Topic({"e3": "Throttled", "e7": "InternalError"}, {"e7": "InternalError"})
        pauses: list[float] = []
        result = publish(topic, TOPIC, entries(12), sleep=pauses.append, jitter=lambda: 1.0)
        assert topic.sent == [ids(0, 10), ["e3", "e7"], ["e7"], ids(10, 12)]
        assert sorted(result.delivered) == sorted(ids(0, 12))
        assert (result.resume_at, pauses) == (None, [0.2, 0.4])

    def test_what_fails_again_and_again_ends_publishing_there(self) -> None:
        topic = Topic(*[{"e3": "Throttled", "e5": "Throttled"}] * 4)
        result = publish(topic, TOPIC, entries(30), sleep=lambda _: None)
        assert len(topic.calls) == 4
        assert (result.resume_at, result.error) == ("e3", "Throttled: why")
        assert len(result.delivered) == 8

    def test_what_sns_finds_invalid_is_given_up_and_blocks_nothing(self) -> None:
        topic = Topic({"e3": "InvalidParameter"})
        result = publish(topic, TOPIC, entries(12))
        assert topic.sent == [ids(0, 10), ids(10, 12)]
        assert result.refused == {"e3": "InvalidParameter: why"}
        assert (len(result.delivered), result.resume_at) == (11, None)

    @pytest.mark.parametrize(
        "error",
        [
            ClientError({"Error": {"Code": "Throttling", "Message": "slow"}}, "PublishBatch"),
            EndpointConnectionError(endpoint_url="https://sns"),
        ],
        ids=lambda error: type(error).__name__,
    )
    def test_a_failing_call_is_raised_if_it_is_the_first_and_else_resumed_at(self, error: Exception) -> None:
        with pytest.raises(type(error)):
            publish(Topic(error), TOPIC, entries(3))
        result = publish(Topic({}, error), TOPIC, entries(13))
        assert (result.delivered, result.resume_at) == (ids(0, 10), "e10")


class TestNotify:
    def alerts(self, *names: str) -> list[bytes | str]:
        return [json.dumps({**FIELDS, "alert_id": name}).encode() for name in names]

    def notify(self, payloads: list[bytes | str], topic: Topic) -> dict[str, Any]:
        return notify(
            kinesis_event(payloads, stream_arn=ALERT_STREAM_ARN), topic, TOPIC, "request-1", "default"
        )

    @pytest.fixture
    def lines(self, capsys: pytest.CaptureFixture[str]) -> Callable[[], list[dict[str, Any]]]:
        return lambda: [json.loads(line) for line in capsys.readouterr().out.splitlines()]

    def test_each_alert_is_published_once_and_one_line_is_logged(
        self, lines: Callable[[], list[dict[str, Any]]]
    ) -> None:
        topic = Topic()
        assert self.notify(self.alerts("a", "b", "a"), topic) == {"batchItemFailures": []}
        (call,) = topic.calls
        assert [entry["MessageAttributes"]["alert_id"]["StringValue"] for entry in call] == ["a", "b"]
        (line,) = lines()
        age_ms = line.pop("iterator_age_ms")
        assert age_ms > 0
        expected = {"Published": 2, "Refused": 0, "Invalid": 0, "NotifierIteratorAge": age_ms}
        of_pipeline = (("Pipeline", "default"),)
        assert extracted(json.dumps(line)) == {(name, of_pipeline): value for name, value in expected.items()}
        for key in ("_aws", "Pipeline", *expected):
            del line[key]
        assert [line] == [
            {
                "level": "INFO",
                "message": "alerts published",
                "request_id": "request-1",
                "stream": "TransactionAlerts",
                "shard_id": "shardId-000000000000",
                "first_sequence_number": str(FIRST_SEQUENCE_NUMBER),
                "last_sequence_number": str(FIRST_SEQUENCE_NUMBER + 2),
                "records": 3,
                "published": 2,
                "duplicates": 1,
                "invalid": 0,
                "refused": 0,
            }
        ]

    def test_a_record_that_is_no_alert_is_passed_over_and_logged(
        self, lines: Callable[[], list[dict[str, Any]]]
    ) -> None:
        topic = Topic()
        payloads = [*self.alerts("a"), b"broken", "no base64!", *self.alerts("b")]
        assert self.notify(payloads, topic) == {"batchItemFailures": []}
        assert len(topic.calls[0]) == 2
        warnings = [line for line in lines() if line["level"] == "WARN"]
        assert [(line["sequence_number"], line["reason"]) for line in warnings] == [
            (str(FIRST_SEQUENCE_NUMBER + 1), "invalid_json"),
            (str(FIRST_SEQUENCE_NUMBER + 2), "invalid_json"),
        ]

    def test_delivery_resumes_at_the_first_alert_that_was_not_published(self) -> None:
        error = ClientError({"Error": {"Code": "Throttling", "Message": "slow"}}, "PublishBatch")
        topic = Topic({}, error)
        answer = self.notify(self.alerts(*(f"a{n}" for n in range(15))), topic)
        assert answer == {"batchItemFailures": [{"itemIdentifier": str(FIRST_SEQUENCE_NUMBER + 10)}]}

    def test_an_event_without_records_publishes_nothing(self) -> None:
        topic = Topic()
        assert notify({"Records": []}, topic, TOPIC, "r", "default") == {"batchItemFailures": []}
        assert topic.calls == []
