"""Processes that a killed daemon left behind: noted while it lives, ended by whoever comes next.

A process is recognised by its id and its start time together, so that a reused id is never mistaken for one
of ours. Parts clean up after themselves when they start; this is for `txnpipe local stop`, and for whatever a
part did not end.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass

import psutil

from txnpipe.local.files import read_json, write_json
from txnpipe.local.home import Home
from txnpipe.local.part import Process

log = logging.getLogger(__name__)

PATIENCE_S = 10.0
"""How long a process may take to end by itself after TERM. PostgreSQL writes a checkpoint in that time."""
_SAME_START_S = 0.05
"""Start times are computed from clock ticks (10 ms) and the boot time."""


@dataclass(frozen=True)
class _Noted:
    pid: int
    created: float
    name: str


def note(home: Home, owned: Iterable[Process]) -> None:
    """Writes down which processes live now."""
    processes = []
    for process in owned:
        try:
            created = psutil.Process(process.pid).create_time()
        except psutil.NoSuchProcess:
            continue
        processes.append({"pid": process.pid, "created": created, "name": process.name})
    write_json(home.processes_file, {"processes": processes})


def end(home: Home, patience_s: float = PATIENCE_S) -> list[str]:
    """Ends every noted process that still lives, with its descendants. Returns their names."""
    document = read_json(home.processes_file) or {}
    living: list[psutil.Process] = []
    names: list[str] = []
    for entry in document.get("processes", []):
        noted = _Noted(int(entry["pid"]), float(entry["created"]), str(entry["name"]))
        process = _same(noted)
        if process is not None:
            names.append(noted.name)
            living += [process, *_descendants(process)]
    for process in living:
        _signal(process, force=False)
    _, stubborn = psutil.wait_procs(living, timeout=patience_s)
    for process in stubborn:
        log.warning("process %d did not end in %.0f s and is killed", process.pid, patience_s)
        _signal(process, force=True)
    psutil.wait_procs(stubborn, timeout=patience_s)
    home.processes_file.unlink(missing_ok=True)
    return names


def _same(noted: _Noted) -> psutil.Process | None:
    try:
        process = psutil.Process(noted.pid)
        is_same = abs(process.create_time() - noted.created) < _SAME_START_S
        return process if is_same and process.status() != psutil.STATUS_ZOMBIE else None
    except psutil.NoSuchProcess:
        return None


def _descendants(process: psutil.Process) -> list[psutil.Process]:
    try:
        return process.children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def _signal(process: psutil.Process, *, force: bool) -> None:
    try:
        process.kill() if force else process.terminate()
    except psutil.NoSuchProcess:
        return
