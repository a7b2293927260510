"""Starts Flink in a JVM of its own and drives one job in it.

The JVM runs py4j's gateway (loopback, with a token that it prints on its standard output) and ends by itself
when this process does: it reads the other end of a pipe. What the job needs to know of AWS (endpoint, key)
is in its environment, never in its arguments.
"""

from __future__ import annotations

import logging
import os
import re
import shutil
import subprocess
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from txnpipe.local.flink import libraries, tls
from txnpipe.local.flink.code import Code

log = logging.getLogger(__name__)

GATEWAY = "org.apache.flink.api.python.shaded.py4j.GatewayServer"
START_TIMEOUT_S = 180.0
"""For a JVM to say where it listens: a second or two, half a minute on a busy machine, never if it hangs."""
SAVEPOINT_TIMEOUT_S = 300
_SETTING = re.compile(r"SET '([^']+)' = '([^']*)'")
_SMALL = {"MALLOC_ARENA_MAX": "2"}
"""A hundred threads, each with a heap of its own for native memory, would hold some 40 MB more."""
_ENDED = frozenset({"FAILED", "CANCELED", "FINISHED"})


class JobError(Exception):
    """Flink refused, or its JVM is gone. The message is Flink's own, shortened to its root."""


@dataclass(frozen=True)
class JobPlan:
    """A job to run. `configuration` are Flink's options, `directory` is for the JVM's own files."""

    name: str
    code: Code
    configuration: Mapping[str, str]
    environment: Mapping[str, str]
    directory: Path
    log_file: Path
    log_level: str
    heap_mb: int


class FlinkJob:
    """One JVM with one job. Made by `launch`."""

    def __init__(self, process: subprocess.Popen[bytes], gateway: Any, client: Any) -> None:
        self._process = process
        self._gateway = gateway
        self._client = client
        self._lock = threading.Lock()

    @property
    def pid(self) -> int:
        """The JVM's process id."""
        return self._process.pid

    def status(self) -> str:
        """Flink's job status ("RUNNING", "RESTARTING", "FAILED", ...); "DEAD" where the JVM is gone."""
        if self._process.poll() is not None:
            return "DEAD"
        try:
            return str(self._client.getJobStatus().get().toString())
        except Exception as error:  # py4j raises many kinds when the JVM dies in mid-call
            if self._process.poll() is not None or not _is_java_error(error):
                return "DEAD"
            raise JobError(_reason(error)) from error

    def savepoint(self, target: Path) -> Path:
        """Writes a savepoint below `target` while the job goes on, and returns its directory."""
        return self._savepoint(target, lambda kind: self._client.triggerSavepoint(_uri(target), kind))

    def stop_with_savepoint(self, target: Path) -> Path:
        """Writes a savepoint below `target` and stops the job in the same step."""
        return self._savepoint(target, lambda kind: self._client.stopWithSavepoint(False, _uri(target), kind))

    def _savepoint(self, target: Path, trigger: Any) -> Path:
        target.mkdir(parents=True, exist_ok=True, mode=0o700)
        jvm = self._gateway.jvm
        kind = jvm.org.apache.flink.core.execution.SavepointFormatType.CANONICAL
        try:
            written = trigger(kind).get(SAVEPOINT_TIMEOUT_S, jvm.java.util.concurrent.TimeUnit.SECONDS)
        except Exception as error:
            raise JobError(_reason(error)) from error
        return Path(str(written).removeprefix("file:"))

    def kill(self) -> None:
        """Ends the JVM, whatever it does."""
        with self._lock:
            end(self._process)
        try:
            self._gateway.close()
        except Exception:  # the other side of the connection is gone
            log.debug("closing the gateway", exc_info=True)


def launch(
    plan: JobPlan,
    restore_from: Path | None,
    stopping: threading.Event,
    *,
    allow_non_restored_state: bool = False,
) -> FlinkJob:
    """Starts a JVM and submits the job. Blocks for some seconds, or until `stopping` is set.

    Raises JobError; then no JVM is left.
    """
    process = start_jvm(plan)
    launched = threading.Event()
    threading.Thread(
        target=_kill_when_called_off, args=(process, stopping, launched), name="flink-launch", daemon=True
    ).start()
    try:
        gateway = _connect(process, plan)
        client = _submit(gateway, plan, restore_from, allow_non_restored_state)
        return FlinkJob(process, gateway, client)
    except BaseException:
        end(process)
        raise
    finally:
        launched.set()


def _kill_when_called_off(
    process: subprocess.Popen[bytes], stopping: threading.Event, launched: threading.Event
) -> None:
    while not launched.wait(0.05):
        if stopping.is_set():
            process.kill()
            return


def start_jvm(plan: JobPlan) -> subprocess.Popen[bytes]:
    """The JVM, before anything is run in it."""
    temporary = plan.directory / "tmp"
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True, mode=0o700)
    logging_file = plan.directory / "log4j2.properties"
    logging_file.write_text(_logging_configuration(plan.log_file, plan.log_level), "utf-8")
    jars = [*([plan.code.jar] if plan.code.jar else []), *libraries.flink_jars()]
    command = [
        str(libraries.java()),
        f"-Xmx{plan.heap_mb}m",
        # What was touched once stays resident. The heap would begin with a share of the machine's memory, and
        # the young generation take a third of what the heap may become.
        "-Xms48m",
        "-XX:MaxNewSize=48m",
        # A laptop's cores are few: the quick compiler and one collector thread start sooner and idle cheaper.
        "-XX:TieredStopAtLevel=1",
        "-XX:+UseSerialGC",
        # What planning the job needed is given back.
        "-XX:MinHeapFreeRatio=10",
        "-XX:MaxHeapFreeRatio=30",
        "-XX:+ExitOnOutOfMemoryError",
        "-XX:-UsePerfData",
        "-Djava.net.preferIPv4Stack=true",
        f"-Djava.io.tmpdir={temporary}",
        f"-XX:ErrorFile={plan.directory / 'jvm-crash.log'}",
        f"-Dlog4j.configurationFile={logging_file}",
        "-cp",
        ":".join(str(jar) for jar in jars),
        GATEWAY,
        "--die-on-broken-pipe",
        "--enable-auth",
        "0",
    ]
    with (plan.directory / "jvm.err").open("wb") as errors:
        return subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            cwd=plan.directory,
            env={**_base_environment(), **_SMALL, "TMPDIR": str(temporary), **plan.environment},
            start_new_session=True,
        )


def end(process: subprocess.Popen[bytes]) -> None:
    """Kills the JVM and waits for it. Everything worth keeping is on disk already."""
    if process.poll() is None:
        process.kill()
    process.wait(timeout=30)
    for pipe in (process.stdin, process.stdout):
        if pipe:
            pipe.close()


def _base_environment() -> dict[str, str]:
    kept = ("PATH", "HOME", "LANG", "LC_ALL", "TXNPIPE_HOME")
    return {name: os.environ[name] for name in kept if name in os.environ}


def _connect(process: subprocess.Popen[bytes], plan: JobPlan) -> Any:
    from py4j.java_gateway import GatewayParameters, JavaGateway

    assert process.stdout is not None
    timer = threading.Timer(START_TIMEOUT_S, process.kill)
    timer.daemon = True
    timer.start()
    try:
        port = process.stdout.readline().strip()
        token = process.stdout.readline().strip()
    finally:
        timer.cancel()
    if not port.isdigit() or not token:
        raise JobError(f"The JVM did not start: {_last_words(plan)}")
    threading.Thread(target=_drain, args=(process.stdout,), name="flink-stdout", daemon=True).start()
    return JavaGateway(
        gateway_parameters=GatewayParameters(
            address="127.0.0.1", port=int(port), auth_token=token.decode(), auto_convert=True
        )
    )


def _drain(stream: IO[bytes]) -> None:
    """Nothing more is expected there, but a full pipe would stop the JVM."""
    try:
        while stream.read(65536):
            pass
    except (OSError, ValueError):  # closed
        return


def _submit(gateway: Any, plan: JobPlan, restore_from: Path | None, allow_non_restored_state: bool) -> Any:
    options = {**plan.configuration, **tls.lock_options(plan.directory / "flink.p12")}
    if restore_from is not None:
        options["execution.state-recovery.path"] = _uri(restore_from)
        options["execution.state-recovery.ignore-unclaimed-state"] = str(allow_non_restored_state).lower()
    flink = gateway.jvm.org.apache.flink
    configuration = flink.configuration.Configuration()
    for name, value in options.items():
        configuration.setString(name, value)
    settings = flink.table.api.EnvironmentSettings.newInstance().inStreamingMode()
    try:
        environment = flink.table.api.TableEnvironment.create(
            settings.withConfiguration(configuration).build()
        )
        inserts = environment.createStatementSet()
        for statement in plan.code.statements:
            setting = _SETTING.fullmatch(statement)
            if setting:
                environment.getConfig().set(setting[1], setting[2])
            elif statement.startswith("INSERT "):
                inserts.addInsertSql(statement)
            else:
                environment.executeSql(statement)
        client = inserts.execute().getJobClient().get()
        gateway.jvm.System.gc()
        return client
    except Exception as error:
        raise JobError(_reason(error)) from error


def _uri(path: Path) -> str:
    return f"file://{path}"


def _is_java_error(error: Exception) -> bool:
    from py4j.protocol import Py4JJavaError

    return isinstance(error, Py4JJavaError)


def _reason(error: Exception) -> str:
    """The root of a Java exception in one line, or what Python knows."""
    if not _is_java_error(error):
        return f"The JVM is gone: {error}"
    try:
        cause = error.java_exception  # type: ignore[attr-defined]
        while cause.getCause() is not None:
            cause = cause.getCause()
        text = f"{cause.getClass().getSimpleName()}: {cause.getMessage()}"
    except Exception:  # noqa: BLE001 - the JVM died while it was asked
        return "The JVM is gone."
    return " ".join(text.split())[:500]


def _last_words(plan: JobPlan) -> str:
    text = (plan.directory / "jvm.err").read_text("utf-8", "replace").strip()
    return text[-500:] or "it said nothing"


def _logging_configuration(log_file: Path, level: str) -> str:
    """log4j2: one file of at most 10 MB and one older."""
    return f"""\
rootLogger.level = {level}
rootLogger.appenderRef.file.ref = File
appender.file.name = File
appender.file.type = RollingFile
appender.file.fileName = {log_file}
appender.file.filePattern = {log_file}.%i
appender.file.append = true
appender.file.layout.type = PatternLayout
appender.file.layout.pattern = %d{{yyyy-MM-dd HH:mm:ss,SSS}} %-5p %-40.40c{{1.}} %m%n%xEx
appender.file.policies.type = Policies
appender.file.policies.size.type = SizeBasedTriggeringPolicy
appender.file.policies.size.size = 10MB
appender.file.strategy.type = DefaultRolloverStrategy
appender.file.strategy.max = 1
"""


def has_ended(status: str) -> bool:
    """Whether a job of this status will never run again by itself."""
    return status == "DEAD" or status in _ENDED
