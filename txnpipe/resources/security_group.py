"""Security groups: who may connect to whom, and how long a group waits to be let go of.

A group's name is unique in its VPC only, so a group is ours by its tag, wherever it is: a stranger's of the
same name in another VPC is none of our business, and ours is found although the configuration names another
VPC by now.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from txnpipe.aws import error_code
from txnpipe.errors import ExitCode, TxnpipeError
from txnpipe.names import TAG_PIPELINE
from txnpipe.resources.difference import ABSENT, Difference, differences
from txnpipe.resources.interfaces import INTERFACES_TIMEOUT_S, Users, remove_abandoned, users_of
from txnpipe.resources.refusals import coded, once_accepted
from txnpipe.resources.resource import Cloud, Observed, tags_of, wait_ready
from txnpipe.resources.vpc import find_vpc, vpc_id

READY_TIMEOUT_S = 600.0
EC2_TIMEOUT_S = 60.0
"""EC2 is eventually consistent: a new group may be unknown to the next call."""

Rules = Mapping[str, Any]
""" "tcp PORT" → who: "self", CIDRs, groups, prefix lists, sorted, with commas."""


@dataclass(frozen=True)
class SecurityGroupState:
    """Who may come in and what may be reached. Answers need no rule of their own."""

    vpc: str
    ingress: Rules
    egress: Rules


@dataclass(frozen=True)
class SecurityGroup:
    """One group. `ingress` and `egress` are asked whenever the state is: they may name other groups."""

    cloud: Cloud
    name: str
    ingress: Callable[[], Rules]
    egress: Callable[[], Rules]
    requires: tuple[str, ...] = ()
    kind: str = "security group"
    inside: str | None = None

    def desired(self) -> SecurityGroupState:
        """See Resource. CONFLICT where the pipeline lives in another VPC than the configured one."""
        vpc = find_vpc(self.cloud)
        group = self.find()
        if group is not None and group["VpcId"] != vpc.id:
            raise TxnpipeError(
                f"The pipeline lives in {group['VpcId']}, and the configuration means {vpc.id}: "
                "a warehouse cannot move to another VPC.",
                f"Set network.vpc_id to {group['VpcId']}, or run txnpipe teardown first.",
                ExitCode.CONFLICT,
            )
        return SecurityGroupState(vpc.id, self.ingress(), self.egress())

    def find(self) -> dict[str, Any] | None:
        """The group as EC2 describes it, or None. CONFLICT where the VPC has a stranger's of that name."""
        groups, here = self._named(), vpc_id(self.cloud)
        ours = [group for group in groups if self._is_ours(group)]
        if ours:
            return min(ours, key=lambda group: group["VpcId"] != here)
        for group in groups:
            if group["VpcId"] == here:
                self.cloud.assert_ours(self.kind, self.name, tags_of(group.get("Tags", [])))
        return None

    def _named(self) -> list[dict[str, Any]]:
        pages = self.cloud.client("ec2").get_paginator("describe_security_groups")
        filters = [{"Name": "group-name", "Values": [self.name]}]
        return [group for page in pages.paginate(Filters=filters) for group in page["SecurityGroups"]]

    def _is_ours(self, group: Mapping[str, Any]) -> bool:
        return tags_of(group.get("Tags", [])).get(TAG_PIPELINE) == self.cloud.names.pipeline

    def read(self) -> Observed[SecurityGroupState] | None:
        """See Resource."""
        group = self.find()
        if group is None:
            return None
        state = SecurityGroupState(
            group["VpcId"],
            _rules(group["IpPermissions"], group["GroupId"]),
            _rules(group.get("IpPermissionsEgress", []), group["GroupId"]),
        )
        return Observed(state, "available", facts={"id": group["GroupId"]})

    def create(self, desired: SecurityGroupState) -> None:
        """See Resource. A new group may reach everything; what it may not is closed at once."""
        ec2 = self.cloud.client("ec2")
        tags = [{"ResourceType": "security-group", "Tags": self.cloud.tag_list}]
        # Duplicate: made meanwhile, or by a call whose answer was lost; `settle` reads whose it is.
        _unless(
            "InvalidGroup.Duplicate",
            lambda: ec2.create_security_group(
                GroupName=self.name,
                Description=f"Pipeline {self.cloud.names.pipeline} of txnpipe",
                VpcId=desired.vpc,
                TagSpecifications=tags,
            ),
        )
        made = wait_ready(self.cloud, self, READY_TIMEOUT_S)
        self.update(desired, differences(desired, made.state))

    def update(self, desired: SecurityGroupState, differences: tuple[Difference, ...]) -> None:
        """See Resource. Opens before it closes, so that a rule that is replaced leaves no gap."""
        for difference in differences:
            if difference.after is not ABSENT:
                before = "" if difference.before is ABSENT else difference.before
                self._change("authorize", difference.field, _without(difference.after, before))
        for difference in differences:
            if difference.before is not ABSENT:
                after = "" if difference.after is ABSENT else difference.after
                self._change("revoke", difference.field, _without(difference.before, after))

    def _change(self, verb: str, path: str, sources: list[str]) -> None:
        """What is open, or closed, already is fine: an answer may have been lost."""
        if not sources:
            return
        direction, _, rule = path.partition(".")

        def call() -> None:
            group = self.cloud.waiter.until(
                self, f"EC2 to know the group {self.name}", self.find, EC2_TIMEOUT_S
            )
            getattr(self.cloud.client("ec2"), f"{verb}_security_group_{direction}")(
                GroupId=group["GroupId"], IpPermissions=[_permission(rule, sources, group["GroupId"])]
            )

        done = "NotFound" if verb == "revoke" else "Duplicate"
        once_accepted(
            self.cloud,
            self,
            lambda: _unless(f"InvalidPermission.{done}", call),
            coded("InvalidGroup.NotFound"),
            what=f"EC2 to know the group {self.name}",
            timeout_s=EC2_TIMEOUT_S,
        )

    def settle(self) -> None:
        """See Resource."""
        wait_ready(self.cloud, self, READY_TIMEOUT_S)

    def delete(self) -> None:
        """See Resource. Waits until nothing uses the group any more, and says meanwhile what does."""
        ec2 = self.cloud.client("ec2")
        users = [Users()]

        def deleted() -> bool | None:
            for group in filter(self._is_ours, self._named()):
                try:
                    ec2.delete_security_group(GroupId=group["GroupId"])
                except ec2.exceptions.ClientError as error:
                    if error_code(error) == "InvalidGroup.NotFound":
                        continue
                    if error_code(error) not in {"DependencyViolation", "InvalidGroup.InUse"}:
                        raise
                    users[0] = remove_abandoned(self.cloud, users_of(self.cloud, group["GroupId"]))
                    return None
            return True

        try:
            self.cloud.waiter.until(
                self, lambda: users[0].awaited(self.name), deleted, INTERFACES_TIMEOUT_S, interval_s=15
            )
        except TxnpipeError as error:
            if error.exit_code is not ExitCode.TIMEOUT:
                raise
            raise users[0].still_there(self.name) from error


def _rules(permissions: list[dict[str, Any]], own_group: str) -> dict[str, str]:
    """Permissions as EC2 describes them, as Rules. Several of one protocol and port are one rule."""
    found: dict[str, set[str]] = {}
    for permission in permissions:
        found.setdefault(_rule(permission), set()).update(_sources(permission, own_group))
    return {rule: ", ".join(sorted(sources)) for rule, sources in found.items()}


def _rule(permission: Mapping[str, Any]) -> str:
    """ "tcp 5439", "tcp 5439:5500", "icmp 8:-1", "-1 all" """
    first, last = permission.get("FromPort"), permission.get("ToPort")
    ports = "all" if first is None else str(first) if first == last else f"{first}:{last}"
    return f"{permission['IpProtocol']} {ports}"


def _sources(permission: Mapping[str, Any], own_group: str) -> list[str]:
    return [
        *(
            "self" if pair["GroupId"] == own_group else pair["GroupId"]
            for pair in permission.get("UserIdGroupPairs", [])
        ),
        *(block["CidrIp"] for block in permission.get("IpRanges", [])),
        *(block["CidrIpv6"] for block in permission.get("Ipv6Ranges", [])),
        *(prefixes["PrefixListId"] for prefixes in permission.get("PrefixListIds", [])),
    ]


def _without(sources: str, others: str) -> list[str]:
    """The sources of one rule that the other lacks."""
    kept = others.split(", ")
    return [source for source in sources.split(", ") if source not in kept]


def _permission(rule: str, sources: list[str], own_group: str) -> dict[str, Any]:
    """The inverse of `_rule` and `_sources`."""
    protocol, ports = rule.split(" ")
    permission: dict[str, Any] = {"IpProtocol": protocol}
    if ports != "all":
        first, _, last = ports.partition(":")
        permission |= {"FromPort": int(first), "ToPort": int(last or first)}
    for source in sources:
        if source.startswith("pl-"):
            permission.setdefault("PrefixListIds", []).append({"PrefixListId": source})
        elif ":" in source:
            permission.setdefault("Ipv6Ranges", []).append({"CidrIpv6": source})
        elif "." in source:
            permission.setdefault("IpRanges", []).append({"CidrIp": source})
        else:
            group = own_group if source == "self" else source
            permission.setdefault("UserIdGroupPairs", []).append({"GroupId": group})
    return permission


def _unless(code: str, call: Callable[[], Any]) -> None:
    """Makes a call; a refusal with this error code says that there is nothing left to do."""
    try:
        call()
    except Exception as error:
        if error_code(error) != code:
            raise
