"""Two processes that want the same run, each on a machine of its own, in one bucket with a clock."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.unit.traffic.fakes import FakeS3, FakeStream, spans, target_with
from tests.unit.traffic.making import marker, wanted
from txnpipe.errors import TxnpipeError
from txnpipe.traffic import lines as reading
from txnpipe.traffic import sender, spool
from txnpipe.traffic.dispatch import Outgoing
from txnpipe.traffic.job import Job
from txnpipe.traffic.put_records import Answer
from txnpipe.traffic.runs import ALIVE_FOR_S, RunStore
from txnpipe.traffic.send import choose, resume, send

COUNT = 1200
LATER = timedelta(seconds=ALIVE_FOR_S + 1)
Way = Callable[[RunStore], Job]
"""How a claimant comes to its run."""


class SteppedS3(FakeS3):
    """S3 that does something else before its n-th request; it counts them."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        super().__init__(now)
        self.requests = 0
        self._at = -1
        self._meanwhile: Callable[[], None] = lambda: None

    def before(self, request: int, meanwhile: Callable[[], None]) -> None:
        """`meanwhile` runs before that request, counted from now."""
        self.requests, self._at, self._meanwhile = 0, request, meanwhile

    def _step(self) -> None:
        self.requests += 1
        if self.requests - 1 == self._at:
            self._at = -1
            counted = self.requests
            self._meanwhile()
            self.requests = counted

    def put_object(self, **request: Any) -> dict[str, Any]:
        self._step()
        return super().put_object(**request)

    def get_object(self, **request: Any) -> dict[str, Any]:
        self._step()
        return super().get_object(**request)

    def paginate(self, **request: Any) -> list[dict[str, Any]]:
        self._step()
        return super().paginate(**request)


@dataclass
class Claimant:
    """A process on a machine of its own, and the stream as it writes to it."""

    host: str
    stream: FakeStream = field(default_factory=lambda: FakeStream(spans(1)))
    job: Job | None = None
    refusal: TxnpipeError | None = None

    @property
    def run_id(self) -> str | None:
        return self.job.manifest.run_id if self.job else None


@dataclass
class Scene:
    """A bucket with a clock, and those who want its runs."""

    patch: pytest.MonkeyPatch
    now: datetime = datetime(2026, 11, 24, 6, 0, tzinfo=UTC)
    first: Claimant = field(default_factory=lambda: Claimant("first"))
    second: Claimant = field(default_factory=lambda: Claimant("second"))

    def __post_init__(self) -> None:
        self.s3 = SteppedS3(lambda: self.now)
        self.store = RunStore(target_with(s3=self.s3), "bucket")
        # The same requests in every play, however slow the machine is.
        self.patch.setattr(sender, "REPORT_INTERVAL_S", 3600.0)
        self.patch.setattr(spool, "PART_AGE_S", 3600.0)
        self.patch.setattr(reading, "IDLE_S", 3600.0)

    def work(self, claimant: Claimant, way: Way, data: bytes | None = None) -> None:
        """Everything that a command does, on the claimant's machine."""
        self.choose(claimant, way)
        self.send(claimant, data)

    def choose(self, claimant: Claimant, way: Way) -> None:
        """Its first half."""
        with self._on(claimant):
            claimant.job = way(self.store)

    def send(self, claimant: Claimant, data: bytes | None = None) -> None:
        """Its second half."""
        if claimant.job is None:
            return
        with self._on(claimant):
            source = None if data is None else io.BytesIO(data)
            send(self.store, claimant.stream, claimant.job, source=source, workers=1, now=lambda: self.now)

    def stop_at(self, index: int) -> None:
        """A run of another machine that was killed a while ago."""
        with self._on(Claimant("killed")):
            job = choose(self.store, wanted(1, count=COUNT))
            stored = self.store.marker(job.manifest.run_id)
            assert job.claim is not None
            assert stored is not None
            job.claim.write(marker(host="killed", next_index=index, acknowledged=index))
        self.now += LATER

    @contextmanager
    def _on(self, claimant: Claimant) -> Iterator[None]:
        with self.patch.context() as patch:
            patch.setattr("socket.gethostname", lambda: claimant.host)
            try:
                yield
            except TxnpipeError as refusal:
                claimant.refusal = refusal


@dataclass
class Interrupted(FakeStream):
    """A stream after whose first call something happens."""

    meanwhile: Callable[[], None] = lambda: None

    def put(self, records: Sequence[Outgoing]) -> Answer:
        answer = super().put(records)
        if self.calls == 1:
            self.meanwhile()
        return answer


def by_command(run: int) -> Way:
    return lambda store: choose(store, wanted(run, count=COUNT))


def by_name(store: RunStore) -> Job:
    return resume(store, wanted(1).run_id)


def requests(monkeypatch: pytest.MonkeyPatch, play: Callable[[Scene, int], None]) -> int:
    """How many requests the first claimant makes when nobody disturbs it."""
    scene = Scene(monkeypatch)
    play(scene, -1)
    return scene.s3.requests
