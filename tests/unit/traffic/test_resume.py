"""`--resume`: one named run goes on, whatever else could."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest

from tests.unit.traffic.fakes import FakeStream, spans
from tests.unit.traffic.making import NOW, lines, marker, wanted, wanted_input
from txnpipe.cli.send_options import Options, check_resume
from txnpipe.errors import ExitCode, TxnpipeError
from txnpipe.traffic.dispatch import Outgoing
from txnpipe.traffic.manifest import Manifest, generated_run, input_run
from txnpipe.traffic.mix import Mix, anomaly_rates
from txnpipe.traffic.put_records import Answer
from txnpipe.traffic.rates import Rate
from txnpipe.traffic.runs import RunStore
from txnpipe.traffic.send import choose, resume, send


class Ending(FakeStream):
    """Ends the program after so many calls."""

    ends_after = 3

    def put(self, records: Sequence[Outgoing]) -> Answer:
        if self.calls >= self.ends_after:
            raise SystemExit
        return super().put(records)


def test_the_named_run_is_continued_and_no_other(store: RunStore) -> None:
    stream = Ending(spans(1))
    for run in (1, 2):
        stream.ends_after = stream.calls + 3
        with pytest.raises(SystemExit):
            send(store, stream, choose(store, wanted(run), new=True), workers=1)
    stream.ends_after = 10**9
    job = resume(store, wanted(1).run_id)
    assert job.manifest == wanted(1)
    assert job.start > 0
    sent = send(store, stream, job, workers=1)
    assert sent.result is not None
    assert store.result(wanted(2).run_id) is None


def test_a_run_goes_on_at_its_own_rate(store: RunStore) -> None:
    manifest = wanted(1, rate=250.0, profile="ramp")
    store.create(manifest)
    assert resume(store, manifest.run_id).rate == Rate(250.0, "ramp", 24.0)


def test_a_finished_run_has_nothing_left(store: RunStore) -> None:
    send(store, FakeStream(spans(1)), choose(store, wanted(1)))
    with pytest.raises(TxnpipeError, match="nothing left to send") as caught:
        resume(store, wanted(1).run_id)
    assert caught.value.exit_code is ExitCode.USAGE
    assert "txnpipe verify --run" in caught.value.fix


def test_a_run_that_another_process_works_on_is_not_taken_from_it(store: RunStore) -> None:
    from txnpipe.traffic.runs import _started

    choose(store, wanted(1))
    written = marker()
    store.write_marker(marker(pid_started=_started(written.pid)))
    with pytest.raises(TxnpipeError, match=f"process {written.pid} on {written.host}") as caught:
        resume(store, wanted(1).run_id)
    assert caught.value.exit_code is ExitCode.CONFLICT


def test_a_run_that_is_not_there_is_not_found(store: RunStore) -> None:
    with pytest.raises(TxnpipeError, match="no run 20261124T053111-000009") as caught:
        resume(store, "20261124T053111-000009")
    assert caught.value.exit_code is ExitCode.NOT_FOUND


def test_an_input_run_goes_on_with_its_input(store: RunStore) -> None:
    stream = FakeStream(spans(1))
    manifest = msgspec.structs.replace(wanted_input(), on_error="stop")
    send(store, stream, choose(store, manifest), source=io.BytesIO(lines(10) + b"bad\n"))
    job = resume(store, manifest.run_id)
    assert (job.start, job.on_error) == (10, "stop")
    sent = send(store, stream, job, source=io.BytesIO(lines(20)))
    assert sent.result is not None
    assert stream.indexes() == list(range(20))


MADE = generated_run(
    run_id="20261124T053111-000001", pipeline="default", count=3000, seed=0, now=NOW, mix=Mix(skew=0.1),
    rate=50.0, profile="sine", partition_key="merchant",
)  # fmt: skip
TIMED = generated_run(
    run_id="20261124T053111-000001", pipeline="default", duration_s=90.0, rate=10.0, seed=7, now=NOW
)
READ = input_run(run_id="20261124T053111-000001", pipeline="default", input_name="/data/in.csv", now=NOW)


@pytest.mark.parametrize(
    ("manifest", "passed"),
    [
        (MADE, {}),
        (MADE, {"count": 3000, "seed": 0, "rate": 50.0, "rate_profile": "sine", "skew": 0.1, "late": 0.0}),
        (MADE, {"partition_key": "merchant"}),
        (msgspec.structs.replace(MADE, anomalies=anomaly_rates(0.02)), {"anomaly_rate": 0.02}),
        (MADE, {"anomaly": ("velocity=0.002",)}),
        (TIMED, {"duration": "1.5m", "rate": 10.0}),
        (READ, {"file": "moved.csv"}),
        (READ, {"file": "in.csv", "on_error": "stop"}),
    ],
)
def test_the_options_of_the_run_may_be_passed_again(manifest: Manifest, passed: dict[str, Any]) -> None:
    check_resume(Options(**passed), manifest)


@pytest.mark.parametrize(
    ("manifest", "passed", "words"),
    [
        (MADE, {"count": 3001}, r"--count is not what .* \(3000\)"),
        (MADE, {"seed": 1}, r"--seed is not what .* \(0\)"),
        (MADE, {"rate": 51.0}, r"--rate is not what .* \(50\)"),
        (MADE, {"rate_profile": "ramp"}, r"--rate-profile is not what .* \(sine\)"),
        (MADE, {"partition_key": "country"}, r"--partition-key is not what .* \(merchant\)"),
        (MADE, {"skew": 0.2}, r"--skew is not what .* \(0.1\)"),
        (MADE, {"invalid": 0.2}, r"--invalid is not what .* \(0\)"),
        (MADE, {"anomaly_rate": 0.02}, "--anomaly-rate is not what"),
        (MADE, {"anomaly": ("velocity=0.01",)}, "--anomaly is not what"),
        (MADE, {"duration": "5s"}, "--duration is not what"),
        (MADE, {"file": "in.csv"}, "--file is for those of a file"),
        (MADE, {"on_error": "stop"}, "--on-error is for those of a file"),
        (TIMED, {"duration": "91"}, r"--duration is not what .* \(90s\)"),
        (TIMED, {"count": 900}, "--count is not what"),
        (READ, {}, "reads its input again: /data/in.csv"),
        (READ, {"file": "in.csv", "rate": 5.0}, "--rate is not what"),
    ],
)
def test_options_that_are_not_those_of_the_run_are_refused(
    manifest: Manifest, passed: dict[str, Any], words: str
) -> None:
    with pytest.raises(TxnpipeError, match=words) as caught:
        check_resume(Options(**passed), manifest)
    assert caught.value.exit_code is ExitCode.USAGE
