"""How a pipeline is doing: every resource as its service describes it. Only reads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from txnpipe.aws import translated
from txnpipe.deploy.graph import Graph
from txnpipe.deploy.plan import in_parallel
from txnpipe.errors import TxnpipeError
from txnpipe.resources.difference import plain
from txnpipe.resources.resource import Observed, Resource, id_of
from txnpipe.resources.warehouse_address import status_of

TABLES = ("transactions", "alerts", "rejected_transactions")
MISSING = "missing"


@dataclass(frozen=True)
class Finding:
    """One resource. problem: why it could not be read, or why it is not the pipeline's."""

    kind: str
    name: str
    status: str
    present: bool
    ready: bool = False
    facts: Mapping[str, Any] = field(default_factory=dict)
    problem: str = ""

    def as_json(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "kind": self.kind,
            "name": self.name,
            "status": self.status,
            "ready": self.ready,
            "facts": plain(self.facts),
            "problem": self.problem,
        }


def inspect(graph: Graph) -> tuple[Finding, ...]:
    """Every resource, in the graph's order. What cannot be read is a finding, too.

    Of what the configuration does not ask for, only what is there.
    """
    answers = in_parallel(_read, graph)
    return tuple(
        finding
        for resource, answer in zip(graph, answers, strict=True)
        if (finding := _finding(resource, answer)).present or id_of(resource) not in graph.unwanted
    )


def row_counts(graph: Graph) -> tuple[dict[str, int], str]:
    """Table → rows, and why there are none: ({}, reason) where the warehouse cannot be asked."""
    from txnpipe.warehouse import open_warehouse

    cloud = graph.cloud
    sql = " UNION ALL ".join(f"SELECT '{table}' AS t, COUNT(*) AS n FROM {table}" for table in TABLES)  # noqa: S608
    try:
        with translated("look at", "the warehouse"):
            if status_of(cloud) != "available":
                return {}, ""
        with open_warehouse(cloud.target, cloud.settings, cloud.names) as warehouse:
            found = dict(warehouse.query(sql).rows)
    except TxnpipeError as error:
        return {}, error.cause
    return {table: int(found.get(table, 0)) for table in TABLES}, ""


def _read(resource: Resource[Any]) -> Observed[Any] | None:
    with translated("read", f"the {resource.kind} {resource.name}"):
        return resource.read()


def _finding(resource: Resource[Any], answer: Observed[Any] | TxnpipeError | None) -> Finding:
    if answer is None:
        return Finding(resource.kind, resource.name, MISSING, present=False)
    if isinstance(answer, TxnpipeError):
        return Finding(resource.kind, resource.name, "unknown", present=False, problem=answer.cause)
    return Finding(
        resource.kind, resource.name, answer.status, present=True, ready=answer.ready, facts=answer.facts
    )
