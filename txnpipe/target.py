"""Turns settings into a Target: the only module besides the local cloud that knows which target it is.

`local` ignores every AWS_* variable; `aws` refuses a loopback endpoint unless the configuration names it.
"""

from __future__ import annotations

import os
import platform
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from txnpipe.aws import Credentials, FunctionPlatform, Target, translated
from txnpipe.config import Settings
from txnpipe.errors import ExitCode, TxnpipeError

if TYPE_CHECKING:
    from txnpipe.local.client import LocalCloud

STAND_IN_CONNECTOR = Path(__file__).parent / "local" / "flink" / "connector" / "kinesis-connector.jar"
"""Flink's Kinesis connector of the local cloud, built from the Java source beside it."""

LOOPBACK = {"localhost", "127.0.0.1", "::1"}


def open_target(settings: Settings) -> Target:
    """The target that the settings name. On `local` this starts the local cloud if it is not running.

    Raises TxnpipeError: ENVIRONMENT (the local cloud cannot start here), SERVICE (no credentials),
    USAGE (a loopback endpoint for `aws` that the configuration does not name).
    """
    return _local(settings) if settings.target == "local" else _aws(settings)


def _local(settings: Settings) -> Target:
    from txnpipe.local.client import ensure_running

    cloud = ensure_running(settings.local)
    return Target(
        name="local",
        region=settings.region,
        account=cloud.account,
        endpoint_url=cloud.endpoint_url,
        credentials=Credentials(cloud.access_key_id, cloud.secret_access_key),
        profile=None,
        warehouse_access="direct" if settings.warehouse.access == "auto" else settings.warehouse.access,
        sslmode="prefer",
        functions=replace(
            _platform(
                settings, f"{sys.version_info.major}.{sys.version_info.minor}", _machine_architecture()
            ),
            this_machine=True,
        ),
        batch_window_seconds=_batch_window(settings, 0),
        checkpoint_interval_ms=1000,
        connector_jar=STAND_IN_CONNECTOR,
        asks_first=False,
        final_snapshot=_final_snapshot(settings, False),
        revive=_reviver(settings, cloud),
    )


def _reviver(settings: Settings, cloud: LocalCloud) -> Callable[[], None]:
    """Starts the local cloud again if it has died. Threads that ask at the same time share one start."""
    from txnpipe.local.client import revive

    one_at_a_time = threading.Lock()

    def start_again() -> None:
        with one_at_a_time:
            revive(settings.local, cloud)

    return start_again


def _aws(settings: Settings) -> Target:
    unidentified = unidentified_aws(settings)
    with translated(
        "ask for the identity of",
        "the caller",
        "Sign in, or set aws.profile, then run the same command again.",
    ):
        identity = unidentified.client("sts").get_caller_identity()
    return replace(unidentified, account=identity["Account"])


def unidentified_aws(settings: Settings) -> Target:
    """The target `aws` with an empty account: nobody has been asked yet who we are.

    Raises TxnpipeError (USAGE) for a loopback endpoint that the configuration does not name.
    """
    endpoint = settings.aws.endpoint_url
    # AWS_ENDPOINT_URL, and one per service: AWS_ENDPOINT_URL_KINESIS, ...
    for name, inherited in sorted(os.environ.items()):
        is_endpoint = name == "AWS_ENDPOINT_URL" or name.startswith("AWS_ENDPOINT_URL_")
        if endpoint is None and is_endpoint and urlsplit(inherited).hostname in LOOPBACK:
            raise TxnpipeError(
                f"{name} points the target aws at this machine ({inherited}).",
                f"Unset {name}, use --target local, or set aws.endpoint_url in the configuration.",
                ExitCode.USAGE,
            )
    return Target(
        name="aws",
        region=settings.region,
        account="",
        endpoint_url=endpoint,
        credentials=None,
        profile=settings.aws.profile,
        warehouse_access="data-api" if settings.warehouse.access == "auto" else settings.warehouse.access,
        sslmode="require",
        functions=_platform(settings, "3.13", "arm64"),
        batch_window_seconds=_batch_window(settings, 1 if settings.loader.batch_size > 10 else 0),
        checkpoint_interval_ms=settings.analytics.checkpoint_interval_seconds * 1000,
        connector_jar=Path(settings.analytics.connector_jar) if settings.analytics.connector_jar else None,
        asks_first=True,
        final_snapshot=_final_snapshot(settings, True),
    )


def _platform(settings: Settings, python: str, architecture: str) -> FunctionPlatform:
    wanted = settings.functions
    return FunctionPlatform(
        python if wanted.python == "auto" else wanted.python,
        architecture if wanted.architecture == "auto" else wanted.architecture,
    )


def _batch_window(settings: Settings, default: int) -> int:
    chosen = settings.loader.batch_window_seconds
    return default if chosen is None else chosen


def _final_snapshot(settings: Settings, default: bool) -> bool:
    chosen = settings.warehouse.final_snapshot
    return default if chosen is None else chosen


def _machine_architecture() -> str:
    return "arm64" if platform.machine().lower() in {"arm64", "aarch64"} else "x86_64"
