"""Capacities of a serverless warehouse, and the limit that follows from them. Pure."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from txnpipe.config.settings import WarehouseSettings
from txnpipe.errors import ExitCode, TxnpipeError
from txnpipe.resources.difference import differences
from txnpipe.resources.usage_limit import limit_hours
from txnpipe.resources.workgroup import WorkgroupState, capacity_changes, refuse_capacity

CAPACITIES = st.sampled_from([4, 8, 64, 128, 512])


def state(base: int, most: int | None) -> WorkgroupState:
    return WorkgroupState("n", base, most, 5439, ("a",), ("g",), False, True)


pairs = st.tuples(CAPACITIES, st.none() | CAPACITIES).filter(
    lambda pair: pair[1] is None or pair[1] >= pair[0]
)


@given(pairs, pairs)
def test_the_maximum_is_never_below_the_base_on_the_way(
    before: tuple[int, int | None], after: tuple[int, int | None]
) -> None:
    fields = {found.field: found for found in differences(state(*after), state(*before))}
    base, most = before
    for name, change in capacity_changes(fields, state(*after)):
        assert len(change) == 1
        assert name in fields
        base = change.get("baseCapacity", base)
        if change.get("maxCapacity") == -1:
            assert most is not None, "there is nothing to lift"
            most = None
        else:
            most = change.get("maxCapacity", most)
        assert most is None or most >= base
    assert (base, most) == after


@pytest.mark.parametrize("base", [4, 8, 256, 512])
def test_capacities_that_exist_everywhere(base: int) -> None:
    refuse_capacity(WarehouseSettings(base_capacity_rpu=base), "eu-north-1")


@pytest.mark.parametrize(
    ("base", "most", "region", "setting"),
    [
        (5, None, "us-east-1", "base_capacity_rpu"),
        (12, None, "us-east-1", "base_capacity_rpu"),
        (520, None, "us-east-1", "base_capacity_rpu"),
        (544, None, "eu-north-1", "us-east-1"),
        (8, 4, "us-east-1", "max_capacity_rpu"),
    ],
)
def test_capacities_that_do_not_exist_are_refused_before_anything_is_asked(
    base: int, most: int | None, region: str, setting: str
) -> None:
    with pytest.raises(TxnpipeError) as caught:
        refuse_capacity(WarehouseSettings(base_capacity_rpu=base, max_capacity_rpu=most), region)
    assert caught.value.exit_code is ExitCode.USAGE
    assert setting in caught.value.fix


def test_large_capacities_exist_in_some_regions() -> None:
    refuse_capacity(WarehouseSettings(base_capacity_rpu=1024), "us-east-1")


@pytest.mark.parametrize("base", [4, 64])
@pytest.mark.parametrize(("period", "days"), [("daily", 1), ("weekly", 7), ("monthly", 31)])
def test_by_itself_the_limit_lets_the_base_capacity_run_all_the_time(
    base: int, period: str, days: int
) -> None:
    settings = WarehouseSettings(base_capacity_rpu=base, usage_limit_period=period)  # type: ignore[arg-type]
    assert base * 24 * days < limit_hours(settings) <= base * 30 * days
    assert limit_hours(WarehouseSettings(usage_limit_rpu_hours=3)) == 3
