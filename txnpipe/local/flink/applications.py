"""The state machine of Managed Flink applications.

    READY --Start--> STARTING --> RUNNING        (a start that fails falls back to READY)
    RUNNING --Stop--> STOPPING --> READY         (with a snapshot; a stop that fails falls back to RUNNING)
    any running state --Stop(Force)--> FORCE_STOPPING --> READY
    RUNNING --Update--> UPDATING --> RUNNING     (snapshot, stop, start from it; READY: at once)
    RUNNING, READY --Delete--> DELETING --> gone

Requests change the state and return; the work behind it happens in the background, takes at least the
service's latency (none by default), and ends in the next state. Every state is on disk before it can be seen,
and `resume` takes up after a crash whatever was under way. Clock, waiting and background are injected: the
same machine is the double that tests run against, with the service's latencies.
"""

from __future__ import annotations

import logging
import secrets
import shutil
import threading
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from txnpipe.local.flink import configuration as configurations
from txnpipe.local.flink.code import CodeError
from txnpipe.local.flink.jvm import JobError
from txnpipe.local.flink.machinery import Machinery, RunningJob
from txnpipe.local.flink.runs import (
    allows_non_restored_state,
    new_token,
    next_run,
    require,
    restore_point,
    rolled_back,
)
from txnpipe.local.flink.state import Application, Operation, Snapshot, Store, Version
from txnpipe.local.service import ServiceError

log = logging.getLogger(__name__)

MAX_OPERATIONS = 100
"""Operations that are remembered for each application."""
_FORCE_STOPPABLE = ("STARTING", "UPDATING", "STOPPING", "AUTOSCALING", "RUNNING", "ROLLING_BACK")


class Applications:
    """All applications of the installation."""

    def __init__(self, store: Store, machinery: Machinery) -> None:
        self._store = store
        self._machinery = machinery
        self._applications: dict[tuple[str, str], Application] = {}
        self._jobs: dict[tuple[str, str], RunningJob] = {}
        self._shut_down = False
        self.lock = threading.RLock()

    def now(self) -> float:
        """The time, in epoch seconds."""
        return self._machinery.clock()

    def all(self, region: str) -> list[Application]:
        """The applications of a region, in order of name."""
        with self.lock:
            return [self._applications[key] for key in sorted(self._applications) if key[0] == region]

    def get(self, region: str, name: str) -> Application:
        """An application. Raises ResourceNotFoundException."""
        application = self._applications.get((region, name))
        if application is None:
            raise ServiceError("ResourceNotFoundException", f"Application {name} was not found.")
        return application

    def jobs(self) -> dict[tuple[str, str], RunningJob]:
        """The jobs there are now, by (region, name)."""
        with self.lock:
            return dict(self._jobs)

    def add(self, application: Application) -> None:
        """Takes up a new application. Raises ResourceInUseException where the name is taken."""
        with self.lock:
            key = (application.region, application.name)
            if key in self._applications:
                raise ServiceError(
                    "ResourceInUseException", f"Application {application.name} exists already."
                )
            self._store.save(application)
            self._applications[key] = application

    def changed(self, application: Application) -> None:
        """Saves a change that is not a transition."""
        application.updated = self._machinery.clock()
        application.token = new_token()
        self._store.save(application)

    def new_version(self, application: Application, version: Version) -> None:
        """Makes `version` the current one and saves."""
        application.versions.append(version)
        self.changed(application)

    def start(self, application: Application, run_configuration: Mapping[str, Any]) -> Operation:
        """Begins to start an application that is READY."""
        with self.lock:
            require(application, "READY")
            restored_from = restore_point(application, run_configuration)
            allow = allows_non_restored_state(run_configuration)
            application.run = next_run(application, restored_from, allow)
            application.run_configuration = dict(run_configuration)
            operation = self._begin(application, "StartApplication", "STARTING")
        self._machinery.spawn(lambda: self._start(application, operation))
        return operation

    def stop(self, application: Application, *, force: bool) -> Operation:
        """Begins to stop an application."""
        with self.lock:
            require(application, *(_FORCE_STOPPABLE if force else ("RUNNING",)))
            status = "FORCE_STOPPING" if force else "STOPPING"
            for other in application.operations:
                if force and other.status == "IN_PROGRESS":
                    other.status, other.ended = "CANCELLED", self._machinery.clock()
            operation = self._begin(application, "StopApplication", status)
        self._machinery.spawn(lambda: self._stop(application, operation, force))
        return operation

    def update(
        self, application: Application, version: Version, run_configuration: Mapping[str, Any]
    ) -> Operation | None:
        """Makes `version` the current one; a running application is restarted if it must be.

        Returns the operation, or None where the change took effect at once.
        """
        with self.lock:
            require(application, "READY", "RUNNING")
            before = application.version
            restart = application.status == "RUNNING" and (
                configurations.needs_restart(before.configuration, version.configuration)
                or before.runtime != version.runtime
            )
            if run_configuration:
                application.run_configuration = {**application.run_configuration, **run_configuration}
            self.new_version(application, version)
            if not restart:
                return None
            allow = allows_non_restored_state(run_configuration)
            operation = self._begin(application, "UpdateApplication", "UPDATING")
            operation.from_version, operation.to_version = before.number, version.number
            self._store.save(application)
        self._machinery.spawn(lambda: self._update(application, operation, before, allow))
        return operation

    def delete(self, application: Application) -> Operation:
        """Begins to delete an application that is READY or RUNNING."""
        with self.lock:
            require(application, "READY", "RUNNING")
            operation = self._begin(application, "DeleteApplication", "DELETING")
        self._machinery.spawn(lambda: self._delete(application))
        return operation

    def create_snapshot(self, application: Application, name: str) -> None:
        """Begins a snapshot of a RUNNING application."""
        with self.lock:
            require(application, "RUNNING")
            if application.snapshot(name):
                raise ServiceError("ResourceInUseException", f"Snapshot {name} exists already.")
            snapshot = self._new_snapshot(application, name)
        self._machinery.spawn(lambda: self._snapshot(application, snapshot))

    def delete_snapshot(self, application: Application, snapshot: Snapshot) -> None:
        """Deletes a snapshot that is READY or FAILED."""
        with self.lock:
            if snapshot.status not in ("READY", "FAILED"):
                raise ServiceError(
                    "ResourceInUseException", f"Snapshot {snapshot.name} is {snapshot.status}."
                )
            if application.status not in ("READY", "RUNNING"):
                raise ServiceError(
                    "ResourceInUseException", f"Application {application.name} is {application.status}."
                )
            application.snapshots.remove(snapshot)
            self._store.save(application)
        if snapshot.path:
            shutil.rmtree(snapshot.path, ignore_errors=True)

    def resume(self) -> None:
        """Loads every application and takes up what was running or under way."""
        with self.lock:
            self._applications = self._store.load()
            for application in self._applications.values():
                for snapshot in application.snapshots:
                    if snapshot.status == "CREATING":
                        snapshot.status = "FAILED"
                self._resume(application)

    def _resume(self, application: Application) -> None:
        operation = next((o for o in application.operations if o.status == "IN_PROGRESS"), None)
        status = application.status
        if status in ("RUNNING", "STARTING", "UPDATING", "ROLLING_BACK"):
            # A start or update that was cut short is completed: the job comes up when it comes up.
            try:
                job = self._machinery.prepare(application)
                if status == "UPDATING":
                    # The new version continues from what the one before had reached.
                    state = str(job.newest_state() or "")
                    allow = allows_non_restored_state(application.run_configuration)
                    application.run = next_run(application, state, allow)
                    self._store.save(application)
                    job = self._machinery.prepare(application)
            except CodeError as error:
                self._end(application, operation, "READY", str(error))
                return
            self._jobs[application.region, application.name] = job
            job.resume()
            self._end(application, operation, "RUNNING")
        elif status in ("STOPPING", "FORCE_STOPPING"):
            self._end(application, operation, "READY")
        elif status == "DELETING":
            self._machinery.spawn(lambda: self._delete(application))

    def shut_down(self) -> None:
        """Ends every job; the states stay, so that `resume` brings them back."""
        self._shut_down = True
        for job in self.jobs().values():
            job.kill()

    def _start(self, application: Application, operation: Operation) -> None:
        began = self._machinery.clock()
        error = self._bring_up(application)
        self._last(application, "STARTING", began)
        with self.lock:
            if operation.status == "IN_PROGRESS":
                self._end(application, operation, "READY" if error else "RUNNING", error)

    def _stop(self, application: Application, operation: Operation, force: bool) -> None:
        began = self._machinery.clock()
        error = None
        with self.lock:
            job = self._jobs.get((application.region, application.name))
        if job and not force and configurations.snapshots_enabled(application.version.configuration):
            error = self._stop_with_snapshot(application, job, "stop")
        elif job:
            job.kill()
        self._last(application, "FORCE_STOPPING" if force else "STOPPING", began)
        with self.lock:
            if operation.status != "IN_PROGRESS":
                return
            if error is None:
                self._jobs.pop((application.region, application.name), None)
            self._end(application, operation, "RUNNING" if error else "READY", error)

    def _update(self, application: Application, operation: Operation, before: Version, allow: bool) -> None:
        began = self._machinery.clock()
        key = (application.region, application.name)
        job = self.jobs().get(key)
        state: Path | None = None
        if job:
            # A job that cannot write a savepoint now (it is failing, perhaps because of what this update
            # mends) is followed up from its newest checkpoint.
            error = self._stop_with_snapshot(application, job, "update")
            if error is None:
                state = Path(application.snapshots[-1].path)
            else:
                log.warning("%s: updating from a checkpoint: %s", application.name, error)
                job.kill()
                state = job.newest_state()
        with self.lock:
            if operation.status != "IN_PROGRESS":
                return
            application.run = next_run(application, str(state or ""), allow)
            self._store.save(application)
        error = self._bring_up(application)
        self._last(application, "UPDATING", began)
        with self.lock:
            if operation.status != "IN_PROGRESS":
                return
            if error is None:
                self._end(application, operation, "RUNNING")
                return
        self._after_failed_update(application, operation, before, error)

    def _after_failed_update(
        self, application: Application, operation: Operation, before: Version, error: str
    ) -> None:
        """With system rollback the version before is brought back, else the application is READY."""
        rollback = before.configuration.get("ApplicationSystemRollbackConfiguration", {})
        if not rollback.get("RollbackEnabled", False):
            with self.lock:
                self._end(application, operation, "READY", error)
            return
        with self.lock:
            application.status = "ROLLING_BACK"
            application.versions.append(rolled_back(application.version, before, self._machinery.clock()))
            self._store.save(application)
        second = self._bring_up(application)
        with self.lock:
            if operation.status == "IN_PROGRESS":
                self._end(application, operation, "READY" if second else "RUNNING", error)

    def _delete(self, application: Application) -> None:
        began = self._machinery.clock()
        key = (application.region, application.name)
        job = self.jobs().get(key)
        if job:
            job.kill()
        self._last(application, "DELETING", began)
        with self.lock:
            self._jobs.pop(key, None)
            self._store.delete(application)
            self._applications.pop(key, None)

    def _snapshot(self, application: Application, snapshot: Snapshot) -> None:
        job = self.jobs().get((application.region, application.name))
        path = None
        if job:
            try:
                path = job.savepoint(self._savepoints(application))
            except JobError as error:
                log.warning("snapshot %s of %s: %s", snapshot.name, application.name, error)
        with self.lock:
            snapshot.status = "READY" if path else "FAILED"
            snapshot.path = str(path or "")
            if (application.region, application.name) in self._applications:
                self._store.save(application)

    def _stop_with_snapshot(self, application: Application, job: RunningJob, why: str) -> str | None:
        """Stops the job with a snapshot named after the reason. Returns why it went on, or None."""
        with self.lock:
            name = f"{why}-{int(self._machinery.clock())}-{application.serial}"
            snapshot = self._new_snapshot(application, name)
        try:
            path = job.stop_with_savepoint(self._savepoints(application))
        except JobError as error:
            with self.lock:
                snapshot.status = "FAILED"
            return f"The snapshot could not be taken: {error}"
        with self.lock:
            snapshot.status, snapshot.path = "READY", str(path)
        return None

    def _bring_up(self, application: Application) -> str | None:
        """Starts the job of the current run. Returns why it did not start, or None."""
        key = (application.region, application.name)
        try:
            job = self._machinery.prepare(application)
            with self.lock:
                if application.status not in ("STARTING", "UPDATING", "ROLLING_BACK"):
                    return "The application was stopped while it started."
                self._jobs[key] = job
            job.run()
        except (CodeError, JobError) as error:
            with self.lock, suppress(KeyError):
                del self._jobs[key]
            log.warning("%s did not start: %s", application.name, error)
            return str(error)
        return None

    def _begin(self, application: Application, name: str, status: str) -> Operation:
        operation = Operation(
            id=secrets.token_hex(16), name=name, status="IN_PROGRESS", started=self._machinery.clock()
        )
        application.operations = [*application.operations[-(MAX_OPERATIONS - 1) :], operation]
        application.status = status
        self.changed(application)
        return operation

    def _end(
        self, application: Application, operation: Operation | None, status: str, error: str | None = None
    ) -> None:
        if self._shut_down:
            return  # what happens to jobs now is the daemon's end, not the operation's
        if operation:
            operation.status = "FAILED" if error else "SUCCESSFUL"
            operation.error = error
            operation.ended = self._machinery.clock()
        application.status = status
        self.changed(application)

    def _last(self, application: Application, status: str, began: float) -> None:
        """Waits until the state has lasted as long as it does on the service."""
        remaining = self._machinery.latencies.get(status, 0.0) - (self._machinery.clock() - began)
        if remaining > 0 and application.status == status:
            self._machinery.sleep(remaining)

    def _new_snapshot(self, application: Application, name: str) -> Snapshot:
        application.serial += 1
        snapshot = Snapshot(
            name=name,
            status="CREATING",
            version=application.version.number,
            runtime=application.version.runtime,
            created=int(self._machinery.clock()),
        )
        application.snapshots.append(snapshot)
        self._store.save(application)
        return snapshot

    def _savepoints(self, application: Application) -> Path:
        return self._store.directory(application.region, application.name) / "snapshots"
