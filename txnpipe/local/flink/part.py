"""Managed Flink as a part of the local cloud's daemon."""

from __future__ import annotations

import logging
import shutil
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from botocore.exceptions import BotoCoreError, ClientError

from txnpipe.local.flink import code as codes
from txnpipe.local.flink import configuration as configurations
from txnpipe.local.flink.applications import Applications
from txnpipe.local.flink.jvm import JobPlan, launch
from txnpipe.local.flink.machinery import Machinery
from txnpipe.local.flink.service import FlinkService
from txnpipe.local.flink.state import Application, Store
from txnpipe.local.flink.supervisor import Job, Start, Supervisor
from txnpipe.local.part import Listener, LocalContext, Process

log = logging.getLogger(__name__)


class FlinkPart:
    """Runs applications, each in a JVM of its own. State is in `home/flink`, logs in `home/logs`.

    latencies: seconds that a state (STARTING, STOPPING, UPDATING, DELETING) lasts at least; none by default.
    """

    name = "flink"

    def __init__(self, context: LocalContext, latencies: Mapping[str, float] | None = None) -> None:
        self._context = context
        self._store = Store(context.home / self.name)
        self._stopping = threading.Event()
        self._applications = Applications(
            self._store,
            Machinery(
                prepare=self._prepare,
                clock=time.time,
                sleep=self._sleep,
                spawn=_in_background,
                latencies=latencies or {},
            ),
        )
        self.service = FlinkService(self._applications, self._code_is_there)

    def start(self) -> None:
        """Brings back every application that was running, in the background."""
        self._applications.resume()

    def stop(self) -> None:
        """Ends the JVMs. Each application continues from its newest checkpoint when the daemon is back."""
        self._stopping.set()
        self._applications.shut_down()

    def processes(self) -> list[Process]:
        """The JVMs alive now."""
        return [
            Process(f"flink {name}", job.pid)
            for (_, name), job in self._applications.jobs().items()
            if isinstance(job, Supervisor) and job.pid is not None
        ]

    def listeners(self) -> list[Listener]:
        """The ports of the JVMs: each wants a secret, the gateway's token or a client certificate."""
        import psutil

        found = []
        for process in self.processes():
            try:
                connections = psutil.Process(process.pid).net_connections(kind="tcp")
            except psutil.Error:
                continue
            found += [
                Listener(process.name, connection.laddr.port)
                for connection in connections
                if connection.status == psutil.CONN_LISTEN
            ]
        return found

    def _sleep(self, seconds: float) -> None:
        self._stopping.wait(seconds)

    def _code_is_there(self, region: str, configuration: Mapping[str, object]) -> bool:
        bucket, key, version = codes.location(configuration)
        extra = {"VersionId": version} if version else {}
        try:
            self._context.client("s3", region).head_object(Bucket=bucket, Key=key, **extra)
        except (ClientError, BotoCoreError):
            return False
        return True

    def _prepare(self, application: Application) -> Supervisor:
        """The supervised job of an application's current version and run. Raises CodeError."""
        assert application.run is not None
        run = application.run
        version = application.version
        directory = self._store.directory(application.region, application.name)
        runs = directory / "runs"
        run_directory = runs / str(run.number)
        checkpoints = run_directory / "checkpoints"
        checkpoints.mkdir(parents=True, exist_ok=True, mode=0o700)
        restore_from = Path(run.restored_from) if run.restored_from else None
        options = codes.run_options(version.configuration)
        _remove_former_runs(runs, run.number, restore_from)
        environment = {
            "AWS_ACCESS_KEY_ID": self._context.access_key_id,
            "AWS_SECRET_ACCESS_KEY": self._context.secret_access_key,
            "AWS_ENDPOINT_URL": self._context.endpoint_url,
            "AWS_REGION": application.region,
            "TXNPIPE_HOME": str(self._context.home),
        }

        def start(state: Path | None, stopping: threading.Event) -> Job:
            # The code is fetched when the JVM starts: at the daemon's own start the API answers only after
            # every part has been made.
            plan = JobPlan(
                name=application.name,
                code=self._fetch(application, directory / "code", options),
                configuration=configurations.flink_options(
                    version.configuration, application.name, checkpoints
                ),
                environment=environment,
                directory=run_directory,
                log_file=self._context.home / "logs" / f"flink-{application.name}.log",
                log_level=configurations.log_level(version.configuration),
                heap_mb=self._context.flink_heap_mb,
            )
            return launch(plan, state, stopping, allow_non_restored_state=run.allow_non_restored_state)

        return Supervisor(application.name, Start(start, checkpoints, restore_from))

    def _fetch(self, application: Application, target: Path, options: Mapping[str, str]) -> codes.Code:
        bucket, key, version = codes.location(application.version.configuration)
        marker = target.with_name("code.version")
        wanted = f"{application.version.number} s3://{bucket}/{key} {version or ''}"
        if not (target.is_dir() and marker.is_file() and marker.read_text() == wanted):
            extra = {"VersionId": version} if version else {}
            try:
                answer = self._context.client("s3", application.region).get_object(
                    Bucket=bucket, Key=key, **extra
                )
                content = answer["Body"].read()
            except (ClientError, BotoCoreError) as error:
                raise codes.CodeError(f"The code s3://{bucket}/{key} could not be read: {error}") from error
            marker.unlink(missing_ok=True)
            codes.unpack(content, target)
            marker.write_text(wanted)
        return codes.read(options, target)


def _in_background(work: Callable[[], None]) -> None:
    def logged() -> None:
        try:
            work()
        except Exception:  # an operation that fails must be seen, and must not take the daemon along
            log.exception("an operation on an application failed")

    threading.Thread(target=logged, name="flink-operation", daemon=True).start()


def _remove_former_runs(runs: Path, current: int, needed: Path | None) -> None:
    for run in runs.iterdir():
        if run.name != str(current) and not (needed and run in needed.parents):
            shutil.rmtree(run, ignore_errors=True)
