"""What moto leaves out of an answered call."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from tests.unit.deploy.places import ACCOUNT, REGION

Parameters = Mapping[str, Any]


def fill(operation: str, parameters: Parameters) -> None:
    """Does what the service would have done as well."""
    if operation in _GAPS:
        _GAPS[operation](parameters)


def _tag_stream(parameters: Parameters) -> None:
    """moto takes the tags of CreateStream and forgets them."""
    from moto.kinesis.models import kinesis_backends

    tags = dict(parameters.get("Tags", {}))
    kinesis_backends[ACCOUNT][REGION].add_tags_to_stream(None, parameters["StreamName"], tags)


_GAPS: dict[str, Callable[[Parameters], None]] = {"kinesis.CreateStream": _tag_stream}
