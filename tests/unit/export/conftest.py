"""Templates of pipelines with various settings, made without network and credentials."""

from __future__ import annotations

import functools
import json
import socket
from typing import Any

import msgspec
import pytest

from txnpipe.config import Settings
from txnpipe.export.template import Template, build
from txnpipe.target import unidentified_aws


def settings_of(**sections: Any) -> Settings:
    """Settings of the target aws with some values changed: settings_of(loader={"batch_size": 5})."""
    return msgspec.convert({"target": "aws", **sections}, Settings)


def template_of(**sections: Any) -> Template:
    """The template of a pipeline with these settings. Nobody may change it: the next test gets the same."""
    return _template(json.dumps(sections, sort_keys=True))


@functools.cache
def _template(sections: str) -> Template:
    settings = settings_of(**json.loads(sections))
    return build(unidentified_aws(settings), settings)


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """No network, and none of this machine's credentials."""

    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("a template was asked for, and somebody opened a connection")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
