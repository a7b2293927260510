"""IAM roles, each with one inline policy."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from txnpipe.resources.difference import Difference
from txnpipe.resources.policies import Statements, document, statements_of
from txnpipe.resources.refusals import coded, once_accepted
from txnpipe.resources.resource import Cloud, Observed, tags_of, wait_ready

POLICY_NAME = "txnpipe"
READY_TIMEOUT_S = 60.0
"""IAM is eventually consistent: a new role may be invisible for some seconds."""


@dataclass(frozen=True)
class RoleState:
    """Who may assume the role, and what it may do; both by statement id."""

    trust: Mapping[str, Mapping[str, Any]]
    policy: Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class Role:
    """A role that one service assumes."""

    cloud: Cloud
    name: str
    trust: Statements
    policy: Statements
    kind: str = "role"
    requires: tuple[str, ...] = ()
    inside: str | None = None

    @property
    def arn(self) -> str:
        """The role's ARN, known before it exists."""
        names = self.cloud.names
        return f"arn:{names.partition}:iam::{names.account}:role/{self.name}"

    def desired(self) -> RoleState:
        """See Resource."""
        return RoleState(self.trust, self.policy)

    def read(self) -> Observed[RoleState] | None:
        """See Resource."""
        iam = self.cloud.client("iam")
        try:
            role = iam.get_role(RoleName=self.name)["Role"]
        except iam.exceptions.NoSuchEntityException:
            return None
        self.cloud.assert_ours(self.kind, self.name, tags_of(role.get("Tags", [])))
        try:
            policy = iam.get_role_policy(RoleName=self.name, PolicyName=POLICY_NAME)["PolicyDocument"]
        except iam.exceptions.NoSuchEntityException:
            policy = {}
        state = RoleState(statements_of(role["AssumeRolePolicyDocument"]), statements_of(policy))
        return Observed(state, "available")

    def create(self, desired: RoleState) -> None:
        """See Resource."""
        iam = self.cloud.client("iam")
        with suppress(iam.exceptions.EntityAlreadyExistsException):
            iam.create_role(
                RoleName=self.name,
                AssumeRolePolicyDocument=document(desired.trust),
                Description=f"Pipeline {self.cloud.names.pipeline} of txnpipe",
                Tags=self.cloud.tag_list,
            )
        self.settle()
        self._put_policy(desired)

    def update(self, desired: RoleState, differences: tuple[Difference, ...]) -> None:
        """See Resource."""
        changed = {difference.field.split(".", 1)[0] for difference in differences}
        if "trust" in changed:
            self.cloud.client("iam").update_assume_role_policy(
                RoleName=self.name, PolicyDocument=document(desired.trust)
            )
        if "policy" in changed:
            self._put_policy(desired)

    def _put_policy(self, desired: RoleState) -> None:
        # A role that can be read can still be unknown to whoever answers the next call.
        once_accepted(
            self.cloud,
            self,
            lambda: self.cloud.client("iam").put_role_policy(
                RoleName=self.name, PolicyName=POLICY_NAME, PolicyDocument=document(desired.policy)
            ),
            coded("NoSuchEntity"),
            what=f"IAM to know the role {self.name}",
            timeout_s=READY_TIMEOUT_S,
        )

    def settle(self) -> None:
        """See Resource."""
        wait_ready(self.cloud, self, READY_TIMEOUT_S)

    def delete(self) -> None:
        """See Resource. Policies that others attached are detached: IAM deletes only a bare role."""
        once_accepted(
            self.cloud,
            self,
            self._strip_and_delete,
            coded("ConcurrentModification", "DeleteConflict"),
            what=f"IAM to let go of the role {self.name}",
            timeout_s=READY_TIMEOUT_S,
        )

    def _strip_and_delete(self) -> None:
        iam = self.cloud.client("iam")
        try:
            for page in iam.get_paginator("list_attached_role_policies").paginate(RoleName=self.name):
                for attached in page["AttachedPolicies"]:
                    iam.detach_role_policy(RoleName=self.name, PolicyArn=attached["PolicyArn"])
            for page in iam.get_paginator("list_role_policies").paginate(RoleName=self.name):
                for policy in page["PolicyNames"]:
                    iam.delete_role_policy(RoleName=self.name, PolicyName=policy)
            iam.delete_role(RoleName=self.name)
        except iam.exceptions.NoSuchEntityException:
            return
