"""What a running local cloud costs: its parts, processes, ports and memory, seen from outside."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from txnpipe.local.event_sources.counters import MappingCounters
from txnpipe.local.home import Home

API_PART = "api"


@dataclass(frozen=True)
class ProcessInfo:
    """A process of a part. rss_bytes: resident memory of it and its descendants."""

    part: str
    name: str
    pid: int
    rss_bytes: int


@dataclass(frozen=True)
class ListenerInfo:
    """A loopback port of a part."""

    part: str
    name: str
    port: int


@dataclass(frozen=True)
class Inspection:
    """A running local cloud. uptime_s: seconds since it started; rss_bytes: resident memory of all of it.

    event_sources: what each event source mapping has done since the start. not_kept: services whose state
    will not survive a restart, and why.
    """

    home: Path
    endpoint_url: str
    state: str
    uptime_s: float
    rss_bytes: int
    options: dict[str, Any]
    processes: tuple[ProcessInfo, ...]
    listeners: tuple[ListenerInfo, ...]
    event_sources: tuple[MappingCounters, ...]
    not_kept: tuple[str, ...]

    def document(self) -> dict[str, Any]:
        """For JSON."""
        return {**asdict(self), "home": str(self.home)}


def inspect(home: Home) -> Inspection | None:
    """The local cloud of a home; None where none is running."""
    from txnpipe.local import client

    found = client.status(home)
    if found is None:
        return None
    port = int(found["endpoint_url"].rsplit(":", 1)[1])
    owned = [(part["name"], p["name"], p["pid"]) for part in found["parts"] for p in part["processes"]]
    processes = [
        ProcessInfo(part, name, pid, _memory(pid, {other for _, _, other in owned} - {pid}))
        for part, name, pid in owned
    ]
    daemon = ProcessInfo(API_PART, "daemon", found["pid"], _memory(found["pid"], None))
    listeners = [
        ListenerInfo(part["name"], each["name"], each["port"])
        for part in found["parts"]
        for each in part["listeners"]
    ]
    return Inspection(
        home=home.root,
        endpoint_url=found["endpoint_url"],
        state=found["state"],
        uptime_s=time.time() - found["started_at"],
        rss_bytes=daemon.rss_bytes + sum(process.rss_bytes for process in processes),
        options=found["options"],
        processes=(daemon, *processes),
        listeners=(ListenerInfo(API_PART, "AWS APIs", port), *listeners),
        event_sources=tuple(MappingCounters(**each) for each in found["event_sources"]),
        not_kept=tuple(found["not_kept"]),
    )


def _memory(pid: int, counted_elsewhere: set[int] | None) -> int:
    """Resident memory of a process, with its descendants unless `counted_elsewhere` is None."""
    import psutil

    try:
        process = psutil.Process(pid)
        family = [process] if counted_elsewhere is None else [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return 0
    total = 0
    for member in family:
        try:
            if member.pid == pid or member.pid not in (counted_elsewhere or ()):
                total += member.memory_info().rss
        except psutil.NoSuchProcess:
            continue
    return total
