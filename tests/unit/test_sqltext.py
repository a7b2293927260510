"""How SQL text is read: statements end at semicolons, parameters begin with colons, and quotes hide both."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from txnpipe.sqltext import bare_words, is_complete, parameter_names, replace_parameters, statements, tokens

SQLISH = st.lists(
    st.sampled_from(
        [
            "SELECT ",
            "'",
            "''",
            '"',
            "--",
            "\n",
            "/*",
            "*/",
            ";",
            ":name",
            "::",
            "$$",
            "$tag$",
            "E'",
            "\\",
            " ",
            "é",
            "1",
        ]
    ),
    max_size=30,
).map("".join)


@given(SQLISH | st.text(max_size=60))
def test_the_tokens_are_the_text(sql: str) -> None:
    assert "".join(token.text for token in tokens(sql)) == sql


@given(SQLISH)
def test_replacing_a_parameter_by_itself_changes_nothing(sql: str) -> None:
    assert replace_parameters(sql, lambda name: f":{name}") == sql


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("SELECT 1; SELECT 2", ["SELECT 1", "SELECT 2"]),
        ("SELECT 1;", ["SELECT 1"]),
        (";;  ;", []),
        ("-- nothing; here\n", []),
        ("/* a; /* nested; */ b; */ SELECT 1;", ["/* a; /* nested; */ b; */ SELECT 1"]),
        ("SELECT ';', \";\", $$;$$, $x$;$$;$x$, E'\\';'", ["SELECT ';', \";\", $$;$$, $x$;$$;$x$, E'\\';'"]),
        ("SELECT 'it''s; fine'; x", ["SELECT 'it''s; fine'", "x"]),
        ("SELECT 'never closed; ...", ["SELECT 'never closed; ..."]),
    ],
)
def test_statements_end_at_semicolons_that_nothing_hides(sql: str, expected: list[str]) -> None:
    assert statements(sql) == expected


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("a = :a AND b = :b OR c = :a", ["a", "b"]),
        ("x::int + :y::numeric", ["y"]),
        ("':a' || \":b\" -- :c\n/* :d */ || $$:e$$ || :f", ["f"]),
        ("'10:30'::time", []),
    ],
)
def test_parameters_are_colons_that_nothing_hides(sql: str, expected: list[str]) -> None:
    assert parameter_names(sql) == expected


def test_text_is_complete_when_a_semicolon_ends_it() -> None:
    assert is_complete("SELECT 1;")
    assert is_complete("SELECT 1; -- done\n")
    assert not is_complete("SELECT 1")
    assert not is_complete("SELECT ';")
    assert not is_complete("")


def test_words_in_quotes_and_comments_are_no_words() -> None:
    assert bare_words("select \"update\", 'delete' -- drop\n from T1") == ["SELECT", "FROM", "T1"]
