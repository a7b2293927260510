"""What is known of namespaces, workgroups, usage limits and tags, in one file."""

from __future__ import annotations

import copy
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from txnpipe.local.files import read_json, write_json
from txnpipe.local.part import ACCOUNT

Kind = str
NAMESPACES, WORKGROUPS, USAGE_LIMITS, TAGS = "namespaces", "workgroups", "usage_limits", "tags"


class Store:
    """Documents by kind and key, on disk before a change is answered. Thread-safe.

    Fields that begin with an underscore are ours and never leave through the API.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._lock = threading.RLock()
        self._documents: dict[Kind, dict[str, dict[str, Any]]] = {}

    def load(self) -> None:
        """Reads the file."""
        with self._lock:
            known = read_json(self._file) or {}
            self._documents = {
                kind: known.get(kind, {}) for kind in (NAMESPACES, WORKGROUPS, USAGE_LIMITS, TAGS)
            }

    @contextmanager
    def change(self) -> Iterator[dict[Kind, dict[str, dict[str, Any]]]]:
        """A copy of the documents, to be changed; it counts once it is written.

        Nothing has changed when an error leaves the block, or when the disk is full.
        """
        with self._lock:
            changed = copy.deepcopy(self._documents)
            yield changed
            write_json(self._file, changed)
            self._documents = changed

    @contextmanager
    def read(self) -> Iterator[dict[Kind, dict[str, dict[str, Any]]]]:
        """The documents, to be looked at only."""
        with self._lock:
            yield self._documents


def key_of(region: str, name: str) -> str:
    """The key of a namespace or workgroup."""
    return f"{region}/{name}"


def workgroup_of(
    documents: dict[Kind, dict[str, dict[str, Any]]], namespace: dict[str, Any]
) -> dict[str, Any] | None:
    """The workgroup that uses a namespace, None where there is none."""
    for each in documents[WORKGROUPS].values():
        if each["namespaceName"] == namespace["namespaceName"] and each["_region"] == namespace["_region"]:
            return each
    return None


def public(document: dict[str, Any]) -> dict[str, Any]:
    """A document without our own fields and without what is not set."""
    return {name: value for name, value in document.items() if name[0] != "_" and value is not None}


def arn(region: str, kind: str, identifier: str) -> str:
    """An ARN of Redshift Serverless; kind is "namespace" or "workgroup"."""
    return f"arn:aws:redshift-serverless:{region}:{ACCOUNT}:{kind}/{identifier}"


def iso(moment: datetime) -> str:
    """A UTC time as the service writes it."""
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def tag(
    documents: dict[Kind, dict[str, dict[str, Any]]], resource: str, tags: list[dict[str, str]] | None
) -> None:
    """Gives a new resource its tags."""
    documents[TAGS][resource] = {each["key"]: each["value"] for each in tags or []}
