"""The gate of moto, and which operations pass it how."""

from __future__ import annotations

import io
import threading
from typing import Any

import pytest

from txnpipe.local.moto_control_plane.gate import Gate
from txnpipe.local.moto_control_plane.operations import operation_of


def test_one_thread_at_a_time_is_inside_and_may_enter_again() -> None:
    gate = Gate()
    entered = threading.Event()
    other = threading.Thread(target=lambda: _enter(gate, entered))
    with gate.alone(), gate.alone():
        assert _is_inside(gate)
        other.start()
        assert not entered.wait(0.05)
    other.join()
    assert entered.is_set()
    assert not _is_inside(gate)


def test_who_waits_lets_others_in_and_is_inside_again_afterwards() -> None:
    gate = Gate()
    entered = threading.Event()
    with gate.alone(), gate.alone():
        with gate.released():
            assert not _is_inside(gate)
            other = threading.Thread(target=lambda: _enter(gate, entered))
            other.start()
            other.join()
        assert entered.is_set()
        assert _is_inside(gate)
        third = threading.Thread(target=lambda: _enter(gate, threading.Event()), daemon=True)
        third.start()
        third.join(0.05)
        assert third.is_alive()
    third.join()


def test_an_error_leaves_the_gate_open() -> None:
    gate = Gate()
    with pytest.raises(ValueError, match="x"), gate.alone():
        raise ValueError("x")
    with pytest.raises(ValueError, match="x"), gate.alone(), gate.released():
        raise ValueError("x")
    assert not _is_inside(gate)
    _enter(gate, threading.Event())


def test_letting_go_of_what_is_not_held_is_nothing() -> None:
    gate = Gate()
    with gate.released():
        _enter(gate, threading.Event())


def _is_inside(gate: Gate) -> bool:
    return gate.held


def _enter(gate: Gate, entered: threading.Event) -> None:
    with gate.alone():
        entered.set()


def request(method: str = "POST", path: str = "/", body: bytes = b"", **environ: str) -> dict[str, Any]:
    return {"REQUEST_METHOD": method, "PATH_INFO": path, "wsgi.input": io.BytesIO(body), **environ}


FORM = {"CONTENT_TYPE": "application/x-www-form-urlencoded; charset=utf-8"}


@pytest.mark.parametrize(
    ("environ", "service", "name", "reads"),
    [
        (request(HTTP_X_AMZ_TARGET="AmazonSQS.ReceiveMessage"), "sqs", "ReceiveMessage", False),
        (request(HTTP_X_AMZ_TARGET="AmazonSQS.GetQueueUrl"), "sqs", "GetQueueUrl", True),
        (request(body=b"Action=CreateTopic&Name=x", **FORM), "sns", "CreateTopic", False),
        (request(body=b"Version=1&Action=DescribeVpcs", **FORM), "ec2", "DescribeVpcs", True),
        (request("GET", QUERY_STRING="Action=ListTopics"), "sns", "ListTopics", True),
        (
            request(
                path="/service/GraniteServiceVersion20100801/operation/PutMetricAlarm",
                HTTP_SMITHY_PROTOCOL="x",
            ),
            "monitoring",
            "PutMetricAlarm",
            False,
        ),
        (request("PUT", "/bucket/key", b"Action=DescribeNothing"), "s3", "PUT", False),
        (request("GET", "/bucket/key"), "s3", "GET", True),
        (request("HEAD", "/bucket/key"), "s3", "HEAD", True),
        (request("DELETE", "/bucket/key"), "s3", "DELETE", False),
    ],
)
def test_operations_are_named_and_reads_told_from_changes(
    environ: dict[str, Any], service: str, name: str, reads: bool
) -> None:
    body = environ["wsgi.input"].getvalue()
    operation = operation_of(environ, service)

    assert (operation.name, operation.reads) == (name, reads)
    assert environ["wsgi.input"].read() == body


def test_log_lines_and_metrics_are_saved_later() -> None:
    assert operation_of(request(HTTP_X_AMZ_TARGET="Logs_20140328.PutLogEvents"), "logs").deferred
    assert not operation_of(request(HTTP_X_AMZ_TARGET="Logs_20140328.CreateLogGroup"), "logs").deferred


def test_invoking_a_function_is_recognised() -> None:
    path = "/2015-03-31/functions/f/invocations"
    assert operation_of(request("POST", path), "lambda").invokes
    assert not operation_of(request("POST", "/2015-03-31/functions"), "lambda").invokes
    assert not operation_of(request("POST", path), "s3").invokes
