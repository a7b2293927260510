"""Whether the pipeline's names are free, or its own."""

from __future__ import annotations

from typing import Any

from txnpipe.aws import translated
from txnpipe.checks import Verdict, failed, ok, unknown
from txnpipe.deploy.graph import Graph
from txnpipe.deploy.plan import in_parallel
from txnpipe.errors import ExitCode, TxnpipeError
from txnpipe.resources.resource import Observed, Resource


def check_names(graph: Graph) -> Verdict:
    """Reads every resource that stands alone; what is inside another cannot clash."""
    alone = [resource for resource in graph if resource.inside is None]
    answers = in_parallel(_read, alone)
    errors = [answer for answer in answers if isinstance(answer, TxnpipeError)]
    clashes = [error for error in errors if error.exit_code is ExitCode.CONFLICT]
    if clashes:
        more = f" So {'is one other' if len(clashes) == 2 else f'are {len(clashes) - 1} others'}."
        return failed(
            clashes[0].cause + (more if len(clashes) > 1 else ""), clashes[0].fix, ExitCode.CONFLICT
        )
    if errors:
        return unknown(errors[0].cause, errors[0].fix)
    there = sum(answer is not None for answer in answers)
    if there:
        return ok(f"{there} of {len(alone)} resources are there and ours; no other name is taken.")
    return ok("No name that the pipeline needs is taken.")


def _read(resource: Resource[Any]) -> Observed[Any] | None:
    with translated("read", f"the {resource.kind} {resource.name}"):
        return resource.read()
