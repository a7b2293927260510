"""What holds for every test: properties take their time, for machines are slow and shared."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

# A fixture that a property shares with all its examples is meant to be shared: a server, a connection.
settings.register_profile(
    "txnpipe",
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
settings.load_profile("txnpipe")
