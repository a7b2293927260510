"""Functions that know a cluster's address learn of its new one.

On AWS a cluster keeps its address for life. Here another program may have taken its port while the local
cloud was down; the database then listens on another one, and whoever was told the old one must be told the
new.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Mapping

from txnpipe.local.part import ACCOUNT
from txnpipe.local.postgres.server import HOST

_log = logging.getLogger(__name__)


def moved_ports(clusters: Iterable[tuple[int, int]], told: Iterable[int]) -> dict[int, int]:
    """The new port by the old one, of clusters as (port that functions were told, port now).

    told: what functions were told of all clusters, 0 for nothing yet. A port that was two clusters', one
    after the other, is left out: nobody knows whose functions name it.
    """
    named = Counter(told)
    return {old: new for old, new in clusters if old not in (0, new) and named[old] == 1}


def tell_functions(moved: Mapping[int, int]) -> None:
    """Rewrites the environment of every function; `moved` has the new port by the old one, of all clusters.

    All at once: one cluster's new port may be another one's old port. The caller holds moto's state.
    """
    from moto.awslambda.models import lambda_backends

    for region in list(lambda_backends[ACCOUNT]):
        backend = lambda_backends[ACCOUNT][region]  # a backend that is looked up by name is saved afterwards
        published = [
            function
            for function in backend.list_functions(func_version="ALL")
            if not function.function_arn.endswith(":$LATEST")  # a copy, among the originals
        ]
        for function in (*backend.list_functions(), *published):
            known = function.environment_vars or {}
            told = readdressed(known, moved)
            if told != known:
                _log.info("the function %s is told where its cluster has moved", function.function_name)
                function.environment_vars = told


def readdressed(variables: Mapping[str, str], moved: Mapping[int, int]) -> dict[str, str]:
    """A function's variables with new ports for old ones, where they name this machine at all."""
    if HOST not in variables.values():
        return dict(variables)
    ports = {str(old): str(new) for old, new in moved.items()}
    return {name: ports.get(value, value) for name, value in variables.items()}
