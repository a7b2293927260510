"""What must hold for every call, whichever it is: from the service models and the design's decisions.

botocore's own validation checks names, types and required parameters. It does not check enumerations,
patterns and maxima, and knows nothing of what has ended on AWS.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tests.unit.deploy.wire import Call

MAKING = ("Create", "Put", "Register", "Run", "Request")
"""Verbs of operations that make something which can carry tags."""
TAGS = ("Tags", "tags", "TagSpecifications")
TAG_CALLS = {"CreateTags", "CreateOrUpdateTags"}
TOKENS = ("ClientToken", "clientToken", "ClientRequestToken", "clientRequestToken")


def violations(call: Call) -> list[str]:
    """Everything that is wrong with a call, as sentences."""
    return [f"{call}: {what}" for what in (*_of_values(call), *_of_tags(call), *_of_tokens(call))]


def _of_values(call: Call) -> Iterator[str]:
    if getattr(call.model, "deprecated", False):
        yield "the operation is deprecated"
    for path, shape, value in _walk("", call.model.input_shape, call.parameters):
        name = path.rpartition(".")[2].lower()
        if value is None:
            yield f"{path} is None"
        if isinstance(value, str):
            if value.startswith(("dc1.", "dc2.", "ds2.")) or value == "SQL-1_0":
                yield f"{path} is {value}, which has ended"
            yield from _of_text(path, shape, value)
        if isinstance(value, int) and not isinstance(value, bool):
            most = shape.metadata.get("max") if shape is not None else None
            if most is not None and value > most:
                yield f"{path} is {value}, above {most}"
        if name == "publiclyaccessible" and value:
            yield f"{path} is {value}"
        if name == "encrypted" and not value:
            yield f"{path} is {value}"


def _of_text(path: str, shape: Any, value: str) -> Iterator[str]:
    if shape is None:
        return
    if shape.metadata.get("enum") and value not in shape.metadata["enum"]:
        yield f"{path} is {value}, none of {', '.join(shape.metadata['enum'])}"
    most = shape.metadata.get("max")
    if most is not None and len(value) > most:
        yield f"{path} has {len(value)} characters, above {most}"
    pattern = shape.metadata.get("pattern")
    if pattern and not _fits(pattern, value):
        yield f"{path} is {value!r}, which does not fit {pattern}"


def _fits(pattern: str, value: str) -> bool:
    """Whether a value fits a model's pattern. They are Java's; what Python cannot read is not judged."""
    readable = re.sub(r"\\p\{[A-Za-z]+\}", r"\\w", pattern)
    try:
        return re.search(f"^(?:{readable})$", value, re.DOTALL) is not None
    except re.error:
        return True


def _walk(path: str, shape: Any, value: Any) -> Iterator[tuple[str, Any, Any]]:
    """Every value of a request with its path and shape."""
    yield path, shape, value
    kind = getattr(shape, "type_name", "")
    if kind == "structure" and isinstance(value, Mapping):
        for name, item in value.items():
            yield from _walk(f"{path}.{name}", shape.members.get(name), item)
    elif kind == "list" and isinstance(value, Sequence):
        for number, item in enumerate(value):
            yield from _walk(f"{path}.{number}", shape.member, item)
    elif kind == "map" and isinstance(value, Mapping):
        for name, item in value.items():
            yield from _walk(f"{path}.{name}", shape.value, item)


def _of_tags(call: Call) -> Iterator[str]:
    shape = call.model.input_shape
    if shape is None or not call.operation.startswith(MAKING) or call.operation in TAG_CALLS:
        return
    for member in TAGS:
        if member in shape.members and "txnpipe:pipeline" not in str(call.parameters.get(member)):
            yield f"{member} is not sent"
    nested = shape.members.get("CreateBucketConfiguration")
    if nested is not None and "txnpipe:pipeline" not in str(call.parameters):
        yield "CreateBucketConfiguration.Tags is not sent"


def _of_tokens(call: Call) -> Iterator[str]:
    members = call.model.input_shape.members if call.model.input_shape is not None else {}
    wanted = set(call.model.idempotent_members)
    if call.operation.startswith("Create"):
        wanted |= {name for name in TOKENS if name in members}
    yield from (f"{name} is not sent" for name in sorted(wanted) if not call.parameters.get(name))
