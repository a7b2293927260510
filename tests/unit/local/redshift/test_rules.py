"""What Redshift refuses."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from txnpipe.local.redshift import rules
from txnpipe.local.redshift.rules import RefusedError


@pytest.mark.parametrize("node_type", ["dc2.large", "dc2.8xlarge", "ds2.xlarge", "m5.large", ""])
def test_node_types_that_are_gone_or_never_were(node_type: str) -> None:
    with pytest.raises(RefusedError) as refused:
        rules.check_nodes(node_type, "single-node", None)
    assert (refused.value.code, refused.value.message) == (
        "InvalidParameterValue",
        f"Invalid node type: {node_type}",
    )


@pytest.mark.parametrize(
    ("node_type", "cluster_type", "nodes"),
    [
        ("rg.large", "single-node", None),
        ("rg.large", "single-node", 1),
        ("rg.large", None, None),
        ("ra3.large", "multi-node", 2),
        ("ra3.4xlarge", "multi-node", 2),
    ],
)
def test_clusters_that_can_be_ordered(node_type: str, cluster_type: str | None, nodes: int | None) -> None:
    rules.check_nodes(node_type, cluster_type, nodes)


@pytest.mark.parametrize(
    ("node_type", "cluster_type", "nodes", "code"),
    [
        ("ra3.4xlarge", "single-node", None, "InvalidParameterValue"),
        ("rg.large", "multi-node", 1, "InvalidParameterCombination"),
        ("rg.large", "multi-node", 17, "NumberOfNodesPerClusterLimitExceeded"),
        ("rg.large", "cubic", 1, "InvalidParameterValue"),
    ],
)
def test_clusters_that_cannot(node_type: str, cluster_type: str, nodes: int | None, code: str) -> None:
    with pytest.raises(RefusedError) as refused:
        rules.check_nodes(node_type, cluster_type, nodes)
    assert refused.value.code == code


@pytest.mark.parametrize("identifier", ["a", "transaction-warehouse", "a1-b2"])
def test_identifiers(identifier: str) -> None:
    rules.check_identifier(identifier)


@pytest.mark.parametrize("identifier", ["", "1a", "A", "a-", "a--b", "a_b", "a" * 64])
def test_no_identifiers(identifier: str) -> None:
    with pytest.raises(RefusedError):
        rules.check_identifier(identifier)


@pytest.mark.parametrize("port", [5431, 5439, 5455, 8191, 8215])
def test_ports(port: int) -> None:
    rules.check_port(port)


@pytest.mark.parametrize("port", [5430, 5456, 5432 + 1000, 0])
def test_no_ports(port: int) -> None:
    with pytest.raises(RefusedError):
        rules.check_port(port)


@given(st.integers(min_value=8, max_value=64))
def test_a_generated_password_meets_the_rules(length: int) -> None:
    password = rules.new_password(length)
    assert len(password) == length
    rules.check_password(password)


@pytest.mark.parametrize(
    "password", ["Ab1", "abcdefg1", "ABCDEFG1", "Abcdefgh", "Abcdef1'", "Abcdef1 ", "Aé" * 5 + "1"]
)
def test_a_bad_password_is_refused_and_not_repeated(password: str) -> None:
    with pytest.raises(RefusedError) as refused:
        rules.check_password(password)
    assert password not in refused.value.message
