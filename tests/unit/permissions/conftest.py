"""The account in memory of the deploy tests."""

from tests.unit.deploy.conftest import new_remote, remote

__all__ = ["new_remote", "remote"]
