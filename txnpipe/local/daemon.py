"""The local cloud's process: builds every part, serves the APIs, and stops everything in order.

`python -m txnpipe.local.daemon --home DIR ...`, started detached by txnpipe.local.client. It holds the home's
lock for life. Start: lock → clean up what a killed predecessor left → listen → moto → parts, in order →
ready. TERM or INT: parts in reverse → API server → last save → lock released. Whatever fails during start is
left in the home's failure file, for the command that asked for the daemon.
"""

from __future__ import annotations

import argparse
import functools
import gc
import logging
import os
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from txnpipe import __version__
from txnpipe.aws import Credentials, FunctionPlatform, Target
from txnpipe.errors import ExitCode, TxnpipeError
from txnpipe.local import credentials, leftovers, ports, runtime
from txnpipe.local.control import ControlService
from txnpipe.local.event_sources.part import EventSourcesPart
from txnpipe.local.files import write_json
from txnpipe.local.guard import Guard
from txnpipe.local.home import Home, unusable
from txnpipe.local.log_files import bound_logs
from txnpipe.local.part import ACCOUNT, LocalContext, Part
from txnpipe.local.parts import build_parts
from txnpipe.local.runtime import Options, Runtime
from txnpipe.local.server import ApiServer, Listening
from txnpipe.local.service import Service

log = logging.getLogger("txnpipe.local.daemon")

LOCK_PATIENCE_S = 30.0
"""How long a new daemon waits for one that is stopping."""
TICK_S = 1.0
"""How often the daemon notes which processes its parts own."""


class Daemon:
    """A running local cloud. `lock` is held."""

    def __init__(self, home: Home, options: Options, lock: runtime.Lock) -> None:
        self._home = home
        self._lock = lock
        self._options = options
        self._stopping = threading.Event()
        self._parts: list[Part] = []
        self._services: dict[str, Sequence[Service]] = {}
        self._ready = False
        self._started_at = time.time()
        self._noted: object = None

    def request_stop(self, *_signal: object) -> None:
        """Makes `run` stop everything and return."""
        self._stopping.set()

    def run(self) -> None:
        """Serves until it is told to stop, or its home is removed."""
        from txnpipe.local.moto_control_plane.application import MotoControlPlane

        leftovers.end(self._home)
        _empty(self._home.temporary)
        keys = credentials.load_or_make(self._home)
        listener = ports.bind_api(self._home, self._options.api_port)
        self._runtime = Runtime(
            pid=os.getpid(),
            started_at=self._started_at,
            state="starting",
            port=listener.getsockname()[1],
            version=__version__,
            options=self._options,
        )
        self._publish("starting")
        self._moto = MotoControlPlane(self._home.state("moto"))
        server = ApiServer(Guard(keys.access_key_id), self._moto)
        self._moto.show_tags_of(server.call)
        server.add(ControlService(self.status, lambda: self._ready))
        listening = Listening(server, listener)
        try:
            self._moto.start()
            self._start_parts(server, listening, self._context(keys))
            _spare_the_collector()
            self._ready = True
            self._publish("ready")
            log.info("ready on %s", self._runtime.endpoint_url)
            while not self._stopping.wait(TICK_S):
                self._keep_house()
        finally:
            self._stop(server, listening)

    def _context(self, keys: credentials.LocalCredentials) -> LocalContext:
        return LocalContext(
            home=self._home.root,
            endpoint_url=self._runtime.endpoint_url,
            access_key_id=keys.access_key_id,
            secret_access_key=keys.secret_access_key,
            enforce_limits=self._options.enforce_limits,
            flink_heap_mb=self._options.flink_heap_mb,
            client=_clients(self._runtime.endpoint_url, keys),
            moto_gate=self._moto.changing,
            moto_gate_later=self._moto.changing_later,
        )

    def _start_parts(self, server: ApiServer, listening: Listening, context: LocalContext) -> None:
        """Starts the parts in order. Requests to a part that has not started wait for it.

        The server listens meanwhile: a part may start functions or jobs that call the APIs of earlier parts.
        """
        starts: list[tuple[Part, list[Callable[[], None]]]] = []
        for part, services in build_parts(context):
            self._services[part.name] = services
            starts.append((part, [server.add(service, started=False) for service in services]))
        listening.start()
        for part, opened in starts:
            began = time.monotonic()
            self._parts.append(part)
            part.start()
            for open_service in opened:
                open_service()
            log.info("%s started in %.2f s", part.name, time.monotonic() - began)
            self._note_processes()

    def status(self) -> dict[str, Any]:
        """What runs: parts with their processes and ports; what event source mappings have done."""
        return {
            "pid": os.getpid(),
            "started_at": self._started_at,
            "version": __version__,
            "state": self._runtime.state,
            "endpoint_url": self._runtime.endpoint_url,
            "options": vars(self._options),
            "not_kept": self._moto.unsavable,
            "parts": [
                {
                    "name": part.name,
                    "processes": [{"name": p.name, "pid": p.pid} for p in part.processes()],
                    "listeners": [{"name": p.name, "port": p.port} for p in part.listeners()],
                }
                for part in list(self._parts)
            ],
            "event_sources": [
                asdict(counters)
                for part in list(self._parts)
                if isinstance(part, EventSourcesPart)
                for counters in part.counters()
            ],
        }

    def _publish(self, state: runtime.State) -> None:
        self._runtime = replace(self._runtime, state=state)
        runtime.write(self._home, self._runtime)

    def _keep_house(self) -> None:
        """What is done every second. A full disk must not end the daemon: the next round tries again."""
        if self._lock.removed():
            log.error("%s was removed: nobody could find this daemon any more", self._home.root)
            self.request_stop()
            return
        try:
            self._note_processes()
            bound_logs(self._home)
        except OSError as error:
            log.warning("the home cannot be written: %s", error)

    def _note_processes(self) -> None:
        owned = [process for part in self._parts for process in part.processes()]
        if owned != self._noted:
            leftovers.note(self._home, owned)
            self._noted = owned

    def _stop(self, server: ApiServer, listening: Listening) -> None:
        """Stops everything, in order; what fails on the way keeps nothing else from being stopped.

        The runtime file stays and says so, or commands would take the stop for a death and start it again.
        """
        _attempt("say that it stops", lambda: self._publish("stopping"))
        for part in reversed(self._parts):
            began = time.monotonic()
            for service in self._services[part.name]:
                server.withdraw(service)
            _attempt(f"stop {part.name}", part.stop)
            log.info("%s stopped in %.2f s", part.name, time.monotonic() - began)
        _attempt("stop the API server", listening.stop)
        _attempt("save the control plane's state", self._moto.stop)
        _attempt("end what is left", lambda: leftovers.end(self._home))
        log.info("stopped")


def _attempt(what: str, action: Callable[[], object]) -> None:
    try:
        action()
    except Exception:  # each step of stopping stands for itself
        log.exception("could not %s", what)


def _clients(endpoint_url: str, keys: credentials.LocalCredentials) -> Callable[[str, str], Any]:
    """Makes boto3 clients of this local cloud."""

    @functools.cache
    def in_region(region: str) -> Target:
        return Target(
            name="local",
            region=region,
            account=ACCOUNT,
            endpoint_url=endpoint_url,
            credentials=Credentials(keys.access_key_id, keys.secret_access_key),
            profile=None,
            warehouse_access="direct",
            sslmode="prefer",
            functions=FunctionPlatform("", ""),
            batch_window_seconds=0,
            checkpoint_interval_ms=0,
            connector_jar=None,
        )

    return lambda service, region: in_region(region).client(service)


def _empty(directory: Path) -> None:
    for entry in directory.iterdir():
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()


def _prepare_process(home: Home) -> None:
    """Makes this process independent of whoever started it."""
    os.umask(0o077)
    os.chdir(home.root)
    # A user's profile, region or proxy must not change what the local cloud does.
    for name in list(os.environ):
        if name.startswith("AWS_") or name.lower() in {"http_proxy", "https_proxy", "all_proxy"}:
            del os.environ[name]
    os.environ.update(
        AWS_EC2_METADATA_DISABLED="true",
        AWS_CONFIG_FILE=os.devnull,
        AWS_SHARED_CREDENTIALS_FILE=os.devnull,
        TMPDIR=str(home.temporary),
        TXNPIPE_HOME=str(home.root),
    )
    tempfile.tempdir = str(home.temporary)
    # Request threads and pollers share the interpreter: shorter turns keep short requests short.
    sys.setswitchinterval(0.002)
    logging.basicConfig(
        level=logging.INFO,
        stream=sys.stderr,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
    )
    for noisy in ("waitress", "botocore", "werkzeug"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    logging.getLogger("waitress.queue").setLevel(logging.ERROR)


def _spare_the_collector() -> None:
    """Lets the garbage collector look at less, less often: records in passing gave it a fifth of the work.

    A full collection of all that moto and boto3 load stopped every thread for 0.1 s.
    """
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point. Returns the process's exit code; 0 also where it makes way for another daemon."""
    parser = argparse.ArgumentParser(prog="txnpipe.local.daemon")
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--api-port", type=int, required=True)
    parser.add_argument("--flink-heap-mb", type=int, required=True)
    parser.add_argument("--no-limits", action="store_true")
    given = parser.parse_args(arguments)
    home = Home(given.home)
    try:
        home.prepare()
        _prepare_process(home)
        lock = runtime.Lock(home)
        if not _acquire(lock, home):
            return ExitCode.OK
        # What a killed predecessor said of itself must not be taken for what this one says.
        home.runtime_file.unlink(missing_ok=True)
        home.failure_file.unlink(missing_ok=True)
        daemon = Daemon(home, Options(not given.no_limits, given.api_port, given.flink_heap_mb), lock)
        signal.signal(signal.SIGTERM, daemon.request_stop)
        signal.signal(signal.SIGINT, daemon.request_stop)
        daemon.run()
    except TxnpipeError as error:
        log.exception("could not start")
        _leave_failure(home, error)
        return error.exit_code
    except OSError as error:
        log.exception("could not run")
        _leave_failure(home, unusable(home.root, error))
        return ExitCode.ENVIRONMENT
    # The lock is never released by hand: it ends with the process, and who sees it free sees no process.
    return ExitCode.OK


def _acquire(lock: runtime.Lock, home: Home) -> bool:
    """Takes the lock; False where another daemon lives and does not go away, or the home was removed."""
    deadline = time.monotonic() + LOCK_PATIENCE_S
    while not lock.try_acquire():
        if lock.removed():
            log.info("%s was removed", home.root)
            return False
        other = runtime.read(home)
        if (other and other.state != "stopping") or time.monotonic() > deadline:
            log.info("another daemon holds %s", home.root)
            return False
        time.sleep(0.05)
    return True


def _leave_failure(home: Home, error: TxnpipeError) -> None:
    try:
        write_json(
            home.failure_file,
            runtime.failure_document(error.cause, error.fix, error.exit_code, error.details),
        )
    except OSError:
        log.exception("could not write %s", home.failure_file)


if __name__ == "__main__":
    sys.exit(main())
