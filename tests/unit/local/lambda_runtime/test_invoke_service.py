"""The API call Invoke: what it answers."""

from __future__ import annotations

import base64
import json

import pytest

from tests.unit.local.lambda_runtime.doubles import a_function
from txnpipe.local.lambda_runtime.functions import FunctionSpec
from txnpipe.local.lambda_runtime.invoke_service import InvokeService
from txnpipe.local.lambda_runtime.results import InvokeResult
from txnpipe.local.service import Request, Response, ServiceError

PATH = "/2015-03-31/functions/f/invocations"


class Runner:
    def __init__(self, result: InvokeResult) -> None:
        self.result = result
        self.ran: list[bytes] = []
        self.queued: list[bytes] = []
        self.asked: list[tuple[str, str, str | None]] = []

    def run(self, spec: FunctionSpec, payload: bytes) -> InvokeResult:
        self.ran.append(payload)
        return self.result

    def run_later(self, spec: FunctionSpec, payload: bytes) -> None:
        self.queued.append(payload)

    def find(self, name: str, region: str, qualifier: str | None) -> FunctionSpec:
        self.asked.append((name, region, qualifier))
        if name == "missing":
            raise ServiceError("ResourceNotFoundException", "Function not found", 404)
        return a_function()


OK = InvokeResult("ok", b'{"n":1}', "id", "$LATEST", b"START\nEND\n")


def invoke(
    runner: Runner, path: str = PATH, body: bytes = b'{"a":1}', query: str = "", **headers: str
) -> Response:
    named = {f"x-amz-{name.replace('_', '-')}": value for name, value in headers.items()}
    return InvokeService(runner, runner.find).handle(
        Request("POST", path, query, "", "us-east-1", named, body)
    )


def test_a_synchronous_call_answers_with_the_payload() -> None:
    runner = Runner(OK)
    answer = invoke(runner)
    assert (answer.status, answer.body, answer.content_type) == (200, b'{"n":1}', "application/json")
    assert answer.headers == {"x-amz-executed-version": "$LATEST"}
    assert runner.ran == [b'{"a":1}']


@pytest.mark.parametrize("kind", ["error", "timeout", "crash", "init_error"])
def test_every_failure_is_an_unhandled_function_error_with_status_200(kind: str) -> None:
    answer = invoke(Runner(InvokeResult(kind, b'{"errorMessage":"no"}')))  # type: ignore[arg-type]
    assert (answer.status, answer.headers["x-amz-function-error"]) == (200, "Unhandled")
    assert answer.body == b'{"errorMessage":"no"}'


def test_the_log_comes_only_when_asked_for() -> None:
    assert "x-amz-log-result" not in invoke(Runner(OK), log_type="None").headers
    tail = invoke(Runner(OK), log_type="Tail").headers["x-amz-log-result"]
    assert base64.b64decode(tail) == b"START\nEND\n"


def test_an_event_is_queued() -> None:
    runner = Runner(OK)
    answer = invoke(runner, invocation_type="Event")
    assert (answer.status, answer.body) == (202, b"")
    assert (runner.ran, runner.queued) == ([], [b'{"a":1}'])


def test_a_dry_run_runs_nothing() -> None:
    runner = Runner(OK)
    assert invoke(runner, invocation_type="DryRun").status == 204
    assert runner.ran == runner.queued == []


def test_no_payload_is_an_empty_object() -> None:
    runner = Runner(OK)
    invoke(runner, body=b"")
    assert runner.ran == [b"{}"]


@pytest.mark.parametrize(
    ("path", "query", "asked"),
    [
        (PATH, "Qualifier=prod", ("f", "us-east-1", "prod")),
        ("/2015-03-31/functions/f:2/invocations", "", ("f:2", "us-east-1", None)),
        (
            "/2015-03-31/functions/arn%3Aaws%3Alambda%3Aus-east-1%3A000000000000%3Afunction%3Af/invocations",
            "",
            ("arn:aws:lambda:us-east-1:000000000000:function:f", "us-east-1", None),
        ),
    ],
)
def test_functions_are_named_by_name_qualifier_or_arn(
    path: str, query: str, asked: tuple[str, str, str | None]
) -> None:
    runner = Runner(OK)
    invoke(runner, path, query=query)
    assert runner.asked == [asked]


@pytest.mark.parametrize(
    ("path", "body", "headers", "code"),
    [
        ("/2015-03-31/functions/missing/invocations", b"{}", {}, "ResourceNotFoundException"),
        (PATH, b"{", {}, "InvalidRequestContentException"),
        (PATH, b"{}", {"invocation_type": "Other"}, "InvalidParameterValueException"),
        (PATH, json.dumps("x" * 6_291_456).encode(), {}, "RequestTooLargeException"),
        (
            PATH,
            json.dumps("x" * 1_048_576).encode(),
            {"invocation_type": "Event"},
            "RequestTooLargeException",
        ),
    ],
)
def test_what_lambda_would_refuse_is_refused(
    path: str, body: bytes, headers: dict[str, str], code: str
) -> None:
    runner = Runner(OK)
    with pytest.raises(ServiceError) as caught:
        invoke(runner, path, body, **headers)
    assert caught.value.code == code
    assert runner.ran == runner.queued == []


def test_only_invocations_are_claimed() -> None:
    service = InvokeService(Runner(OK), Runner(OK).find)
    assert service.claims("POST", PATH, "")
    assert service.claims("POST", PATH + "/", "")
    assert not service.claims("GET", PATH, "")
    assert not service.claims("POST", "/2015-03-31/functions", "")
    assert not service.claims("POST", "/2015-03-31/functions/f/code", "")
    assert not service.claims("POST", "/2014-11-13/functions/f/invoke-async", "")
