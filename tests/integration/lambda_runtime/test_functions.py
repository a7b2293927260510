"""Functions run as on Lambda: what they get, what becomes of every way to fail. Real processes."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import psutil
import pytest

from tests.integration.lambda_runtime.conftest import Runtime, is_gone, until_gone
from tests.unit.local.lambda_runtime.doubles import RUNTIME, a_function, zipped
from tests.waiting import PATIENCE_S, eventually

ECHO = "def handler(event, context): return event"


@pytest.mark.parametrize("event", [{"a": [1, 2.5, None, "ü\u0000"]}, [], "text", None, 1])
def test_an_event_goes_in_and_the_result_comes_out(runtime: Runtime, event: object) -> None:
    assert runtime.value(ECHO, event) == event


def test_the_context_is_lambdas(runtime: Runtime) -> None:
    source = """
def handler(event, context):
    return {
        "id": context.aws_request_id, "arn": context.invoked_function_arn, "name": context.function_name,
        "version": context.function_version, "memory": context.memory_limit_in_mb,
        "left": context.get_remaining_time_in_millis(),
    }
"""
    result = runtime.run(source, timeout_s=900)
    context = runtime.value(source, timeout_s=900)
    assert result.request_id
    assert context["arn"] == "arn:aws:lambda:us-east-1:000000000000:function:f"
    assert (context["name"], context["version"], context["memory"]) == ("f", "$LATEST", "128")
    assert 840_000 < context["left"] <= 900_000


def test_a_worker_keeps_its_state_between_calls_and_restarts_without_it(runtime: Runtime) -> None:
    source = "n = 0\ndef handler(event, context):\n    global n\n    n += 1\n    return n"
    assert [runtime.value(source) for _ in range(3)] == [1, 2, 3]
    assert runtime.value(source, environment=(("CHANGED", "1"),)) == 1


def test_an_exception_is_an_error_with_its_stack_and_the_worker_lives_on(runtime: Runtime) -> None:
    source = "def handler(event, context):\n    if event: raise ValueError('no such thing')"
    kind, error = runtime.error(source, True)
    assert kind == "error"
    assert (error["errorMessage"], error["errorType"]) == ("no such thing", "ValueError")
    assert "app.py" in error["stackTrace"][0]
    assert len(error["stackTrace"]) == 1
    (worker,) = runtime.part.processes()
    assert runtime.value(source) is None
    assert runtime.part.processes() == [worker]


@pytest.mark.parametrize(
    ("statement", "reason"),
    [
        ("sys.exit(3)", "Runtime exited with error: exit status 3"),
        ("os._exit(0)", "Runtime exited without providing a reason"),
        ("os.kill(os.getpid(), 9)", "Runtime exited with error: signal: killed"),
        ("os.abort()", "Runtime exited with error: signal: aborted"),
    ],
)
def test_a_process_that_ends_is_a_crash_and_the_next_call_has_a_new_one(
    runtime: Runtime, statement: str, reason: str
) -> None:
    source = (
        f"import os, sys\ndef handler(event, context):\n    if event: {statement}\n    return os.getpid()"
    )
    before = runtime.value(source)
    kind, error = runtime.error(source, True)
    assert kind == "crash"
    assert error["errorType"] == "Runtime.ExitError"
    assert error["errorMessage"].endswith(f"Error: {reason}")
    assert runtime.value(source) != before


def test_a_kill_from_outside_in_the_middle_of_a_call_is_a_crash(runtime: Runtime) -> None:
    begun = runtime.home / "begun"
    source = f"""
import pathlib, time
def handler(event, context):
    if event:
        pathlib.Path({str(begun)!r}).touch()
        time.sleep(600)
"""
    runtime.value(source)
    (worker,) = runtime.part.processes()
    with ThreadPoolExecutor(1) as pool:
        call = pool.submit(runtime.error, source, True)
        eventually(begun.exists, "call")
        os.kill(worker.pid, signal.SIGKILL)
        kind, error = call.result(PATIENCE_S)
    assert (kind, error["errorType"]) == ("crash", "Runtime.ExitError")
    assert runtime.value(source) is None


def test_a_kill_between_two_calls_is_not_noticed(runtime: Runtime) -> None:
    runtime.value(ECHO, 1)
    (worker,) = runtime.part.processes()
    os.kill(worker.pid, signal.SIGKILL)
    eventually(lambda: not runtime.part.processes(), "end of the worker")
    assert runtime.value(ECHO, 2) == 2


@pytest.mark.parametrize("work", ["time.sleep(600)", "\n        while True: pass"])
def test_a_call_that_takes_too_long_times_out_and_its_process_is_gone(runtime: Runtime, work: str) -> None:
    pids = runtime.home / "pids"
    source = f"""
import os, time
def handler(event, context):
    with open({str(pids)!r}, "a") as output: output.write(f"{{os.getpid()}}\\n")
    if event: {work}
"""
    # A slow machine may need more than that one second for a call that does nothing.
    eventually(lambda: runtime.run(source, timeout_s=1).kind == "ok", "call in time")
    started = time.monotonic()
    kind, error = runtime.error(source, True, timeout_s=1)
    assert kind == "timeout"
    assert error["errorMessage"].endswith("Task timed out after 1.00 seconds")
    assert 1.0 <= time.monotonic() - started < 300
    *_, busy = pids.read_text().split()
    until_gone(int(busy))
    eventually(lambda: runtime.run(source, timeout_s=1).kind == "ok", "call in time")
    *_, another = pids.read_text().split()
    assert another != busy


def test_what_a_function_started_ends_with_it(runtime: Runtime) -> None:
    source = """
import subprocess, os
def handler(event, context):
    if event: os._exit(1)
    return subprocess.Popen(["sleep", "600"]).pid
"""
    child = runtime.value(source)
    assert not is_gone(child)
    runtime.error(source, True)
    until_gone(child)


@pytest.mark.parametrize(
    ("source", "handler", "error_type", "message"),
    [
        (ECHO, "missing.handler", "Runtime.ImportModuleError", "Unable to import module 'missing'"),
        (ECHO, "app.other", "Runtime.HandlerNotFound", "Handler 'other' missing on module 'app'"),
        (ECHO, "app", "Runtime.MalformedHandlerName", "Bad handler 'app'"),
        ("def (", "app.handler", "Runtime.UserCodeSyntaxError", "Syntax error in module 'app'"),
        ("import missing_dependency", "app.handler", "Runtime.ImportModuleError", "missing_dependency"),
        ("1 / 0", "app.handler", "ZeroDivisionError", "division by zero"),
        ("import sys; sys.exit(7)", "app.handler", "Runtime.ExitError", "exit status 7"),
    ],
)
def test_a_function_that_cannot_be_loaded_is_an_init_error(
    runtime: Runtime, source: str, handler: str, error_type: str, message: str
) -> None:
    kind, error = runtime.error(source, handler=handler)
    assert kind == "init_error"
    assert error["errorType"] == error_type
    assert message in error["errorMessage"]


def test_a_response_of_more_than_six_megabytes_is_an_error(runtime: Runtime) -> None:
    source = "def handler(event, context): return 'x' * event"
    assert len(runtime.value(source, 6_000_000)) == 6_000_000
    kind, error = runtime.error(source, 6_300_000)
    assert (kind, error["errorType"]) == ("error", "Function.ResponseSizeTooLarge")
    assert runtime.value(source, 1) == "x"


def test_a_response_that_is_no_json_is_an_error(runtime: Runtime) -> None:
    kind, error = runtime.error("def handler(event, context): return object()")
    assert kind == "error"
    assert "JSON serializable" in error["errorMessage"]


def test_six_megabytes_go_in(runtime: Runtime) -> None:
    assert runtime.value("def handler(event, context): return len(event)", "x" * 6_000_000) == 6_000_000


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not enforce RLIMIT_DATA")
def test_memory_is_limited(runtime: Runtime) -> None:
    source = "def handler(event, context): return len(bytearray(event * 1024 * 1024))"
    assert runtime.value(source, 40) == 40 * 1024 * 1024
    kind, error = runtime.error(source, 200)
    assert (kind, error["errorType"]) == ("error", "MemoryError")
    assert runtime.value(source, 200, memory_mb=512) == 200 * 1024 * 1024


def test_printing_goes_to_the_functions_log_between_lambdas_own_lines(runtime: Runtime) -> None:
    source = """
import sys, logging
def handler(event, context):
    print("to stdout")
    print("to stderr", file=sys.stderr)
    sys.stdout.write("unfinished")
"""
    result = runtime.run(source)
    lines = result.log_tail.decode().splitlines()
    assert lines[0] == f"START RequestId: {result.request_id} Version: $LATEST"
    assert sorted(lines[1:4]) == sorted(["to stdout", "to stderr", "unfinished"])
    assert lines[4] == f"END RequestId: {result.request_id}"
    assert lines[5].startswith(f"REPORT RequestId: {result.request_id}\tDuration: ")
    assert "Init Duration" in lines[5]
    assert runtime.log.splitlines()[-6:] == lines
    assert "Init Duration" not in runtime.run(source).log_tail.decode()


def test_with_the_log_format_json_every_line_is_an_object(runtime: Runtime) -> None:
    source = """
def handler(event, context):
    print('{"own": "line"}')
    if event: raise ValueError("no such thing")
"""
    good = runtime.run(source, log_format="JSON")
    start, own, report = (json.loads(line) for line in good.log_tail.decode().splitlines())
    assert start["type"] == "platform.start"
    assert start["record"] == {"requestId": good.request_id, "version": "$LATEST"}
    assert own == {"own": "line"}
    assert (report["type"], report["record"]["status"]) == ("platform.report", "success")
    assert report["record"]["requestId"] == good.request_id
    assert report["record"]["metrics"]["initDurationMs"] > 0

    bad = runtime.run(source, True, log_format="JSON")
    _, _, error, report = (json.loads(line) for line in bad.log_tail.decode().splitlines())
    assert (error["level"], error["errorType"]) == ("ERROR", "ValueError")
    assert (report["record"]["status"], report["record"]["errorType"]) == ("error", "ValueError")
    assert "initDurationMs" not in report["record"]["metrics"]


def test_with_the_log_format_json_a_timeout_is_told_by_the_report(runtime: Runtime) -> None:
    source = "import time\ndef handler(event, context): time.sleep(600)"
    result = runtime.run(source, log_format="JSON", timeout_s=1)
    report = json.loads(result.log_tail.decode().splitlines()[-1])
    assert (report["record"]["status"], report["record"]["errorType"]) == ("timeout", "Sandbox.Timedout")


def test_a_function_that_prints_more_than_a_pipe_holds_does_not_hang(runtime: Runtime) -> None:
    result = runtime.run("def handler(event, context): print('x' * 3_000_000)")
    assert result.kind == "ok"
    assert len(result.log_tail) == 4096


def test_only_the_zip_the_standard_library_and_boto3_can_be_imported(runtime: Runtime) -> None:
    source = "import importlib\ndef handler(event, context): importlib.import_module(event)"
    for available in ("json", "boto3", "botocore", "urllib3", "dateutil"):
        runtime.value(source, available)
    for missing in ("psycopg2", "txnpipe", "moto", "pytest", "launcher"):
        assert runtime.error(source, missing)[1]["errorType"] == "ModuleNotFoundError"


def test_the_zip_comes_first_on_the_path(runtime: Runtime) -> None:
    code = zipped({"app.py": "import boto3\ndef handler(e, c): return boto3.own", "boto3.py": "own = 'mine'"})
    assert runtime.value("", code=code, code_sha256="own-boto3") == "mine"


def test_temporary_files_go_to_a_directory_that_ends_with_the_worker(runtime: Runtime) -> None:
    source = """
import os, tempfile
def handler(event, context):
    if event: os._exit(1)
    return tempfile.mkstemp()[1]
"""
    path = runtime.value(source)
    assert path.startswith(str(runtime.home / "lambda" / "tmp"))
    assert os.path.exists(path)  # noqa: PTH110
    runtime.error(source, True)
    eventually(lambda: not os.path.exists(path), "end of the directory")  # noqa: PTH110


def test_no_secret_is_on_a_command_line_and_nothing_private_is_readable_by_others(runtime: Runtime) -> None:
    runtime.value(ECHO)
    (worker,) = runtime.part.processes()
    command = " ".join(psutil.Process(worker.pid).cmdline())
    environment = psutil.Process(worker.pid).environ()
    assert "SECRET" not in command
    assert environment["AWS_LAMBDA_RUNTIME_API"].partition("/")[2] not in command
    assert (runtime.home / "lambda").stat().st_mode & 0o077 == 0
    assert (runtime.home / "logs" / "lambda-f.log").stat().st_mode & 0o077 == 0


def test_calls_at_the_same_time_run_in_processes_of_their_own(runtime: Runtime) -> None:
    together = runtime.home / "together"
    together.mkdir()
    source = f"""
import os, pathlib, time
def handler(event, context):
    together = pathlib.Path({str(together)!r})
    (together / str(os.getpid())).touch()
    while len(list(together.iterdir())) < 4: time.sleep(0.01)
    return os.getpid()
"""
    with ThreadPoolExecutor(4) as pool:
        pids = set(pool.map(lambda _: runtime.value(source), range(4)))
    assert len(pids) == 4
    assert len(runtime.part.processes()) == 4


def test_an_update_lets_a_running_call_finish_on_the_old_code(runtime: Runtime) -> None:
    begun, allowed = runtime.home / "begun", runtime.home / "allowed"
    old = f"""
import pathlib, time
def handler(event, context):
    pathlib.Path({str(begun)!r}).touch()
    while not pathlib.Path({str(allowed)!r}).exists(): time.sleep(0.01)
    return 'old'
"""
    new = "def handler(event, context): return 'new'"
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(runtime.value, old)
        eventually(begun.exists, "call")
        assert runtime.value(new) == "new"
        assert not running.done()
        allowed.touch()
        assert running.result(PATIENCE_S) == "old"
    eventually(lambda: len(runtime.part.processes()) == 1, "end of the old worker")
    assert runtime.value(new) == "new"


@pytest.mark.parametrize("name", ["python2.7", "python3.1", "nodejs22.x", ""])
def test_a_runtime_this_machine_does_not_have_is_named(
    make_runtime: Callable[[], Runtime], name: str
) -> None:
    kind, error = make_runtime().error(ECHO, runtime=name)
    assert (kind, error["errorType"]) == ("init_error", "Runtime.InvalidRuntime")
    assert name in error["errorMessage"]


def test_code_that_is_no_zip_is_an_init_error(make_runtime: Callable[[], Runtime]) -> None:
    kind, error = make_runtime().error("", code=b"no zip", code_sha256="bad")
    assert (kind, error["errorType"]) == ("init_error", "Runtime.InvalidZipFile")


def test_stop_ends_every_worker_at_once(make_runtime: Callable[[], Runtime]) -> None:
    runtime = make_runtime()
    source = "import time\ndef handler(event, context): time.sleep(600)"
    with ThreadPoolExecutor(1) as pool:
        call = pool.submit(runtime.run, source, timeout_s=600)
        eventually(lambda: (runtime.home / "logs").exists() and "START" in runtime.log, "call")
        (worker,) = runtime.part.processes()
        runtime.part.stop()
        until_gone(worker.pid)
        assert call.result(PATIENCE_S).kind in ("crash", "init_error")


def test_asynchronous_calls_run_and_are_retried(make_runtime: Callable[[], Runtime]) -> None:
    runtime = make_runtime()
    marker = runtime.home / "calls"
    source = f"""
def handler(event, context):
    with open({str(marker)!r}, "a") as calls: calls.write("x")
    if open({str(marker)!r}).read() == "x": raise ValueError
"""
    runtime.part.run_later(a_function(source, timeout_s=int(PATIENCE_S)), b"{}")
    eventually(lambda: marker.exists() and marker.read_text() == "xx", "second try")


def test_the_runtime_is_the_one_of_this_python() -> None:
    assert f"python{sys.version_info.major}.{sys.version_info.minor}" == RUNTIME


def test_layers_are_refused_by_name(make_runtime: Callable[[], Runtime]) -> None:
    kind, error = make_runtime().error(ECHO, layers=("arn:aws:lambda:us-east-1:0:layer:l:1",))
    assert (kind, error["errorType"]) == ("init_error", "Runtime.LayersUnsupported")
