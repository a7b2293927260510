"""The loader's database user and password, in Secrets Manager.

The password is made here, goes into the secret and nowhere else: no plan, log or message holds it. The user's
name is repeated in a tag, so that a plan need not read the secret's value to compare it.
"""

from __future__ import annotations

import json
import secrets
import string
from dataclasses import dataclass
from typing import Any

from txnpipe.aws import error_code
from txnpipe.resources.difference import Difference
from txnpipe.resources.refusals import once_accepted
from txnpipe.resources.resource import Cloud, Observed, tags_of, wait_gone, wait_ready

TAG_USER = "txnpipe:database-user"
TAG_APPLIED = "txnpipe:applied-version"
"""The version of the secret whose password the database user has; written by `database_user.py`."""
TAG_USERS_MADE = "txnpipe:users-made"
"""Database users that were made, with blanks; written by `database_user.py`."""
READY_TIMEOUT_S = 60.0
NAME_FREE_TIMEOUT_S = 300.0
PASSWORD_LENGTH = 40
"""Redshift takes 8-64 characters, at least one of them upper case, one lower case and one digit."""


def make_password() -> str:
    """A random password that Redshift accepts. Letters and digits only: it needs no quoting anywhere."""
    alphabet = string.ascii_letters + string.digits
    while True:
        password = "".join(secrets.choice(alphabet) for _ in range(PASSWORD_LENGTH))
        if (
            any(map(str.islower, password))
            and any(map(str.isupper, password))
            and any(map(str.isdigit, password))
        ):
            return password


@dataclass(frozen=True)
class SecretState:
    """Whose password it holds."""

    username: str | None
    scheduled_for_deletion: bool


@dataclass(frozen=True)
class LoaderSecret:
    """The secret {"username", "password"} that the loader reads."""

    cloud: Cloud
    name: str
    kind: str = "secret"
    requires: tuple[str, ...] = ()
    inside: str | None = None

    def desired(self) -> SecretState:
        """See Resource."""
        return SecretState(self.cloud.settings.warehouse.loader_user, False)

    def describe(self) -> dict[str, Any] | None:
        """The secret as Secrets Manager describes it (never its value), or None. Raises CONFLICT."""
        manager = self.cloud.client("secretsmanager")
        try:
            found: dict[str, Any] = manager.describe_secret(SecretId=self.name)
        except manager.exceptions.ResourceNotFoundException:
            return None
        self.cloud.assert_ours(self.kind, self.name, tags_of(found.get("Tags", [])))
        return found

    def read(self) -> Observed[SecretState] | None:
        """See Resource."""
        found = self.describe()
        if found is None:
            return None
        scheduled = found.get("DeletedDate") is not None
        state = SecretState(tags_of(found.get("Tags", [])).get(TAG_USER), scheduled)
        return Observed(
            state, "scheduled for deletion" if scheduled else "available", facts={"arn": found["ARN"]}
        )

    def create(self, desired: SecretState) -> None:
        """See Resource. A secret that was just deleted keeps its name for a while, unseen."""
        value = _value(desired)
        once_accepted(
            self.cloud,
            self,
            lambda: self.cloud.client("secretsmanager").create_secret(
                Name=self.name,
                Description=f"Database user of the loader, pipeline {self.cloud.names.pipeline} of txnpipe",
                SecretString=value,
                Tags=[*self.cloud.tag_list, {"Key": TAG_USER, "Value": desired.username}],
            ),
            lambda error: error_code(error) == "InvalidRequestException" and "deletion" in str(error),
            what=f"the deleted secret {self.name} to free its name",
            timeout_s=NAME_FREE_TIMEOUT_S,
        )

    def update(self, desired: SecretState, differences: tuple[Difference, ...]) -> None:
        """See Resource."""
        manager = self.cloud.client("secretsmanager")
        fields = {difference.field for difference in differences}
        if "scheduled_for_deletion" in fields:
            manager.restore_secret(SecretId=self.name)
        if "username" in fields:
            manager.put_secret_value(SecretId=self.name, SecretString=_value(desired))
            manager.tag_resource(SecretId=self.name, Tags=[{"Key": TAG_USER, "Value": desired.username}])

    def settle(self) -> None:
        """See Resource."""
        wait_ready(self.cloud, self, READY_TIMEOUT_S)

    def delete(self) -> None:
        """See Resource. Without a recovery window: the password opens nothing any more once its cluster is
        gone, and a window would keep the name from the next setup."""
        manager = self.cloud.client("secretsmanager")
        try:
            manager.delete_secret(SecretId=self.name, ForceDeleteWithoutRecovery=True)
        except manager.exceptions.ResourceNotFoundException:
            return
        wait_gone(self.cloud, self, READY_TIMEOUT_S)


def _value(desired: SecretState) -> str:
    return json.dumps({"username": desired.username, "password": make_password()})
