"""What a renderer gives: pieces of a template."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from txnpipe.export.symbols import TemplateNames, logical_id
from txnpipe.names import TAG_PIPELINE

KEEP = {"DeletionPolicy": "Retain", "UpdateReplacePolicy": "Retain"}
"""For what holds data that a stack must not take along."""
DROP = {"DeletionPolicy": "Delete", "UpdateReplacePolicy": "Delete"}
"""For what holds data and goes with the stack, said explicitly."""


@dataclass(frozen=True)
class Piece:
    """One resource of a template. Values may hold symbols.

    suffix: added to the id of the pipeline's resource, where that becomes several ("" is the first).
    attributes: DeletionPolicy and the like.
    """

    type: str
    properties: Mapping[str, Any]
    suffix: str = ""
    attributes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Context:
    """What renderers know besides a resource and its state."""

    names: TemplateNames
    final_snapshot: bool

    @property
    def tags(self) -> dict[str, str]:
        """The tags of everything the pipeline owns."""
        return {TAG_PIPELINE: self.names.pipeline}

    @property
    def tag_list(self) -> list[dict[str, str]]:
        """The same as most types want them."""
        return [{"Key": key, "Value": value} for key, value in self.tags.items()]

    @property
    def description(self) -> str:
        """As txnpipe itself describes what it makes."""
        return f"Pipeline {self.names.pipeline} of txnpipe"

    def id(self, kind: str, name: str) -> str:
        """The logical id of a resource of the pipeline."""
        return logical_id(self.names, kind, name)


Renderer = Callable[[Any, Any, Context], list[Piece]]
"""Takes a resource, its desired state and the context."""
