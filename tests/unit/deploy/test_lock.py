"""The lock that keeps two setups apart, against S3's conditional writes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import boto3
import pytest
from moto import mock_aws

from tests.waiting import PATIENCE_S, eventually
from txnpipe.deploy.lock import LEASE_S, Holder, SetupLock, process_start, this_process
from txnpipe.errors import ExitCode, TxnpipeError
from txnpipe.names import BucketKeys

BUCKET = "txnpipe-test"


@dataclass
class Clock:
    """A clock that stands still until told."""

    now: float = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def s3() -> Iterator[Any]:
    """S3 with the pipeline's bucket."""
    with mock_aws():
        client = boto3.client(
            "s3", region_name="us-east-1", aws_access_key_id="testing", aws_secret_access_key="testing"
        )
        client.create_bucket(Bucket=BUCKET)
        yield client


STANDING = Clock()


def lock(s3: Any, clock: Callable[[], float] = STANDING, **options: Any) -> SetupLock:
    return SetupLock(s3, BUCKET, "setup", clock=clock, **options)


def stored(s3: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(s3.get_object(Bucket=BUCKET, Key=BucketKeys.LOCK)["Body"].read())
    return found


def put(s3: Any, holder: Holder) -> None:
    s3.put_object(Bucket=BUCKET, Key=BucketKeys.LOCK, Body=json.dumps(holder.__dict__).encode())


def elsewhere(clock: Clock) -> Holder:
    """A holder on another machine."""
    here = this_process("setup", clock())
    return Holder(**(here.__dict__ | {"host": "elsewhere/1", "token": "theirs"}))


def test_a_free_lock_is_taken_and_given_back(s3: Any) -> None:
    with lock(s3) as held:
        held.assert_held()
        assert stored(s3)["pid"] == os.getpid()
    assert s3.list_objects_v2(Bucket=BUCKET)["KeyCount"] == 0


def test_a_second_setup_is_told_who_holds_it(s3: Any) -> None:
    clock = Clock()
    with lock(s3, clock):
        clock.now += 12
        for attempt in (lock(s3, clock).acquire, lock(s3, clock).check):
            with pytest.raises(TxnpipeError, match=rf"process {os.getpid()} on .*, since 12 s") as caught:
                attempt()
            assert caught.value.exit_code is ExitCode.CONFLICT


class Whole:
    """S3, for several threads: moto looks at a condition, and writes a while later."""

    _mutex = threading.Lock()

    def __init__(self, s3: Any) -> None:
        self._s3 = s3
        self.exceptions = s3.exceptions

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def call(**arguments: Any) -> Any:
            with self._mutex:
                return getattr(self._s3, name)(**arguments)

        return call


def test_of_many_at_the_same_moment_exactly_one_gets_it(s3: Any) -> None:
    won, lost = [], []
    together = threading.Barrier(8, timeout=PATIENCE_S)

    def compete() -> None:
        mine = lock(Whole(s3))
        together.wait()
        try:
            mine.acquire()
            won.append(mine)
        except TxnpipeError:
            lost.append(mine)

    threads = [threading.Thread(target=compete) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE_S)
    assert (len(won), len(lost)) == (1, 7)


def test_a_lock_from_another_machine_is_respected_until_its_lease_ends(s3: Any) -> None:
    clock = Clock()
    put(s3, elsewhere(clock))
    clock.now += LEASE_S - 1
    with pytest.raises(TxnpipeError, match="on elsewhere"):
        lock(s3, clock).acquire()
    clock.now += 1
    lock(s3, clock).acquire()
    assert stored(s3)["token"] != "theirs"


def test_a_setup_killed_on_this_machine_is_taken_over_at_once(s3: Any) -> None:
    clock = Clock()
    # It waits for its input to end: one that has ended already has no start to ask for.
    finished = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    started = process_start(finished.pid)
    finished.communicate(b"\n")
    put(
        s3,
        Holder(
            **(this_process("setup", clock()).__dict__ | {"pid": finished.pid, "process_started": started})
        ),
    )
    lock(s3, clock).acquire()
    assert stored(s3)["pid"] == os.getpid()


def test_another_process_with_the_dead_one_s_id_does_not_keep_the_lock(s3: Any) -> None:
    clock = Clock()
    put(s3, Holder(**(this_process("setup", clock()).__dict__ | {"process_started": "long ago"})))
    lock(s3, clock).acquire()


def test_a_renewed_lock_outlives_its_first_lease(s3: Any) -> None:
    clock = Clock()
    first = lock(s3, clock)
    first.acquire()
    clock.now += LEASE_S - 1
    first.renew()
    clock.now += 2
    with pytest.raises(TxnpipeError):
        lock(s3, clock).check()


def test_whoever_was_taken_over_notices_and_does_not_remove_the_new_lock(s3: Any) -> None:
    clock = Clock()
    first = lock(s3, clock)
    first.acquire()
    clock.now += LEASE_S
    second = lock(s3, clock)
    second.acquire()
    with pytest.raises(TxnpipeError):
        first.renew()
    first.release()
    assert stored(s3)["expires"] == clock.now + LEASE_S


def test_a_lease_that_ran_out_unnoticed_is_renewed_before_the_work_goes_on(s3: Any) -> None:
    """As after a machine has slept: the renewing thread may wake up later than the working ones."""
    clock = Clock()
    held = lock(s3, clock)
    held.acquire()
    clock.now += LEASE_S
    held.assert_held()
    assert stored(s3)["expires"] == clock.now + LEASE_S


def test_a_lease_that_ran_out_and_was_taken_over_stops_the_work_at_once(s3: Any) -> None:
    clock = Clock()
    first = lock(s3, clock)
    first.acquire()
    clock.now += LEASE_S
    lock(s3, clock).acquire()
    with pytest.raises(TxnpipeError) as caught:
        first.assert_held()
    assert caught.value.exit_code is ExitCode.CONFLICT


def test_a_release_that_comes_late_does_not_remove_the_next_lock(s3: Any) -> None:
    clock = Clock()
    first = lock(s3, clock)
    first.acquire()

    class Overtaken:
        """S3 whose lock changes hands between a look and what follows it."""

        def __getattr__(self, name: str) -> Any:
            return getattr(s3, name)

        def delete_object(self, **arguments: Any) -> Any:
            put(s3, elsewhere(clock))
            assert arguments["IfMatch"] != s3.head_object(Bucket=BUCKET, Key=BucketKeys.LOCK)["ETag"]
            raise s3.exceptions.ClientError({"Error": {"Code": "PreconditionFailed"}}, "DeleteObject")

    first._s3 = Overtaken()
    first.release()
    assert stored(s3)["token"] == "theirs"


def test_a_lost_lock_stops_the_work(s3: Any) -> None:
    with lock(s3, lease_s=0.04) as held:
        put(s3, elsewhere(Clock()))
        with pytest.raises(TxnpipeError, match="elsewhere"):
            eventually(held.assert_held, "word of the loss")


def test_a_write_whose_answer_was_lost_is_recognized_as_our_own(s3: Any) -> None:
    class Repeating:
        """S3 as seen through a client that repeats a request whose first answer was lost."""

        def __getattr__(self, name: str) -> Any:
            return getattr(s3, name)

        def put_object(self, **arguments: Any) -> Any:
            s3.put_object(**arguments)
            return s3.put_object(**arguments)

    held = lock(Repeating())
    held.acquire()
    held.renew()
    assert stored(s3)["pid"] == os.getpid()


def test_a_bucket_that_is_gone_took_the_lock_along(s3: Any) -> None:
    with lock(s3):
        s3.delete_object(Bucket=BUCKET, Key=BucketKeys.LOCK)
        s3.delete_bucket(Bucket=BUCKET)


def test_a_lock_that_cannot_be_given_back_does_not_hide_how_the_work_ended(s3: Any) -> None:
    def fail() -> None:
        with lock(s3):
            s3.get_object = None  # whatever is asked from here on fails
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
