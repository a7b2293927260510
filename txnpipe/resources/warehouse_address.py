"""What others want to know of the warehouse, whichever kind the settings name."""

from __future__ import annotations

from txnpipe.resources.resource import Cloud
from txnpipe.warehouse.finding import LEAVING, Found, find


def endpoint(cloud: Cloud) -> tuple[str, int] | None:
    """Host and port of the warehouse, or None while it has none."""
    found = _found(cloud)
    if found is None or found.host is None or found.port is None:
        return None
    return found.host, found.port


def status_of(cloud: Cloud) -> str | None:
    """Its status in the service's own words, in lower case ("available", "creating", "paused", "modifying").

    None where there is no warehouse that will ever answer SQL.
    """
    found = _found(cloud)
    return None if found is None or found.status in LEAVING else found.status


def _found(cloud: Cloud) -> Found | None:
    return find(cloud.target, cloud.settings.warehouse.kind, cloud.names.cluster)
