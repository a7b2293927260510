"""What Redshift refuses, and how it says so. Pure functions.

Sources: the Redshift API reference (CreateCluster, constraints of each parameter) and the table of node types
in the management guide.
"""

from __future__ import annotations

import re
import secrets
import string
from dataclasses import dataclass


class RefusedError(Exception):
    """A parameter that Redshift refuses, with its error code."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


@dataclass(frozen=True)
class NodeType:
    """A node type that can be ordered. single: whether a cluster of one node of it exists."""

    name: str
    single: bool
    most_nodes: int


NODE_TYPES = {
    node.name: node
    for node in (
        NodeType("ra3.large", single=True, most_nodes=16),
        NodeType("ra3.xlplus", single=True, most_nodes=32),
        NodeType("ra3.4xlarge", single=False, most_nodes=64),
        NodeType("ra3.16xlarge", single=False, most_nodes=128),
        NodeType("rg.large", single=True, most_nodes=16),
        NodeType("rg.xlarge", single=True, most_nodes=32),
        NodeType("rg.4xlarge", single=False, most_nodes=64),
        NodeType("rg.16xlarge", single=False, most_nodes=128),
    )
}
"""dc2 nodes are in the API's model and can no longer be created."""

_IDENTIFIER = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_DATABASE = re.compile(r"[a-z_][a-z0-9_$]{0,63}")
_USER = re.compile(r"[a-z_][a-z0-9_+.@$-]{0,127}")
_PASSWORD = re.compile(r"[!-~]{8,64}")
_PASSWORD_FORBIDDEN = set("\"'\\/@ ")
PORTS = (range(5431, 5456), range(8191, 8216))


def check_identifier(identifier: str) -> None:
    """Raises RefusedError for what cannot be a cluster's identifier."""
    if len(identifier) > 63 or not _IDENTIFIER.fullmatch(identifier):
        raise RefusedError(
            "InvalidParameterValue",
            f"The parameter ClusterIdentifier is not a valid identifier: {identifier}. Identifiers must begin"
            " with a letter; must contain only lowercase ASCII letters, digits, and hyphens; and must not end"
            " with a hyphen or contain two consecutive hyphens.",
        )


def check_nodes(node_type: str, cluster_type: str | None, number_of_nodes: int | None) -> None:
    """Raises RefusedError for a node type that cannot be ordered, or not in that number."""
    node = NODE_TYPES.get(node_type)
    if node is None:
        raise RefusedError("InvalidParameterValue", f"Invalid node type: {node_type}")
    if cluster_type not in (None, "single-node", "multi-node"):
        raise RefusedError("InvalidParameterValue", f"Invalid cluster type: {cluster_type}")
    multi = cluster_type != "single-node" and (number_of_nodes or 1) > 1
    if cluster_type == "multi-node" and not multi:
        raise RefusedError(
            "InvalidParameterCombination",
            "Number of nodes for cluster type multi-node must be greater than or equal to 2",
        )
    if not multi and not node.single:
        raise RefusedError("InvalidParameterValue", f"Node type {node_type} needs at least 2 nodes.")
    if multi and (number_of_nodes or 0) > node.most_nodes:
        raise RefusedError(
            "NumberOfNodesPerClusterLimitExceeded",
            f"A cluster of {node_type} has at most {node.most_nodes} nodes.",
        )


def check_database(name: str) -> None:
    """Raises RefusedError for what cannot be a database's name."""
    if not _DATABASE.fullmatch(name):
        raise RefusedError("InvalidParameterValue", f"The parameter DBName is not a valid name: {name}")


def check_admin(name: str) -> None:
    """Raises RefusedError for what cannot be an administrator's name."""
    if not _USER.fullmatch(name) or name in ("public", "rdsdb"):
        raise RefusedError("InvalidParameterValue", f"The parameter MasterUsername is not valid: {name}")


def check_port(port: int) -> None:
    """Raises RefusedError for a port that RA3 and RG clusters and workgroups cannot have."""
    if not any(port in allowed for allowed in PORTS):
        raise RefusedError(
            "InvalidParameterValue",
            f"Invalid port: {port}. Valid ranges are 5431-5455 and 8191-8215.",
        )


def check_password(password: str) -> None:
    """Raises RefusedError for a password that breaks Redshift's rules. Never repeats it."""
    mixed = all(any(test(sign) for sign in password) for test in (str.isupper, str.islower, str.isdigit))
    if not _PASSWORD.fullmatch(password) or not mixed or set(password) & _PASSWORD_FORBIDDEN:
        raise RefusedError(
            "InvalidParameterValue",
            "The parameter MasterUserPassword must be 8-64 printable ASCII characters, with at least one"
            " uppercase letter, one lowercase letter and one number, and without quotes, backslash, slash,"
            " at sign and space.",
        )


def new_password(length: int = 32) -> str:
    """A random password that meets the rules."""
    alphabet = string.ascii_letters + string.digits
    while True:
        password = "".join(secrets.choice(alphabet) for _ in range(length))
        try:
            check_password(password)
        except RefusedError:
            continue
        return password
