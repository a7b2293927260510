"""Symbols: the names under which a template's values stand in the states of resources."""

from __future__ import annotations

import re
from dataclasses import dataclass

from txnpipe.names import Names
from txnpipe.resources.resource import resource_id

ACCOUNT = "${AWS::AccountId}"
REGION = "${AWS::Region}"
PARTITION = "${AWS::Partition}"
URL_SUFFIX = "${AWS::URLSuffix}"
PSEUDO_PARAMETERS = ("AWS::AccountId", "AWS::Region", "AWS::Partition", "AWS::URLSuffix")

VPC = "VpcId"
VPC_CIDR = "VpcCidr"
SUBNETS = "SubnetIds"
ROUTE_TABLES = "RouteTableIds"
CODE_BUCKET = "CodeBucket"
LISTS = {SUBNETS: 3, ROUTE_TABLES: 1}
"""Parameters that are lists, and how many elements the account of symbols shows of each. Three subnets:
Redshift Serverless wants so many."""

CODE_DIGESTS = {"loader": "LoaderSha256", "notifier": "NotifierSha256", "analytics": "AnalyticsSha256"}
"""Zip → the parameter with its SHA-256."""


def symbol(name: str, attribute: str = "") -> str:
    """`${NAME}`, or `${NAME.ATTRIBUTE}`."""
    return f"${{{name}.{attribute}}}" if attribute else f"${{{name}}}"


def element(parameter: str, index: int) -> str:
    """One element of a list parameter: `${SubnetIds:0}`."""
    return f"${{{parameter}:{index}}}"


def elements(parameter: str) -> tuple[str, ...]:
    """All elements that are shown of a list parameter."""
    return tuple(element(parameter, index) for index in range(LISTS[parameter]))


@dataclass(frozen=True)
class TemplateNames(Names):
    """Names with the pseudo parameters of a stack in the place of account, region and partition.

    `region` itself is a real one: some settings are possible in some regions only.
    """

    @property
    def partition(self) -> str:
        """See Names."""
        return PARTITION

    @property
    def dns_suffix(self) -> str:
        """See Names."""
        return URL_SUFFIX

    @property
    def bucket(self) -> str:
        """See Names."""
        return f"txnpipe-{self.pipeline}-{self.account}-{REGION}"

    def arn(self, service: str, resource: str, *, region: bool = True) -> str:
        """See Names."""
        return f"arn:{PARTITION}:{service}:{REGION if region else ''}:{self.account}:{resource}"


def template_names(pipeline: str, region: str) -> TemplateNames:
    """The names of a pipeline as a template has them."""
    return TemplateNames(pipeline, ACCOUNT, region)


def logical_id(names: Names, kind: str, name: str) -> str:
    """A resource's id in the template, from its kind and name; the pipeline's own name is left out, so that
    the templates of two pipelines differ in what differs: "stream", "staging-TransactionStream" →
    StreamTransactionStream."""
    bare = re.sub(r"\$\{[^}]*\}", " ", name)
    bare = re.sub(rf"(?<![A-Za-z0-9]){re.escape(names.pipeline)}(?![A-Za-z0-9])", "", bare)
    words = re.findall(r"[A-Za-z0-9]+", f"{kind} {bare}")
    return "".join(word[0].upper() + word[1:] for word in words)


def logical_id_of(names: Names, resource: str) -> str:
    """The same, from a resource's id ("stream/TransactionStream")."""
    kind, _, name = resource.partition("/")
    assert resource_id(kind, name) == resource
    return logical_id(names, kind, name)
