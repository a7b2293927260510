"""The API server: whose request is it, and every answer is typed."""

from __future__ import annotations

import errno
import io
import json
import logging
import threading
from collections.abc import Callable
from typing import Any

import pytest
from botocore.parsers import create_parser
from botocore.session import get_session

from tests.waiting import PATIENCE_S
from txnpipe.local import wire
from txnpipe.local.guard import Guard
from txnpipe.local.server import ApiServer, UnknownOperation
from txnpipe.local.service import Request, Response, ServiceError

KEY = "LOCALABCDEFGHIJKLMNO"
Handler = Callable[[Request], Response]


class Echo:
    """A service that claims everything of one target prefix."""

    def __init__(self, handler: Handler, prefix: str = "Echo.") -> None:
        self._handler = handler
        self._prefix = prefix

    def claims(self, method: str, path: str, target: str) -> bool:
        return target.startswith(self._prefix)

    def handle(self, request: Request) -> Response:
        return self._handler(request)


class Fallback:
    def __init__(self, outcome: Exception | None = None) -> None:
        self.outcome = outcome
        self.services: list[str] = []

    def answer(self, environ: dict[str, Any], service: str) -> Response:
        self.services.append(service)
        if self.outcome:
            raise self.outcome
        return Response(200, b"from moto")


def environ(service: str = "echo", target: str = "Echo.Do", **changes: Any) -> dict[str, Any]:
    return {
        "REQUEST_METHOD": "POST",
        "PATH_INFO": "/",
        "HTTP_HOST": "localhost",
        "HTTP_AUTHORIZATION": f"AWS4 Credential={KEY}/d/eu-west-1/{service}/aws4_request",
        "CONTENT_TYPE": "application/x-amz-json-1.1",
        "wsgi.input": io.BytesIO(b"body"),
        **({"HTTP_X_AMZ_TARGET": target} if target else {}),
        **changes,
    }


def server(handler: Handler | None = None, fallback: Fallback | None = None) -> ApiServer:
    made = ApiServer(Guard(KEY), fallback or Fallback(), start_patience_s=0.01)
    if handler:
        made.add(Echo(handler))
    return made


def test_a_claimed_request_reaches_the_service_with_everything_it_needs() -> None:
    seen: list[Request] = []

    def handler(request: Request) -> Response:
        seen.append(request)
        return Response(200, b"ok", headers={"x-own": "1"})

    started: list[Any] = []
    body = server(handler)(environ(QUERY_STRING="a=b"), lambda *answer: started.extend(answer))

    assert b"".join(body) == b"ok"
    assert started[0] == "200 OK"
    headers = dict(started[1])
    assert (headers["x-own"], headers["content-length"]) == ("1", "2")
    assert headers["x-amzn-requestid"]
    request = seen[0]
    assert (request.method, request.path, request.query) == ("POST", "/", "a=b")
    assert (request.target, request.region, request.body) == ("Echo.Do", "eu-west-1", b"body")
    assert request.headers["content-type"] == "application/x-amz-json-1.1"
    assert request.headers["host"] == "localhost"


def test_what_nobody_claims_goes_to_the_fallback_with_its_signing_name() -> None:
    fallback = Fallback()
    response = server(lambda _: Response(200, b"no"), fallback).respond(
        environ("sqs", "AmazonSQS.ListQueues")
    )

    assert response.body == b"from moto"
    assert fallback.services == ["sqs"]


def test_the_first_service_that_claims_a_request_gets_it() -> None:
    made = server(lambda _: Response(200, b"first"))
    made.add(Echo(lambda _: Response(200, b"second")))
    assert made.respond(environ()).body == b"first"


def test_a_service_error_is_typed() -> None:
    def handler(_: Request) -> Response:
        raise ServiceError("ResourceInUseException", "It is in use.", 409)

    response = server(handler).respond(environ())

    assert response.status == 409
    assert json.loads(response.body)["__type"] == "ResourceInUseException"
    assert json.loads(response.body)["message"] == "It is in use."


def test_a_defect_is_logged_with_its_traceback_and_answered_as_an_internal_failure(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def handler(_: Request) -> Response:
        raise KeyError("oops")

    with caplog.at_level(logging.ERROR):
        response = server(handler).respond(environ())

    assert response.status == 500
    assert json.loads(response.body)["__type"] == "InternalFailure"
    assert "KeyError: 'oops'" in caplog.text
    assert "Traceback" in caplog.text


def test_a_full_disk_is_said_in_words() -> None:
    full = Fallback(OSError(errno.ENOSPC, "No space left on device"))
    response = server(fallback=full).respond(environ())
    assert "disk of the local cloud's home is full" in json.loads(response.body)["message"]


def test_an_unknown_operation_is_a_clients_error() -> None:
    response = server(fallback=Fallback(UnknownOperation("No such call."))).respond(environ())
    assert (response.status, json.loads(response.body)["__type"]) == (400, "UnknownOperationException")


def test_a_refused_request_reaches_nobody() -> None:
    fallback = Fallback()
    response = server(lambda _: Response(200, b""), fallback).respond(environ(HTTP_AUTHORIZATION=""))

    assert response.status == 403
    assert fallback.services == []


def test_a_request_to_a_part_that_is_starting_waits_for_it() -> None:
    made = ApiServer(Guard(KEY), Fallback(), start_patience_s=PATIENCE_S)
    started = made.add(Echo(lambda _: Response(200, b"ready")), started=False)
    answers: list[Response] = []
    caller = threading.Thread(target=lambda: answers.append(made.respond(environ())))
    caller.start()
    started()
    caller.join()

    assert answers[0].body == b"ready"


def test_a_request_to_a_part_that_never_starts_is_told_so() -> None:
    made = ApiServer(Guard(KEY), Fallback(), start_patience_s=0.01)
    made.add(Echo(lambda _: Response(200, b"never")), started=False)

    response = made.respond(environ())

    assert (response.status, json.loads(response.body)["__type"]) == (503, "ServiceUnavailableException")


def test_a_part_that_has_stopped_does_not_say_that_nothing_exists() -> None:
    made = ApiServer(Guard(KEY), Fallback(), start_patience_s=60)
    for started in (True, False):
        echo = Echo(lambda _: Response(400, b"never"))
        made.add(echo, started=started)
        made.withdraw(echo)

        response = made.respond(environ())

        assert (response.status, json.loads(response.body)["__type"]) == (503, "ServiceUnavailableException")
        assert b"is stopping" in response.body
        assert made.call("Echo.Do", "eu-west-3", {}) is None


def test_services_are_called_from_within_the_process() -> None:
    def handler(request: Request) -> Response:
        if json.loads(request.body) == {"fail": True}:
            return wire.error_response(wire.Protocol.JSON, "NoSuchThing", "No.", 400)
        return Response(200, json.dumps({"region": request.region}).encode())

    made = server(handler)

    assert made.call("Echo.Do", "eu-west-3", {}) == {"region": "eu-west-3"}
    assert made.call("Nobody.Does", "eu-west-3", {}) is None
    with pytest.raises(ServiceError, match="NoSuchThing"):
        made.call("Echo.Do", "eu-west-3", {"fail": True})


SERVICES = ["kinesis", "sqs", "lambda", "sns", "ec2", "s3", "cloudwatch", "secretsmanager", "iam", "sts"]


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize("code", list(wire.Code))
def test_boto3_reads_code_and_message_of_every_error_in_every_protocol(service: str, code: wire.Code) -> None:
    model = get_session().get_service_model(service)
    protocol = wire.Protocol(model.resolved_protocol)
    text = 'It\'s <not> & "this" é ' + "x" * 300
    sent = wire.error_response(protocol, code.in_protocol(protocol), text, 403)

    headers = {name.lower(): value for name, value in sent.headers.items()}
    response = {
        "body": sent.body,
        "headers": headers | {"content-type": sent.content_type},
        "status_code": 403,
    }
    shape: Any = model.operation_model(model.operation_names[0]).output_shape
    read = create_parser(model.resolved_protocol).parse(response, shape)

    assert read["Error"]["Code"] == code.in_protocol(protocol)
    assert read["Error"]["Message"] == text


@pytest.mark.parametrize(
    ("changes", "service", "expected"),
    [
        ({"HTTP_X_AMZ_TARGET": "Kinesis.X"}, "kinesis", wire.Protocol.JSON),
        ({"HTTP_SMITHY_PROTOCOL": "rpc-v2-cbor"}, "monitoring", wire.Protocol.CBOR),
        ({"CONTENT_TYPE": "application/x-www-form-urlencoded; charset=utf-8"}, "sns", wire.Protocol.QUERY),
        ({"CONTENT_TYPE": "application/x-www-form-urlencoded"}, "ec2", wire.Protocol.EC2),
        ({"QUERY_STRING": "Action=ListTopics"}, "sns", wire.Protocol.QUERY),
        ({}, "s3", wire.Protocol.REST_XML),
        ({}, "", wire.Protocol.REST_XML),
        ({}, "lambda", wire.Protocol.REST_JSON),
    ],
)
def test_a_requests_protocol_is_recognised(
    changes: dict[str, str], service: str, expected: wire.Protocol
) -> None:
    assert wire.protocol_of(changes, service) is expected
