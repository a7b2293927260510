"""Which records pass which event patterns."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from txnpipe.local.event_sources.filters import PatternError, RecordFilter


def passes(pattern: Any, data: Any, *, key: str = "k") -> bool:
    raw = data if isinstance(data, bytes) else json.dumps(data).encode()
    encoded = base64.b64encode(raw).decode()
    return RecordFilter((json.dumps(pattern),)).passes("1", key, encoded, 1.5)


@pytest.mark.parametrize(
    ("pattern", "data", "expected"),
    [
        ({"type": ["a", "b"]}, {"type": "b"}, True),
        ({"type": ["a", "b"]}, {"type": "c"}, False),
        ({"type": ["a"]}, {}, False),
        ({"type": [None]}, {"type": None}, True),
        ({"type": [None]}, {}, False),
        ({"type": [""]}, {"type": ""}, True),
        ({"n": [1]}, {"n": 1.0}, True),
        ({"n": [1]}, {"n": True}, False),
        ({"n": [True]}, {"n": 1}, False),
        ({"tags": ["x"]}, {"tags": ["w", "x"]}, True),
        ({"a": {"b": ["c"]}}, {"a": {"b": "c"}}, True),
        ({"a": {"b": ["c"]}}, {"a": "b"}, False),
        ({"a": ["x"], "b": ["y"]}, {"a": "x", "b": "y"}, True),
        ({"a": ["x"], "b": ["y"]}, {"a": "x", "b": "z"}, False),
        ({"a": [{"prefix": "us-"}]}, {"a": "us-east-1"}, True),
        ({"a": [{"suffix": ".png"}]}, {"a": "x.jpg"}, False),
        ({"a": [{"equals-ignore-case": "ABC"}]}, {"a": "abc"}, True),
        ({"a": [{"exists": True}]}, {"a": None}, True),
        ({"a": [{"exists": False}]}, {"a": 1}, False),
        ({"a": [{"exists": False}]}, {}, True),
        ({"a": [{"anything-but": ["x", "y"]}]}, {"a": "z"}, True),
        ({"a": [{"anything-but": "x"}]}, {"a": "x"}, False),
        ({"a": [{"anything-but": {"prefix": "x"}}]}, {"a": "xy"}, False),
        ({"a": [{"anything-but": "x"}]}, {}, False),
        ({"n": [{"numeric": ["=", 100]}]}, {"n": 100}, True),
        ({"n": [{"numeric": [">", 10, "<=", 20]}]}, {"n": 20}, True),
        ({"n": [{"numeric": [">", 10, "<=", 20]}]}, {"n": 10}, False),
        ({"n": [{"numeric": [">", 10]}]}, {"n": "11"}, False),
        ({"$or": [{"a": ["x"]}, {"b": ["y"]}]}, {"b": "y"}, True),
        ({"$or": [{"a": ["x"]}, {"b": ["y"]}]}, {"a": "y", "b": "x"}, False),
    ],
)
def test_comparisons_on_json_data(pattern: Any, data: Any, expected: bool) -> None:
    assert passes({"data": pattern}, data) is expected


def test_a_field_of_the_record_can_be_matched() -> None:
    assert passes({"partitionKey": ["k"]}, b"\xff\x00")
    assert not passes({"partitionKey": ["other"]}, {})


def test_plain_text_data_is_matched_by_a_list_of_strings() -> None:
    assert passes({"data": ["hello"]}, b"hello")
    assert not passes({"data": ["hello"]}, b"bye")


def test_data_of_the_other_kind_does_not_pass() -> None:
    assert not passes({"data": {"a": [{"exists": False}]}}, b"no json")
    assert not passes({"data": ["hello"]}, {"hello": 1})


def test_a_record_passes_if_one_of_several_patterns_matches() -> None:
    patterns = ('{"partitionKey":["a"]}', '{"partitionKey":["b"]}')
    assert RecordFilter(patterns).passes("1", "b", "", 0)
    assert not RecordFilter(patterns).passes("1", "c", "", 0)


def test_data_that_is_not_base64_is_no_match_and_no_error() -> None:
    assert not RecordFilter(('{"data":{"a":["x"]}}',)).passes("1", "k", "***", 0)


def test_data_nested_too_deeply_is_no_match_and_no_error() -> None:
    assert not passes({"data": {"a": ["x"]}}, b"[" * 100_000)


@pytest.mark.parametrize(
    "pattern",
    [
        "not json",
        "[]",
        "{}",
        '{"data":{}}',
        '{"data":[]}',
        '{"body":["x"]}',
        '{"data":{"a":"x"}}',
        '{"data":{"a":[{"numeric":[">"]}]}}',
        '{"data":{"a":[{"numeric":["~",1]}]}}',
        '{"data":{"a":[{"exists":"yes"}]}}',
        '{"data":{"a":[{"wildcard":"*"}]}}',
        '{"data":{"a":[["x"]]}}',
        '{"data":{"$or":[{"a":["x"]}]}}',
        '{"data":{"a":["' + "x" * 4096 + '"]}}',
    ],
)
def test_a_pattern_that_is_not_valid_is_refused(pattern: str) -> None:
    with pytest.raises(PatternError):
        RecordFilter((pattern,))
