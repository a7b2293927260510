"""The loader when something breaks, or when two of them want the same."""

from __future__ import annotations

import signal
import subprocess
import sys
import textwrap
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import psycopg2
import pytest

from tests.corpus.lambda_events import ALERT_STREAM_ARN, kinesis_event
from tests.integration.loader.conftest import LOADER, PASSWORD, Load, Warehouse
from tests.integration.loader.test_loading import transaction
from tests.waiting import PATIENCE_S, eventually
from txnpipe.functions.loader.connection import Credentials, WarmConnection
from txnpipe.functions.loader.loader import Loader
from txnpipe.functions.records import read_batch


def counts(warehouse: Warehouse) -> tuple[int, int]:
    """Rows and distinct ids."""
    ((rows, ids),) = warehouse.sql("SELECT count(*), count(DISTINCT transaction_id) FROM transactions")
    return rows, ids


def test_two_loaders_with_the_same_records_store_them_once(warehouse: Warehouse) -> None:
    """As when an event source mapping gives up on a slow invocation that is still at work."""
    events = [
        kinesis_event((transaction(n) for n in range(b * 20, b * 20 + 60)), first=b * 20) for b in range(20)
    ]
    barrier = threading.Barrier(4)

    def deliver(order: list[dict[str, Any]]) -> int:
        loader = warehouse.loader()
        barrier.wait(PATIENCE_S)
        return sum(loader.load(read_batch(event), lambda: 60_000).stored.rows for event in order)

    with ThreadPoolExecutor(4) as pool:
        stored = list(pool.map(deliver, [events, events, events[::-1], events[::-1]]))
    assert counts(warehouse) == (440, 440)
    assert sum(stored) == 440


def test_a_connection_lost_between_calls_is_replaced(warehouse: Warehouse, load: Load) -> None:
    load(kinesis_event([transaction(1)]))
    before = warehouse.loader_sessions()
    warehouse.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = %s", LOADER)
    eventually(lambda: not warehouse.loader_sessions(), "end of the sessions")
    outcome = load(kinesis_event([transaction(1), transaction(2)]))
    assert (outcome.attempts, outcome.stored.rows, outcome.stored.repeats) == (2, 1, 1)
    assert len(warehouse.loader_sessions()) == 1
    assert not set(before) & set(warehouse.loader_sessions())


def test_a_connection_lost_within_a_call_is_replaced(warehouse: Warehouse, load: Load) -> None:
    """The session is ended while it waits for the mutex."""
    with psycopg2.connect(
        host="127.0.0.1", port=warehouse.port, dbname="txnpipe", user="txnpipe_admin", password=PASSWORD
    ) as other:
        other.cursor().execute("LOCK TABLE loader_mutex")
        with ThreadPoolExecutor(1) as pool:
            loading = pool.submit(load, kinesis_event([transaction(1)]))
            victim = _waiting_session(warehouse)
            warehouse.sql("SELECT pg_terminate_backend(%s)", victim)
            assert _waiting_session(warehouse, but=victim)
            other.rollback()
            outcome = loading.result(PATIENCE_S)
    other.close()
    assert (outcome.attempts, outcome.stored.rows) == (2, 1)
    assert counts(warehouse) == (1, 1)


def _waiting_session(warehouse: Warehouse, but: int = 0) -> int:
    waiting = "SELECT pid FROM pg_stat_activity WHERE usename = %s AND wait_event_type = 'Lock' AND pid <> %s"
    found = eventually(lambda: warehouse.sql(waiting, LOADER, but), "loader that waits for the mutex")
    return int(found[0][0])


def test_a_lock_that_is_never_released_ends_the_call_before_lambda_does(warehouse: Warehouse) -> None:
    loader = warehouse.loader()
    with psycopg2.connect(
        host="127.0.0.1", port=warehouse.port, dbname="txnpipe", user="txnpipe_admin", password=PASSWORD
    ) as other:
        other.cursor().execute("LOCK TABLE loader_mutex")
        with pytest.raises(psycopg2.errors.QueryCanceled, match="statement timeout"):
            loader.load(read_batch(kinesis_event([transaction(1)])), lambda: 1500)
        other.rollback()
    other.close()
    assert loader.load(read_batch(kinesis_event([transaction(1)])), lambda: 60_000).attempts == 1
    assert counts(warehouse) == (1, 1)


def test_an_error_in_the_middle_leaves_nothing_and_the_connection_usable(
    warehouse: Warehouse, load: Load
) -> None:
    warehouse.sql("ALTER TABLE rejected_transactions ADD CONSTRAINT broken CHECK (reason <> 'invalid_json')")
    event = kinesis_event([transaction(1), b"not json"])
    try:
        for _ in range(2):
            with pytest.raises(psycopg2.errors.CheckViolation):
                load(event)
            assert counts(warehouse) == (0, 0)
    finally:
        warehouse.sql("ALTER TABLE rejected_transactions DROP CONSTRAINT broken")
    outcome = load(event)
    assert (outcome.attempts, outcome.stored.rows, outcome.stored.rejects_stored) == (1, 1, 1)


def test_a_serialization_failure_is_tried_again(warehouse: Warehouse) -> None:
    pauses: list[float] = []
    loader = warehouse.loader(sleep=pauses.append, jitter=lambda: 1.0)
    warehouse.sql("CREATE SEQUENCE conflicts; GRANT USAGE ON conflicts TO " + LOADER)
    warehouse.sql(
        "CREATE FUNCTION conflict() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        " IF nextval('conflicts') <= 3 THEN RAISE EXCEPTION USING ERRCODE = '40001'; END IF;"
        " RETURN NEW; END $$"
    )
    warehouse.sql(
        "CREATE TRIGGER conflict BEFORE INSERT ON transactions FOR EACH STATEMENT EXECUTE FUNCTION conflict()"
    )
    try:
        outcome = loader.load(read_batch(kinesis_event([transaction(1)])), lambda: 60_000)
    finally:
        warehouse.sql(
            "DROP TRIGGER conflict ON transactions; DROP FUNCTION conflict; DROP SEQUENCE conflicts"
        )
    assert (outcome.attempts, outcome.stored.rows) == (4, 1)
    assert pauses == [0.05, 0.1, 0.2]


def test_a_rotated_password_is_read_anew(warehouse: Warehouse) -> None:
    passwords = ["0utdated", PASSWORD]
    reads: list[str] = []

    def read() -> Credentials:
        reads.append(passwords[min(len(reads), 1)])
        return Credentials(LOADER, reads[-1])

    warm = WarmConnection(warehouse.endpoint, read, warehouse.connect)
    loader = Loader(warm, ALERT_STREAM_ARN, timedelta(days=7))
    batch = read_batch(kinesis_event([transaction(1)]))
    with pytest.raises(psycopg2.OperationalError, match="authentication failed"):
        loader.load(batch, lambda: 60_000)
    assert loader.load(batch, lambda: 60_000).stored.rows == 1
    assert reads == ["0utdated", PASSWORD]
    warm.drop()
    assert loader.load(batch, lambda: 60_000).stored.repeats == 1
    assert len(reads) == 2


def test_killed_at_any_moment_and_delivered_again_nothing_is_lost_or_twice(warehouse: Warehouse) -> None:
    """Processes that load the same ten batches over and over are killed at arbitrary moments."""
    program = textwrap.dedent(
        f"""
        import sys
        from tests.corpus.lambda_events import kinesis_event
        import psycopg2.extensions
        from tests.integration.loader import conftest
        from tests.integration.loader.test_loading import transaction
        from txnpipe.functions.records import read_batch

        password = sys.stdin.readline().strip()
        factory = {{"connection": psycopg2.extensions.connection, "AsRedshift": conftest.AsRedshift}}
        warehouse = conftest.Warehouse({warehouse.port}, None, factory["{warehouse.factory.__name__}"])
        loader = warehouse.loader(password)
        print("ready", flush=True)
        for start in range(0, 500, 50):
            event = kinesis_event((transaction(n) for n in range(start, start + 50)), first=start)
            loader.load(read_batch(event), lambda: 60_000)
        print("done", flush=True)
        """
    )

    def run(seconds: float | None) -> bool:
        with subprocess.Popen(
            [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write(PASSWORD + "\n")
            process.stdin.flush()
            assert process.stdout.readline() == "ready\n"
            if seconds is not None:
                time.sleep(seconds)
                process.send_signal(signal.SIGKILL)
            return process.stdout.readline() == "done\n"

    for moment in (0.015, 0.03, 0.05):
        run(moment)
        rows, ids = counts(warehouse)
        assert rows == ids
        assert rows % 50 == 0, "part of a batch was committed"
    assert run(None)
    assert counts(warehouse) == (500, 500)
