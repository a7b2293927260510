"""Results of the Data API on disk: typed, in pages."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from txnpipe.local.redshift.data_api import results


def column(name: str, type_code: int, **more: Any) -> SimpleNamespace:
    return SimpleNamespace(
        name=name,
        type_code=type_code,
        internal_size=more.get("size", -1),
        precision=more.get("precision"),
        scale=more.get("scale"),
    )


DESCRIPTION = [column("id", 20), column("text", 1043, size=50), column("ok", 16), column("x", 701)]


def test_values_are_typed_and_null_is_marked(tmp_path: Path) -> None:
    file = tmp_path / "r"
    assert results.write(file, DESCRIPTION, [(1, "a\nb", True, 0.5), (None, None, None, None)])[0] == 2
    columns, records, token = results.read_page(file, None)
    assert [each["typeName"] for each in columns] == ["int8", "varchar", "bool", "float8"]
    assert columns[1]["precision"] == 50
    assert records == [
        [{"longValue": 1}, {"stringValue": "a\nb"}, {"booleanValue": True}, {"doubleValue": 0.5}],
        [{"isNull": True}] * 4,
    ]
    assert token is None


def test_a_long_result_comes_in_pages_that_lose_nothing(tmp_path: Path) -> None:
    file = tmp_path / "r"
    rows = [(number, "x" * 1000, False, 1.0) for number in range(3000)]
    results.write(file, DESCRIPTION, rows)
    found: list[int] = []
    token: str | None = None
    pages = 0
    while True:
        _, records, token = results.read_page(file, token)
        found += [record[0]["longValue"] for record in records]
        pages += 1
        if token is None:
            break
    assert found == list(range(3000))
    assert pages > 2


@pytest.mark.parametrize("token", ["x", "-1", "3", "99999999"])
def test_a_token_that_is_not_ours_is_refused(tmp_path: Path, token: str) -> None:
    file = tmp_path / "r"
    results.write(file, DESCRIPTION, [])
    with pytest.raises(ValueError):
        results.read_page(file, token)
