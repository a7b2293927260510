"""What is counted in one pass, and by worker processes, is what asking record by record gives."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.traffic.test_generator import manifest
from tests.waiting import PATIENCE_S, eventually
from txnpipe.errors import ExitCode, TxnpipeError
from txnpipe.proof.tally import BUCKET_ROWS, Tallying, tally_portion
from txnpipe.traffic.content import Checksum, Content, digest, parts
from txnpipe.traffic.generator import Generator
from txnpipe.traffic.manifest import Manifest
from txnpipe.traffic.mix import Mix

EVERYTHING = Mix(skew=0.2, duplicates=0.1, late=0.1, invalid=0.1, days=1.0)


def mixed(count: int, mix: Mix = EVERYTHING) -> Manifest:
    return msgspec.structs.replace(manifest(count), mix=mix)


@settings(max_examples=25)
@given(st.sampled_from([Mix(), EVERYTHING]), st.integers(0, 3000), st.integers(0, 300))
def test_outcomes_are_what_each_record_says(mix: Mix, start: int, length: int) -> None:
    generator = Generator(mixed(4000, mix))
    for index, outcome in enumerate(generator.outcomes(start, start + length), start):
        label = generator.label(index)
        assert outcome.row == generator.row(index)
        assert outcome.reason == generator.reason(index)
        assert outcome.planted == (label.rule if label and label.decisive else None)


def test_outcomes_end_where_they_should() -> None:
    generator = Generator(manifest(4000))
    ids = [outcome.row.transaction_id for outcome in generator.outcomes(30, 70) if outcome.row]
    assert ids == [generator.event(index).transaction_id for index in range(30, 70)]


def test_a_tally_is_what_counting_one_by_one_gives() -> None:
    run = mixed(2500)
    generator, tally = Generator(run), tally_portion(run, 0, 2500)
    sums = [Checksum()] * 3
    planted: Counter[str] = Counter()
    bad = {}
    for index in range(2500):
        row, reason, label = generator.row(index), generator.reason(index), generator.label(index)
        if row is not None:
            sums[index // BUCKET_ROWS] += Checksum(1, *parts(digest(Content(*row))))
        if reason is not None:
            bad[hashlib.sha256(generator.record(index)[1]).digest()] = reason
        if label is not None and label.decisive:
            planted[label.rule] += 1
    assert tally.sums == sums
    assert tally.planted == planted
    assert tally.bad == bad
    assert min(planted.values()) > 0


def test_workers_count_what_one_process_counts() -> None:
    run = mixed(250_000)
    here, there = Tallying(run, 250_000, workers=0), Tallying(run, 250_000, workers=2)
    try:
        assert there.result() == here.result()
        assert there.result() is there.result()
    finally:
        there.close()


def test_the_work_can_be_given_up() -> None:
    tallying = Tallying(manifest(100_000_000), 100_000_000, workers=2)
    last = tallying._futures[-1]
    tallying.close()
    assert last.cancelled()


def test_a_worker_that_dies_is_an_error_that_says_so() -> None:
    tallying = Tallying(manifest(100_000_000), 100_000_000, workers=1)
    try:
        pool = tallying._pool
        assert pool is not None
        eventually(lambda: pool._processes, "worker")
        os.kill(next(iter(pool._processes)), signal.SIGKILL)
        with pytest.raises(TxnpipeError) as raised:
            tallying.result()
        assert raised.value.exit_code == ExitCode.ENVIRONMENT
    finally:
        tallying.close()


_PARENT = """
import sys
from tests.unit.proof.test_tally import manifest
from txnpipe.proof.tally import Tallying
if __name__ == "__main__":
    tallying = Tallying(manifest(1000_000_000), 1000_000_000, workers=1)
    while not tallying._pool._processes: pass
    print(next(iter(tallying._pool._processes)), flush=True)
    tallying.result()
"""


def test_workers_end_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    script = tmp_path / "parent.py"
    script.write_text(_PARENT)
    root = Path(__file__).parents[3]
    parent = subprocess.Popen(
        [sys.executable, script], stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": str(root)}
    )
    assert parent.stdout is not None
    worker = int(parent.stdout.readline())
    parent.kill()
    parent.wait(PATIENCE_S)
    parent.stdout.close()
    eventually(lambda: not _alive(worker), "end of the worker")


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False
