"""What holds for every test: properties have no deadline, for machines are slow and shared."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("txnpipe", deadline=None)
settings.load_profile("txnpipe")
