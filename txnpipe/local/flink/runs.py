"""Small decisions about an application's runs and versions."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Any

from txnpipe.local.flink.state import Application, Run, Version
from txnpipe.local.service import ServiceError


def require(application: Application, *statuses: str) -> None:
    """ResourceInUseException unless the application is in one of these states."""
    if application.status not in statuses:
        raise ServiceError(
            "ResourceInUseException",
            f"Application {application.name} is {application.status}; "
            f"this can be done when it is {' or '.join(statuses)}.",
        )


def restore_point(application: Application, run_configuration: Mapping[str, Any]) -> str:
    """What a start restores: the path of a snapshot, or "" for an empty state.

    Without a word about it that is the latest snapshot, as on the service.
    """
    restore = run_configuration.get("ApplicationRestoreConfiguration", {})
    kind = restore.get("ApplicationRestoreType", "RESTORE_FROM_LATEST_SNAPSHOT")
    if kind == "SKIP_RESTORE_FROM_SNAPSHOT":
        return ""
    if kind == "RESTORE_FROM_CUSTOM_SNAPSHOT":
        name = restore.get("SnapshotName", "")
        snapshot = application.snapshot(name)
        if snapshot is None or snapshot.status != "READY":
            raise ServiceError(
                "InvalidArgumentException",
                f"Application {application.name} has no snapshot {name} that is READY.",
            )
        return snapshot.path
    ready = [snapshot for snapshot in application.snapshots if snapshot.status == "READY"]
    return ready[-1].path if ready else ""


def next_run(application: Application, restored_from: str, allow_non_restored_state: bool) -> Run:
    """The run after the present one."""
    number = application.run.number + 1 if application.run else 1
    return Run(number=number, restored_from=restored_from, allow_non_restored_state=allow_non_restored_state)


def allows_non_restored_state(run_configuration: Mapping[str, Any]) -> bool:
    """Whether state that no operator of the new code claims may be left behind."""
    return bool(run_configuration.get("FlinkRunConfiguration", {}).get("AllowNonRestoredState", False))


def rolled_back(current: Version, target: Version, now: float) -> Version:
    """The version that makes `target` current again."""
    return Version(
        number=current.number + 1,
        runtime=target.runtime,
        role=target.role,
        configuration=target.configuration,
        created=now,
        updated_from=current.number,
        rolled_back_from=current.number,
        rolled_back_to=target.number,
    )


def new_token() -> str:
    """A ConditionalToken."""
    return secrets.token_urlsafe(24)
