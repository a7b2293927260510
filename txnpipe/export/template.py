"""Builds a pipeline's template from its graph."""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import dataclass
from typing import Any

from msgspec.structs import replace

from txnpipe.aws import Target
from txnpipe.config import Settings
from txnpipe.deploy.artifacts import Artifacts
from txnpipe.deploy.graph import Graph, assemble
from txnpipe.export.account import Account, symbolic_target
from txnpipe.export.intrinsics import Known, referred, resolve
from txnpipe.export.kinds import LEFT_OUT, NOT_STARTED, RENDERERS
from txnpipe.export.parameters import parameters
from txnpipe.export.pieces import Context, Piece
from txnpipe.export.symbols import CODE_DIGESTS, logical_id_of, symbol, template_names
from txnpipe.packaging.artifact import Artifact
from txnpipe.resources.resource import id_of


@dataclass(frozen=True)
class Template:
    """A template as CloudFormation takes it (JSON values), and what is to be done beside the stack."""

    document: Mapping[str, Any]
    missing: tuple[str, ...]


class _SymbolicArtifacts(Artifacts):
    """Zips that nobody builds: their digests are parameters."""

    def __init__(self) -> None:
        for name, parameter in CODE_DIGESTS.items():
            built = Artifact(f"{name}.zip", b"", symbol(parameter))
            setattr(self, name, lambda built=built: built)


def symbolic_graph(target: Target, settings: Settings) -> Graph:
    """The pipeline's graph in an account of symbols. `target` is the target `aws`, nobody's in particular."""
    names = template_names(settings.pipeline, settings.region)
    return assemble(
        symbolic_target(target, Account(names, settings.warehouse)),
        _anywhere(settings),
        names,
        artifacts=_SymbolicArtifacts(),
    )


def build(target: Target, settings: Settings, digests: Mapping[str, str] | None = None) -> Template:
    """The template of a pipeline. Asks nobody anything.

    digests: zip ("loader", "notifier", "analytics") → SHA-256, where they are known. Raises TxnpipeError for
    settings that cannot be (as setup does), NotImplementedError where a kind or value is not rendered.
    """
    graph = symbolic_graph(target, settings)
    rendered = _render(graph)
    given = parameters(settings, digests or {})
    known = Known({*rendered.pieces, *given})
    resources = {key: _resource(key, rendered, known) for key in rendered.pieces}
    used = referred(resources)
    document = {
        "AWSTemplateFormatVersion": "2010-09-09",
        "Description": _description(settings.pipeline),
        "Metadata": {"txnpipe": {"Pipeline": settings.pipeline, "NotInThisStack": list(rendered.missing)}},
        "Parameters": {name: value for name, value in given.items() if name in used},
        "Resources": resources,
        "Outputs": _outputs(graph, known),
    }
    return Template(document, rendered.missing)


@dataclass(frozen=True)
class _Rendered:
    """Pieces by logical id; for each, the logical ids that come before it; what is missing."""

    pieces: Mapping[str, Piece]
    after: Mapping[str, Set[str]]
    missing: tuple[str, ...]


def _render(graph: Graph) -> _Rendered:
    names = template_names(graph.cloud.names.pipeline, graph.cloud.names.region)
    context = Context(names, graph.cloud.target.final_snapshot)
    pieces: dict[str, Piece] = {}
    after: dict[str, Set[str]] = {}
    ends: dict[str, Set[str]] = {}  # what stands in a template for a resource that somebody requires
    missing: list[str] = []
    for resource in graph:  # in order: what a resource requires comes before it
        needed = {key for requirement in resource.requires for key in ends[requirement]}
        if resource.kind in LEFT_OUT:
            missing += [LEFT_OUT[resource.kind]] if LEFT_OUT[resource.kind] else []
            ends[id_of(resource)] = needed
            continue
        if resource.kind not in RENDERERS:
            raise NotImplementedError(f"nothing renders the kind {resource.kind}")
        made = {
            logical_id_of(names, id_of(resource)) + piece.suffix: piece
            for piece in RENDERERS[resource.kind](resource, resource.desired(), context)
        }
        assert not pieces.keys() & made.keys(), f"{pieces.keys() & made.keys()} stand for two resources"
        pieces |= made
        after |= dict.fromkeys(made, needed)
        ends[id_of(resource)] = made.keys() or needed
    return _Rendered(pieces, after, (*missing, NOT_STARTED))


def _anywhere(settings: Settings) -> Settings:
    """The same without VPC and subnets: they are parameters."""
    return replace(settings, network=replace(settings.network, vpc_id=None, subnet_ids=None))


def _description(pipeline: str) -> str:
    return f"Pipeline {pipeline} of txnpipe. Upload the zips to CodeBucket first, under code/NAME-SHA256.zip."


def _resource(key: str, rendered: _Rendered, known: Known) -> dict[str, Any]:
    piece = rendered.pieces[key]
    properties = resolve(piece.properties, known, key)
    # What a property refers to comes first anyway; saying it again is what linters object to.
    after = sorted(rendered.after[key] - referred(properties))
    depends = {"DependsOn": after} if after else {}
    return {"Type": piece.type, **depends, **piece.attributes, "Properties": properties}


def _outputs(graph: Graph, known: Known) -> dict[str, Any]:
    names = graph.cloud.names
    values = {
        "Stream": (names.stream_arn, "Where transactions are sent"),
        "AlertTopic": (names.topic_arn, "Where alerts are published"),
        "Bucket": (names.bucket, "Runs and records that could not be delivered"),
    }
    return {
        name: {"Description": text, "Value": resolve(value, known)} for name, (value, text) in values.items()
    }
