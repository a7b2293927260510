"""Records go from a real stream through a real function."""

from __future__ import annotations

import json
import os
import signal
import threading
from collections import defaultdict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.integration.event_sources.machine import RECORDER, Machine
from tests.waiting import eventually


def test_records_reach_the_function_in_order(machine: Machine) -> None:
    machine.create_stream()
    machine.map(BatchSize=7)
    for start in range(0, 200, 50):
        machine.put(*[str(number) for number in range(start, start + 50)])
    assert [data for *_, data in machine.until_delivered(200)] == [str(number) for number in range(200)]


def test_nothing_is_delivered_twice_over_an_orderly_restart(make_machine: Callable[[], Machine]) -> None:
    machine = make_machine()
    machine.create_stream(2)
    uuid = machine.map()
    machine.put("a", "b")
    machine.until_delivered(2)
    machine.stop()
    machine = make_machine()
    machine.until_state(uuid, "Enabled")
    machine.put("c", "d")
    assert [data for *_, data in machine.until_delivered(4)] == ["a", "b", "c", "d"]


def test_a_disabled_mapping_rests_over_a_restart(make_machine: Callable[[], Machine]) -> None:
    machine = make_machine()
    machine.create_stream()
    uuid = machine.map()
    machine.call("PUT", f"/{uuid}", {"Enabled": False})
    machine.until_state(uuid, "Disabled")
    machine.stop()
    machine = make_machine()
    machine.put("a")
    assert machine.call("GET", f"/{uuid}")["State"] == "Disabled"
    machine.call("PUT", f"/{uuid}", {"Enabled": True})
    assert len(machine.until_delivered(1)) == 1


def test_keys_stay_in_order_over_splits_and_merges_under_writes(machine: Machine) -> None:
    machine.create_stream()
    machine.map(BatchSize=50)
    keys = [f"key-{number}" for number in range(16)]
    done = threading.Event()
    put: dict[str, list[str]] = {key: [] for key in keys}

    def write() -> None:
        number = 0
        while not done.is_set():
            for key in keys:
                machine.put(str(number), key=key)
                put[key].append(str(number))
                number += 1
            done.wait(0.002)

    with ThreadPoolExecutor(1) as pool:
        writing = pool.submit(write)

        def until_every_key_is_put_again() -> None:
            wanted = len(put[keys[-1]]) + 2  # the round under way began before now
            eventually(lambda: len(put[keys[-1]]) >= wanted or writing.done(), "further round of the writer")

        try:
            until_every_key_is_put_again()
            for target in (2, 4, 3, 2, 1):
                machine.call_kinesis(
                    "UpdateShardCount",
                    StreamName="orders",
                    TargetShardCount=target,
                    ScalingType="UNIFORM_SCALING",
                )
                machine.until_active()
                until_every_key_is_put_again()
        finally:
            done.set()
        writing.result()
    total = sum(map(len, put.values()))
    delivered = machine.until_delivered(total)
    got: dict[str, list[str]] = defaultdict(list)
    for _, _, key, data in delivered:
        got[key].append(data)
    assert len(delivered) == total, "each record once"
    assert got == put, "in order per key"
    taking = {shard for shard, *_ in delivered}
    assert len(taking) >= 1 + 2 + 4 + 1, "the reshards were really under writes"


def test_a_parallelization_factor_keeps_keys_in_order(machine: Machine) -> None:
    machine.create_stream()
    machine.map(ParallelizationFactor=4, BatchSize=5)
    for number in range(100):
        machine.put(str(number), key=f"key-{number % 9}")
    got: dict[str, list[int]] = defaultdict(list)
    for _, _, key, data in machine.until_delivered(100):
        got[key].append(int(data))
    assert all(numbers == sorted(numbers) for numbers in got.values())
    assert sum(map(len, got.values())) == 100


def test_a_bad_record_is_isolated_and_kept_with_its_payload(machine: Machine) -> None:
    machine.define(RECORDER, variables={"FAIL_ON": "poison"})
    machine.create_stream()
    machine.map(
        BisectBatchOnFunctionError=True,
        MaximumRetryAttempts=0,
        DestinationConfig={"OnFailure": {"Destination": "arn:aws:s3:::bucket"}},
    )
    machine.put(
        *[f"good-{number}" for number in range(5)], "poison", *[f"good-{number}" for number in range(5, 9)]
    )
    assert [data for *_, data in machine.until_delivered(9)] == [f"good-{number}" for number in range(9)]
    (kept,) = machine.sent
    record = json.loads(kept["Body"])
    assert record["KinesisBatchInfo"]["batchSize"] == 1
    assert record["responseContext"]["functionError"] == "Unhandled"
    assert [r["kinesis"]["data"] for r in json.loads(record["payload"])["Records"]] == ["cG9pc29u"]


def test_a_failing_function_holds_its_shard_until_it_is_mended(machine: Machine) -> None:
    machine.define(RECORDER, variables={"FAIL_ON": "a"})
    machine.create_stream()
    uuid = machine.map()
    machine.put("a", "b")
    machine.until_result(uuid, "PROBLEM: Function call failed")
    assert machine.delivered == []
    machine.define(RECORDER)
    assert [data for *_, data in machine.until_delivered(2)] == ["a", "b"]
    machine.until_result(uuid, "OK")


def test_a_missing_function_is_a_problem_until_it_is_there(machine: Machine) -> None:
    machine.create_stream()
    uuid = machine.map(MaximumRetryAttempts=0)
    function, machine.function = machine.function, None
    machine.put("a")
    machine.until_result(uuid, "PROBLEM: Function not found")
    machine.function = function
    assert len(machine.until_delivered(1)) == 1


def test_a_worker_killed_in_the_middle_of_a_batch_loses_nothing(machine: Machine, tmp_path: Path) -> None:
    hold = tmp_path / "hold"
    hold.touch()
    machine.define(RECORDER, variables={"HOLD": str(hold)})
    machine.create_stream()
    machine.map()
    machine.put("a", "b")
    eventually((tmp_path / "hold.held").exists, "invocation")
    (worker,) = machine.functions.processes()
    os.kill(worker.pid, signal.SIGKILL)
    hold.unlink()
    assert [data for *_, data in machine.until_delivered(2)] == ["a", "b"]


def test_a_stream_deleted_and_made_again_goes_on(machine: Machine) -> None:
    machine.create_stream()
    uuid = machine.map()
    machine.put("old")
    machine.until_delivered(1)
    machine.call_kinesis("DeleteStream", StreamName="orders")
    machine.until_result(uuid, "PROBLEM: Stream not found")
    machine.create_stream()
    machine.put("new")
    assert [data for *_, data in machine.until_delivered(2)] == ["old", "new"]


def test_a_deleted_mapping_leaves_nothing_running(machine: Machine) -> None:
    machine.create_stream(4)
    uuid = machine.map(ParallelizationFactor=2)

    def its_threads() -> list[str]:
        return [thread.name for thread in threading.enumerate() if uuid[:8] in thread.name]

    eventually(lambda: len(its_threads()) >= 1 + 4 * 2, "supervisor, and two lanes for each shard")
    machine.call("DELETE", f"/{uuid}")
    eventually(lambda: not machine.call("GET")["EventSourceMappings"], "end of the mapping")
    eventually(lambda: not its_threads(), "end of its threads")
