"""Reads SQL text just as far as needed to find its statements and its `:name` parameters.

A semicolon or a colon inside a string, a quoted identifier or a comment means nothing; `::` is a cast. The
lexical rules are those that PostgreSQL and Redshift share.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Literal, NamedTuple

Kind = Literal["string", "quoted", "comment", "parameter", "word", "semicolon", "space", "other"]

_TOKEN = re.compile(
    r"""
      (?P<string>  [eE]'(?:[^'\\]|''|\\.)*'? | '(?:[^']|'')*'?)
    | (?P<dollar>  \$(?P<tag>[A-Za-z_]\w*|)\$ .*? (?:\$(?P=tag)\$|\Z))
    | (?P<quoted>  "(?:[^"]|"")*"?)
    | (?P<comment> --[^\n]*)
    | (?P<block>   /\*)
    | (?P<cast>    ::)
    | (?P<parameter> :[A-Za-z_]\w*)
    | (?P<word>    [^\W\d][\w$]*)
    | (?P<semicolon> ;)
    | (?P<space>   \s+)
    | (?P<other>   \d[\w.]* | .)
    """,
    re.VERBOSE | re.DOTALL,
)
_KINDS: dict[str, Kind] = {
    "string": "string",
    "dollar": "string",
    "tag": "string",  # the innermost group that ends a dollar-quoted string
    "quoted": "quoted",
    "comment": "comment",
    "cast": "other",
    "parameter": "parameter",
    "word": "word",
    "semicolon": "semicolon",
    "space": "space",
    "other": "other",
}
_NESTED = re.compile(r"/\*|\*/")


class Token(NamedTuple):
    """A piece of SQL. The texts of all tokens, joined, are the whole again."""

    kind: Kind
    text: str


def tokens(sql: str) -> Iterator[Token]:
    """Cuts SQL into tokens. Never fails: what is not closed extends to the end."""
    position = 0
    while position < len(sql):
        match = _TOKEN.match(sql, position)
        assert match is not None, "the last alternative takes any character"
        group = match.lastgroup or "other"
        if group == "block":
            end = _end_of_block(sql, position)
            yield Token("comment", sql[position:end])
        else:
            end = match.end()
            yield Token(_KINDS[group], match.group())
        position = end


def statements(sql: str) -> list[str]:
    """The statements of a script, without their semicolons; those of nothing but comments are left out."""
    found: list[str] = []
    current: list[Token] = []
    for token in (*tokens(sql), Token("semicolon", ";")):
        if token.kind != "semicolon":
            current.append(token)
            continue
        if any(part.kind not in ("space", "comment") for part in current):
            found.append("".join(part.text for part in current).strip())
        current = []
    return found


def is_complete(sql: str) -> bool:
    """Whether text typed so far ends with the semicolon that sends it."""
    last = Token("space", "")
    for token in tokens(sql):
        if token.kind not in ("space", "comment"):
            last = token
    return last.kind == "semicolon"


def parameter_names(sql: str) -> list[str]:
    """The names of the `:name` parameters, in order of first appearance."""
    names = (token.text[1:] for token in tokens(sql) if token.kind == "parameter")
    return list(dict.fromkeys(names))


def replace_parameters(
    sql: str, replacement: Callable[[str], str], other: Callable[[str], str] = lambda text: text
) -> str:
    """The same SQL with `replacement(name)` for every `:name`, and `other(text)` for the text around."""
    return "".join(
        replacement(token.text[1:]) if token.kind == "parameter" else other(token.text)
        for token in tokens(sql)
    )


def bare_words(sql: str) -> list[str]:
    """The words outside of quotes and comments, in upper case."""
    return [token.text.upper() for token in tokens(sql) if token.kind == "word"]


def _end_of_block(sql: str, start: int) -> int:
    depth = 0
    for match in _NESTED.finditer(sql, start):
        depth += 1 if match.group() == "/*" else -1
        if depth == 0:
            return match.end()
    return len(sql)
