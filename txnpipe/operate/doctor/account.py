"""All checks of one account."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

from txnpipe.aws import Target
from txnpipe.checks import Check, Result, Verdict, run_checks, skipped
from txnpipe.config import Settings
from txnpipe.deploy.graph import Graph, assemble
from txnpipe.names import Names
from txnpipe.operate.doctor import code, identity, names, permissions, placement, quotas, regions
from txnpipe.operate.permissions import operator_actions
from txnpipe.resources.secrets_endpoint import SecretsEndpoint

IMPATIENT = {
    "connect_timeout": 3,
    "read_timeout": 10,
    "retries": {"mode": "standard", "total_max_attempts": 2},
}
"""A doctor is not kept waiting: what does not answer soon is something to say."""


def examine(
    target: Target,
    settings: Settings,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> tuple[Result, ...]:
    """Looks at an account. target: need not know its account yet.

    Makes reading calls only, and never raises for what it finds.
    """
    # Clients of its own: those that the target has made already are patient.
    hasty = replace(target, client_options={**target.client_options, **IMPATIENT}, _clients={})
    caller = identity.ask_who(hasty, now)
    known = replace(hasty, account=caller.account)
    own = Names(settings.pipeline, caller.account, settings.region)

    @functools.cache
    def graph() -> Graph:
        return assemble(known, settings, own)

    def in_account(name: str, look: Callable[[], Verdict]) -> Check:
        return Check(name, look if caller.account else _no_credentials)

    return run_checks(
        [
            Check("credentials", lambda: identity.check_credentials(caller)),
            Check("clock", lambda: identity.check_clock(caller)),
            in_account("region", lambda: regions.check_region(known, own)),
            in_account(
                "permissions",
                lambda: permissions.check_permissions(known, caller.arn, operator_actions(own, settings)),
            ),
            in_account("names", lambda: names.check_names(graph())),
            in_account("shards", lambda: quotas.check_shards(known, settings, own)),
            in_account("concurrency", lambda: quotas.check_concurrency(known, settings, own)),
            in_account("warehouse", lambda: placement.check_warehouse(graph().cloud)),
            in_account("vpc", lambda: placement.check_vpc(graph().cloud)),
            in_account("secrets", lambda: placement.check_secrets(_secrets_endpoint(graph()))),
            Check("connector", lambda: code.check_connector(settings.analytics, known.connector_jar)),
            Check("psycopg2", lambda: code.check_psycopg2(known)),
        ]
    )


def _secrets_endpoint(graph: Graph) -> SecretsEndpoint:
    return next(resource for resource in graph if isinstance(resource, SecretsEndpoint))


def _no_credentials() -> Verdict:
    return skipped("Without credentials nobody can be asked.")
