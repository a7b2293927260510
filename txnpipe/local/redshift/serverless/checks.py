"""What Redshift Serverless refuses, and how it says so."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from txnpipe.local.redshift import rules
from txnpipe.local.service import ServiceError

CAPACITIES = (4, *range(8, 513, 8))
"""Base capacities in RPU ("Compute capacity for Amazon Redshift Serverless")."""
LARGE_CAPACITIES = range(544, 1025, 32)
LARGE_REGIONS = frozenset({"us-east-1", "us-east-2", "us-west-2", "eu-west-1", "eu-central-1"})
"""More base capacities, and where they exist."""
NO_MAXIMUM = -1
"""As maxCapacity in UpdateWorkgroup: lifts the bound."""
FEWEST_SUBNETS = 3
"""In as many availability zones."""

Document = dict[str, Any]


def found(documents: dict[str, dict[str, Document]], kind: str, key: str, noun: str) -> Document:
    """A document by its key. Raises ServiceError (ResourceNotFoundException)."""
    try:
        return documents[kind][key]
    except KeyError:
        name = key.partition("/")[2]
        raise ServiceError("ResourceNotFoundException", f"The {noun} {name} was not found.") from None


def require_available(document: Document) -> None:
    """Raises ServiceError (ConflictException) while something is under way."""
    if document["status"] != "AVAILABLE":
        raise ServiceError(
            "ConflictException",
            f"There is an operation running: it is {document['status']}. Try again at a later time.",
        )


def check_capacity(region: str, base: int, most: int | None) -> None:
    """Raises ServiceError for capacities that do not exist."""
    if base not in CAPACITIES and not (base in LARGE_CAPACITIES and region in LARGE_REGIONS):
        raise invalid(f"Base capacity must be 4, or 8 to {CAPACITIES[-1]} in steps of 8 RPU, not {base}.")
    if most is not None and most < base:
        raise invalid(f"Max capacity {most} is below the base capacity {base}.")


def check_subnets(subnet_ids: Sequence[str] | None, zones_of: Callable[[Sequence[str]], set[str]]) -> None:
    """Raises ServiceError for subnets that are too few or too close together."""
    if subnet_ids is None:
        return
    if len(subnet_ids) < FEWEST_SUBNETS or len(zones_of(subnet_ids)) < FEWEST_SUBNETS:
        raise invalid(f"A workgroup needs {FEWEST_SUBNETS} subnets in {FEWEST_SUBNETS} Availability Zones.")


def invalid(message: str) -> ServiceError:
    """The service's ValidationException."""
    return ServiceError("ValidationException", message)


@contextmanager
def validation() -> Iterator[None]:
    """Turns a refused rule into a ValidationException."""
    try:
        yield
    except rules.RefusedError as refused:
        raise invalid(refused.message) from refused
