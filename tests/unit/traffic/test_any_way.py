"""The events of a run depend on its manifest alone: not on workers, rate, batch size, stops or reshards."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import msgspec
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from tests.unit.traffic.fakes import FakeS3, FakeStream, spans, target_with
from tests.unit.traffic.making import NOW
from txnpipe.traffic import dispatch, sources
from txnpipe.traffic.dispatch import Outgoing
from txnpipe.traffic.generator import Generator
from txnpipe.traffic.manifest import Manifest, generated_run
from txnpipe.traffic.mix import Mix
from txnpipe.traffic.put_records import Answer
from txnpipe.traffic.runs import RunStore
from txnpipe.traffic.send import choose, send

COUNT = 1200
EVERYTHING = Mix(skew=0.2, duplicates=0.05, late=0.04, invalid=0.1)


def made(**asked: Any) -> Manifest:
    return generated_run(
        run_id="20261124T053112-4f9a1c", pipeline="default", seed=1, now=NOW, mix=EVERYTHING,
        **({"count": COUNT} | asked),
    )  # fmt: skip


GOLDEN = dict(enumerate(Generator(made()).records(0, COUNT)))


class Remembering(FakeStream):
    """Remembers every record as it came; several threads may use it."""

    def __init__(self, shards: Any, **options: Any) -> None:
        super().__init__(shards, **options)
        self.seen: dict[int, tuple[str, bytes]] = {}
        self.stop_after = 10**9
        self._lock = threading.Lock()

    def put(self, records: Sequence[Outgoing]) -> Answer:
        with self._lock:
            if self.calls >= self.stop_after:
                raise SystemExit
            for index, key, payload in records:
                assert self.seen.setdefault(index, (key, payload)) == (key, payload)
            return super().put(records)


@settings(max_examples=15, phases=[Phase.generate])  # an example takes a second
@given(
    workers=st.integers(1, 8),
    rate=st.sampled_from([None, 20_000.0, 1e6]),
    profile=st.sampled_from(["steady", "ramp", "spike", "sine"]),
    batch=st.integers(20, 500),
    chunk=st.integers(20, 700),
    shards=st.integers(1, 5),
    stop_after=st.none() | st.integers(0, 20),
)
def test_every_record_is_what_the_manifest_says_however_it_is_sent(
    workers: int,
    rate: float | None,
    profile: Any,
    batch: int,
    chunk: int,
    shards: int,
    stop_after: int | None,
) -> None:
    manifest = made(rate=rate, profile=profile if rate else "steady")
    store = RunStore(target_with(s3=FakeS3()), "bucket")
    stream = Remembering(spans(shards))
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(dispatch, "MAX_CALL_RECORDS", batch)
        patched.setattr(sources, "CHUNK", chunk)
        if stop_after is not None:
            stream.stop_after = stop_after
            with suppress(SystemExit):  # or the run was done by then
                send(store, stream, choose(store, manifest), workers=workers)
            stream.stop_after = 10**9
        if store.result(manifest.run_id) is None:
            send(store, stream, choose(store, manifest), workers=workers)
    assert stream.seen == GOLDEN


def test_an_open_run_has_the_events_of_a_counted_one() -> None:
    counted = made()
    open_run = msgspec.structs.replace(made(count=None, duration_s=10.0), start=counted.start)
    assert dict(enumerate(Generator(open_run).records(0, COUNT))) == GOLDEN


@pytest.mark.parametrize(
    "asked", [{"count": None, "duration_s": 12.0, "rate": 100.0}, {"rate": 7.0, "profile": "sine"}]
)
def test_options_of_speed_are_no_part_of_the_events(asked: dict[str, Any]) -> None:
    assert dict(enumerate(Generator(made(**asked)).records(0, COUNT))) == GOLDEN
