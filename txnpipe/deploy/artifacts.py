"""The three zips, each built at most once, on first use, so that building overlaps with everything else."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from txnpipe.aws import Target
from txnpipe.config import Settings
from txnpipe.names import Names

if TYPE_CHECKING:
    from txnpipe.packaging.artifact import Artifact


class Lazily:
    """Calls `build` once, whoever asks first; everybody else waits for that answer (or its error)."""

    def __init__(self, build: Callable[[], Artifact]) -> None:
        self._build = build
        self._lock = threading.Lock()
        self._built: Artifact | None = None

    def __call__(self) -> Artifact:
        with self._lock:
            if self._built is None:
                self._built = self._build()
            return self._built


class Artifacts:
    """The zips of one pipeline."""

    def __init__(self, target: Target, settings: Settings, names: Names) -> None:
        self.loader = Lazily(lambda: _loader(target))
        self.notifier = Lazily(lambda: _notifier(target))
        self.analytics = Lazily(lambda: _analytics(target, settings, names))


def _loader(target: Target) -> Artifact:
    from txnpipe.packaging.lambda_zip import build_loader

    return build_loader(target.functions)


def _notifier(target: Target) -> Artifact:
    from txnpipe.packaging.lambda_zip import build_notifier

    return build_notifier(target.functions)


def _analytics(target: Target, settings: Settings, names: Names) -> Artifact:
    from txnpipe.packaging.analytics_zip import build_analytics
    from txnpipe.packaging.connector import connector

    jar = connector(settings.analytics, target.connector_jar)
    return build_analytics(settings, names, target.region, jar)
