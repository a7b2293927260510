"""What the state machine of applications runs on, so that tests can give it a clock and jobs of their own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from txnpipe.local.flink.state import Application


class RunningJob(Protocol):
    """The job of a running application: what `Supervisor` is, and what tests stand in for."""

    def run(self) -> None: ...

    def resume(self) -> None: ...

    def savepoint(self, target: Path) -> Path: ...

    def stop_with_savepoint(self, target: Path) -> Path: ...

    def newest_state(self) -> Path | None: ...

    def kill(self) -> None: ...


@dataclass(frozen=True)
class Machinery:
    """What the state machine runs on.

    prepare: makes the job of an application's current version and run; raises CodeError where there is none.
    clock: epoch seconds. spawn: runs something in the background. latencies: seconds that a state lasts at
    least, by its name.
    """

    prepare: Callable[[Application], RunningJob]
    clock: Callable[[], float]
    sleep: Callable[[float], None]
    spawn: Callable[[Callable[[], None]], None]
    latencies: Mapping[str, float] = field(default_factory=dict)
