"""Which runs `verify --since` and `--all` prove."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from tests.unit.traffic.fakes import FakeS3, target_with
from txnpipe.errors import ExitCode, TxnpipeError
from txnpipe.proof.choosing import runs_since
from txnpipe.traffic.history import UNFINISHED, UNREADABLE
from txnpipe.traffic.manifest import generated_run, new_run_id
from txnpipe.traffic.runs import RunStore

NOON = datetime(2026, 11, 24, 12, 0, 0, 250_000, tzinfo=UTC)


@pytest.fixture
def s3() -> FakeS3:
    return FakeS3()


@pytest.fixture
def store(s3: FakeS3) -> RunStore:
    return RunStore(target_with(s3=s3), "bucket")


def create(store: RunStore, begun: datetime) -> str:
    run_id = new_run_id(begun)
    store.create(generated_run(run_id=run_id, pipeline="default", count=10, seed=1, now=begun))
    return run_id


def test_all_runs_come_oldest_first(store: RunStore) -> None:
    ids = [create(store, NOON + timedelta(hours=hours)) for hours in (3, 1, 2)]
    assert [past.run_id for past in runs_since(store, None)] == [ids[1], ids[2], ids[0]]
    assert {past.state for past in runs_since(store, None)} == {UNFINISHED}


def test_a_run_that_began_exactly_then_is_among_them(store: RunStore) -> None:
    create(store, NOON - timedelta(microseconds=1))
    create(store, NOON - timedelta(days=1))
    then = create(store, NOON)
    later = create(store, NOON + timedelta(seconds=1))
    assert [past.run_id for past in runs_since(store, NOON)] == [then, later]


def test_runs_that_are_too_old_are_not_even_read(store: RunStore, s3: FakeS3) -> None:
    old = create(store, NOON - timedelta(days=1))
    create(store, NOON)
    s3.objects[f"runs/{old}/manifest.json"] = (b"damaged", NOON)
    assert [past.state for past in runs_since(store, NOON)] == [UNFINISHED]
    assert [past.state for past in runs_since(store, None)] == [UNREADABLE, UNFINISHED]


@pytest.mark.parametrize(("since", "said"), [(None, "Nothing was sent"), (NOON, "No run has begun since")])
def test_no_run_at_all_is_not_found(store: RunStore, since: datetime | None, said: str) -> None:
    with pytest.raises(TxnpipeError, match=said) as raised:
        runs_since(store, since)
    assert raised.value.exit_code == ExitCode.NOT_FOUND
