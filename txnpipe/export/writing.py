"""A template as text, and the zips that it refers to as files."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import yaml

from txnpipe.deploy.artifacts import Artifacts
from txnpipe.export.symbols import CODE_DIGESTS
from txnpipe.names import BucketKeys

Format = Literal["yaml", "json"]
WIDTH = 110


class _Dumper(yaml.SafeDumper):
    """YAML without anchors, which CloudFormation does not take everywhere."""

    def ignore_aliases(self, data: Any) -> bool:
        del data
        return True


def text_of(document: Mapping[str, Any], form: Format) -> str:
    """The template's text, with a line end."""
    if form == "json":
        return json.dumps(document, indent=2) + "\n"
    written: str = yaml.dump(document, Dumper=_Dumper, sort_keys=False, width=WIDTH)
    return written


def write_code(artifacts: Artifacts, directory: Path) -> dict[str, str]:
    """Builds the zips and writes them as DIRECTORY/code/NAME-SHA256.zip, the keys that the template expects.

    Returns zip → SHA-256. Raises TxnpipeError where one cannot be built, OSError where it cannot be written.
    """
    place = directory / BucketKeys.CODE
    place.mkdir(parents=True, exist_ok=True)
    digests = {}
    for name in CODE_DIGESTS:
        built = getattr(artifacts, name)()
        (place / f"{name}-{built.sha256}.zip").write_bytes(built.content)
        digests[name] = built.sha256
    return digests
