"""Functions follow a cluster whose port somebody else has taken."""

from __future__ import annotations

import base64
import io
import zipfile
from collections.abc import Iterator
from typing import Any

import pytest

from txnpipe.local.part import ACCOUNT
from txnpipe.local.redshift.moves import moved_ports, readdressed, tell_functions

ASSUMED_BY_LAMBDA = (
    '{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole", '
    '"Principal": {"Service": "lambda.amazonaws.com"}}]}'
)
LOADER = {"WAREHOUSE_HOST": "127.0.0.1", "WAREHOUSE_PORT": "5439", "WAREHOUSE_DATABASE": "txnpipe"}


def test_clusters_that_listen_elsewhere_than_functions_were_told_have_moved() -> None:
    assert moved_ports([(5439, 5441), (5440, 5440), (0, 5442)], [5439, 5440, 0]) == {5439: 5441}


def test_a_port_that_was_two_clusters_one_after_the_other_is_left_alone() -> None:
    assert moved_ports([(5439, 5441)], [5439, 5439]) == {}


def test_a_function_that_names_the_old_port_is_given_the_new_one() -> None:
    assert readdressed(LOADER, {5439: 5441}) == {**LOADER, "WAREHOUSE_PORT": "5441"}


def test_clusters_may_change_places() -> None:
    other = {**LOADER, "WAREHOUSE_PORT": "5440"}
    swapped = {5439: 5440, 5440: 5439}
    assert readdressed(LOADER, swapped) == other
    assert readdressed(other, swapped) == LOADER


def test_others_are_left_alone() -> None:
    for variables in (
        {**LOADER, "WAREHOUSE_PORT": "5450"},
        {**LOADER, "WAREHOUSE_HOST": "warehouse.example"},
        {"LIMIT": "5439"},
        {},
    ):
        assert readdressed(variables, {5439: 5441}) == variables


@pytest.fixture
def functions() -> Iterator[Any]:
    """moto's functions of one region: `loader` with a published version, and `other`."""
    from moto.awslambda.models import lambda_backends
    from moto.iam.models import iam_backends

    backend = lambda_backends[ACCOUNT]["us-east-1"]
    roles = iam_backends[ACCOUNT]["aws"]
    role = roles.create_role("r", ASSUMED_BY_LAMBDA, "/", None, "", [], "3600").arn
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("app.py", "")
    for name, variables in (("loader", LOADER), ("other", {"LIMIT": "5439"})):
        backend.create_function(
            {
                "FunctionName": name,
                "Runtime": "python3.13",
                "Role": role,
                "Handler": "app.handler",
                "Code": {"ZipFile": base64.b64encode(archive.getvalue()).decode()},
                "Environment": {"Variables": dict(variables)},
            }
        )
    backend.publish_version("loader")
    yield backend
    backend.reset()
    roles.reset()


def test_every_version_of_a_function_is_told(functions: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    tell_functions({5439: 5441})

    told = {**LOADER, "WAREHOUSE_PORT": "5441"}
    for qualifier in (None, "$LATEST", "1"):
        assert functions.get_function("loader", qualifier).environment_vars == told
    assert functions.get_function("other").environment_vars == {"LIMIT": "5439"}
