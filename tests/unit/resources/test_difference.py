"""Field-level differences."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from txnpipe.resources.difference import (
    ABSENT,
    KNOWN_AFTER_APPLY,
    LOSES_DATA,
    REPLACES,
    Difference,
    differences,
)

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.dictionaries(st.text(min_size=1, max_size=3), inner, min_size=1, max_size=3),
    max_leaves=8,
)


@dataclass(frozen=True)
class State:
    """A state with one field of each sort."""

    plain: Any = 1
    nested: Any = field(default_factory=dict)
    fixed: Any = field(default="a", metadata=REPLACES)
    stored: Any = field(default="a", metadata=LOSES_DATA)


@given(VALUES)
def test_a_state_does_not_differ_from_itself(value: Any) -> None:
    assert differences(State(value, {"k": value}), State(value, {"k": value})) == ()


@given(VALUES, VALUES)
def test_there_is_a_difference_exactly_where_values_differ(one: Any, other: Any) -> None:
    found = differences(State(nested={"k": one}), State(nested={"k": other}))
    assert bool(found) == (one != other)
    assert all(difference.field.startswith("nested.k") for difference in found)


@given(VALUES, VALUES)
def test_a_difference_and_its_reverse_name_the_same_fields(one: Any, other: Any) -> None:
    forth = differences(State(nested={"k": one}), State(nested={"k": other}))
    back = differences(State(nested={"k": other}), State(nested={"k": one}))
    assert {(item.field, repr(item.before), repr(item.after)) for item in forth} == {
        (item.field, repr(item.after), repr(item.before)) for item in back
    }


def test_mappings_are_compared_key_by_key() -> None:
    wanted: Mapping[str, Any] = {"same": 1, "changed": {"x": 1}, "new": 2}
    actual: Mapping[str, Any] = {"same": 1, "changed": {"x": 3}, "old": 4}
    assert differences(State(nested=wanted), State(nested=actual)) == (
        Difference("nested.changed.x", 3, 1),
        Difference("nested.new", ABSENT, 2),
        Difference("nested.old", 4, ABSENT),
    )


def test_what_cannot_be_changed_is_marked() -> None:
    found = {item.field: item for item in differences(State(fixed="b", stored="b"), State())}
    assert (found["fixed"].replaces, found["fixed"].loses_data) == (True, False)
    assert (found["stored"].replaces, found["stored"].loses_data) == (True, True)


def test_against_nothing_every_field_is_new_and_nothing_is_replaced() -> None:
    found = differences(State(nested={"k": 1}), None)
    assert [item.field for item in found] == ["plain", "nested.k", "fixed", "stored"]
    assert {item.before for item in found} == {ABSENT}
    assert not any(item.replaces for item in found)


def test_what_is_known_after_apply_differs_from_everything_and_says_so() -> None:
    found = differences(State(plain=KNOWN_AFTER_APPLY), State())
    assert found[0].as_json()["after"] == "(known after apply)"
