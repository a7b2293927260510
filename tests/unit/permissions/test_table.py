"""The table of operations against the source: every call that could be made has a row, every row a call.

The net is wide on purpose. Wherever a name that is an operation of a service in use is called, passed
on or written as text (`getattr(client, "...")`, paginators, waiters), there must be a row.
"""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import botocore.session
import pytest
from botocore import xform_name
from botocore.exceptions import UnknownServiceError

import txnpipe
from txnpipe.operate.permissions.table import OPERATIONS

ROOT = Path(txnpipe.__file__).parent
ELSEWHERE = ("local", "functions", "analytics")
"""What does not run as the operator: the local cloud, and what has a role of its own."""
UNDER_TEST = ROOT / "operate" / "permissions"


def sources() -> Iterator[Path]:
    for path in sorted(ROOT.rglob("*.py")):
        if path.relative_to(ROOT).parts[0] not in ELSEWHERE and UNDER_TEST not in path.parents:
            yield path


def names_in(tree: ast.AST) -> set[str]:
    """Attributes and texts: whatever could name an operation, a paginator or a waiter."""
    found = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    return found | {
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }


WORTH_A_LOOK = 10
"""Fewer letters in a row name no operation, and would match half of them."""


FILLED = {
    "[a-z_]+_security_group_[a-z_]+": {
        f"{verb}_security_group_{direction}"
        for verb in ("authorize", "revoke")
        for direction in ("ingress", "egress")
    },
    "[a-z_]+_stream_retention_period": {
        "increase_stream_retention_period",
        "decrease_stream_retention_period",
    },
}
"""Pattern → what really stands in its holes. One that is not here stands for all that it matches."""


def patterns_in(tree: ast.AST) -> set[str]:
    """Texts with holes that could name operations, as regular expressions: f"{way}_stream_retention"."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            parts = [str(part.value) if isinstance(part, ast.Constant) else None for part in node.values]
            written = [part for part in parts if part is not None]
            if all(re.fullmatch("[a-z_]+", part) for part in written) and any(
                len(part) >= WORTH_A_LOOK for part in written
            ):
                found.add("".join("[a-z_]+" if part is None else part for part in parts))
    return found


def services_in(tree: ast.AST) -> set[str]:
    """Services of which a client is made: `….client("kinesis")`."""
    return {
        node.args[0].value
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == "client"
        and node.args
        and isinstance(node.args[0], ast.Constant)
        and isinstance(node.args[0].value, str)
    }


@cache
def operations(service: str) -> dict[str, set[str]]:
    """Name in Python → operations: methods of the client, and its waiters with the operations they call."""
    session = botocore.session.get_session()
    found = defaultdict(set)
    for operation in session.get_service_model(service).operation_names:
        found[xform_name(operation)].add(operation)
    try:
        waiters = session.get_waiter_model(service)
    except (UnknownServiceError, ValueError):
        return found
    for waiter in waiters.waiter_names:
        found[xform_name(waiter)].add(waiters.get_waiter(waiter).operation)
    return found


def test_every_service_that_a_client_is_made_of_has_rows() -> None:
    made = {service for path in sources() for service in services_in(ast.parse(path.read_text("utf-8")))}
    assert made - {row.partition(".")[0] for row in OPERATIONS} == set()


USED = tuple(sorted({row.partition(".")[0] for row in OPERATIONS}))


def calls_of(path: Path) -> list[set[str]]:
    """One set of rows for each name in a file: at least one of the set must be in the table.

    A module that makes clients of a service with such an operation means that service; one that is handed
    its client could mean any. A name of one word (verify, sign) is an everyday word there, and passed over.
    """
    tree = ast.parse(path.read_text(encoding="utf-8"))
    made, found = services_in(tree), []
    patterned = {
        name
        for pattern in patterns_in(tree)
        for service in USED
        for name in operations(service)
        if name in FILLED.get(pattern, {name}) and re.fullmatch(pattern, name)
    }
    for name in sorted(names_in(tree) | patterned):
        speaking = [service for service in USED if name in operations(service)]
        own = [service for service in speaking if service in made]
        meant = own or (speaking if "_" in name else [])
        rows = {f"{service}.{item}" for service in meant for item in operations(service)[name]}
        if rows:
            found.append(rows)
    return found


@cache
def possible_calls() -> dict[str, list[set[str]]]:
    """The same of every file of the program."""
    return {str(path.relative_to(ROOT)): calls_of(path) for path in sources()}


def test_every_call_in_the_source_has_a_row() -> None:
    missing = [
        f"{file}: {' or '.join(sorted(rows))} needs a row in txnpipe/operate/permissions/table.py"
        for file, calls in possible_calls().items()
        for rows in calls
        if not rows & set(OPERATIONS)
    ]
    assert missing == []


@pytest.mark.parametrize("row", OPERATIONS)
def test_every_row_has_a_call(row: str) -> None:
    assert any(row in rows for calls in possible_calls().values() for rows in calls), (
        f"nothing calls {row} any more: take the row out of txnpipe/operate/permissions/table.py"
    )


@pytest.mark.parametrize("row", OPERATIONS)
def test_no_action_is_a_wildcard(row: str) -> None:
    assert not [grant.action for grant in OPERATIONS[row].grants if "*" in grant.action]


def test_the_net_catches_what_is_hidden(tmp_path: Path) -> None:
    """Texts, paginators and waiters, and a client that comes in as a parameter."""
    hidden = """
def f(self, client, kinesis):
    getattr(self.cloud.client("s3"), "put_bucket_policy")(Bucket="b")
    kinesis.get_paginator("list_stream_consumers")
    client.get_waiter("stream_exists")
    client.merge_shards()
    getattr(kinesis, f"{way}_stream_consumer")()
"""
    (tmp_path / "hidden.py").write_text(hidden)
    found = [row for rows in calls_of(tmp_path / "hidden.py") for row in rows]
    assert {
        "s3.PutBucketPolicy",
        "kinesis.ListStreamConsumers",
        "kinesis.MergeShards",
        "kinesis.RegisterStreamConsumer",
    } <= set(found)
    assert "kinesis.DescribeStream" in found
