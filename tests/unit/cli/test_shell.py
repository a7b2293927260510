"""Environment for shells: whatever a value holds, evaluating the text gives it back."""

from __future__ import annotations

import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from txnpipe.cli.shell import exports

VALUES = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=20)


@given(VALUES)
@settings(max_examples=30)
def test_bash_gives_back_every_value(value: str) -> None:
    script = exports({"A": value}, ("B",), "bash") + '\nprintf %s "$A${B-}"'
    shown = subprocess.run(["bash", "-c", script], env={"B": "set"}, capture_output=True, check=True).stdout
    assert shown.decode() == value


@pytest.mark.parametrize(
    ("value", "quoted"), [("a b", "'a b'"), ("it's", "'it\\'s'"), ("a\\b", "'a\\\\b'"), ("$x", "'$x'")]
)
def test_fish_quotes_in_its_own_way(value: str, quoted: str) -> None:
    assert exports({"A": value}, ("B", "C"), "fish").splitlines() == [
        f"set -gx A {quoted}",
        "set -e B",
        "set -e C",
    ]
