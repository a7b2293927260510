"""What still uses a security group that is to be deleted: network interfaces, and rules of other groups.

Lambda lets go of a deleted function's interfaces in its own time, "up to 20 minutes" (Lambda guide,
"Understanding Hyperplane elastic network interfaces"; longer has been seen). It does so by the function's
execution role, so the role must outlive the group: without it the interfaces stay for ever.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from txnpipe.aws import error_code
from txnpipe.errors import ExitCode, TxnpipeError
from txnpipe.resources.resource import Cloud

INTERFACES_TIMEOUT_S = 2700.0
"""45 minutes: more than twice what Lambda's guide says."""

_OWNERS = {
    "AWS Lambda VPC ENI": "Lambda",
    "VPC Endpoint Interface": "a VPC endpoint",
    "RedshiftNetworkInterface": "Redshift",
}
"""How the descriptions of service's interfaces begin, and whose they are."""


@dataclass(frozen=True)
class Interface:
    """A network interface. `status`: available (attached to nothing), in-use, detaching, ..."""

    id: str
    status: str
    description: str

    @property
    def owner(self) -> str:
        """The service it belongs to, or "" where the description does not tell."""
        return next((owner for start, owner in _OWNERS.items() if self.description.startswith(start)), "")


@dataclass(frozen=True)
class Users:
    """What uses a group. `refusals`: why an abandoned interface could not be removed, by its id."""

    interfaces: tuple[Interface, ...] = ()
    groups: tuple[str, ...] = ()
    refusals: tuple[tuple[str, str], ...] = ()

    def awaited(self, group: str) -> str:
        """What a wait is told to be for."""
        if self.interfaces:
            number = len(self.interfaces)
            owners = sorted({interface.owner or "others" for interface in self.interfaces})
            whose = "" if owners == ["others"] else f" of {' and '.join(owners)}"
            return f"{number} network interface{'' if number == 1 else 's'}{whose} in {group} to go"
        if self.groups:
            return f"rules of {', '.join(self.groups)} to stop naming {group}"
        return f"EC2 to let go of the security group {group}"

    def still_there(self, group: str) -> TxnpipeError:
        """The error once the wait has been in vain."""
        minutes = f"{INTERFACES_TIMEOUT_S / 60:.0f} minutes"
        if self.interfaces:
            named = ", ".join(
                f"{item.id} ({item.status}; {item.description})"
                if item.description
                else f"{item.id} ({item.status})"
                for item in self.interfaces
            )
            return TxnpipeError(
                f"The security group {group} is still used after {minutes} by network interfaces: {named}.",
                "Run the same command again later. If one stays, remove what it belongs to, or itself: "
                f"`aws ec2 delete-network-interface --network-interface-id {self.interfaces[0].id}`.",
                ExitCode.TIMEOUT,
                details=tuple(
                    f"{identifier} could not be removed: {why}" for identifier, why in self.refusals
                ),
            )
        if self.groups:
            return TxnpipeError(
                f"After {minutes} rules of {', '.join(self.groups)} still name the security group {group}.",
                "Remove those rules, then run the same command again.",
                ExitCode.TIMEOUT,
            )
        return TxnpipeError(
            f"EC2 has refused to delete the security group {group} for {minutes}: something depends on it.",
            "Look in the VPC console for what uses it, then run the same command again.",
            ExitCode.TIMEOUT,
        )


def users_of(cloud: Cloud, group: str) -> Users:
    """What uses the group with this id now."""
    ec2 = cloud.client("ec2")
    pages = ec2.get_paginator("describe_network_interfaces")
    filters = [{"Name": "group-id", "Values": [group]}]
    interfaces = [
        Interface(item["NetworkInterfaceId"], item["Status"], item.get("Description", ""))
        for page in pages.paginate(Filters=filters)
        for item in page["NetworkInterfaces"]
    ]
    naming: set[str] = set()
    for direction in ("ip-permission.group-id", "egress.ip-permission.group-id"):
        filters = [{"Name": direction, "Values": [group]}]
        for page in ec2.get_paginator("describe_security_groups").paginate(Filters=filters):
            naming |= {item["GroupId"] for item in page["SecurityGroups"]}
    return Users(tuple(sorted(interfaces, key=lambda item: item.id)), tuple(sorted(naming - {group})))


def remove_abandoned(cloud: Cloud, users: Users) -> Users:
    """Deletes those of Lambda's interfaces that are attached to nothing; returns what is left.

    Lambda cannot delete them once their role is gone, and leaves that to the account ("You can manually
    perform the deletion", Lambda guide). One that is refused is waited for like the others.
    """
    left: list[Interface] = []
    refusals: list[tuple[str, str]] = []
    for interface in users.interfaces:
        if interface.owner != "Lambda" or interface.status != "available":
            left.append(interface)
            continue
        refusal = _delete(cloud, interface.id)
        if refusal:
            left.append(interface)
            refusals.append((interface.id, refusal))
    return replace(users, interfaces=tuple(left), refusals=tuple(refusals))


def _delete(cloud: Cloud, interface: str) -> str:
    """Deletes an interface. Why EC2 would not, or ""."""
    ec2: Any = cloud.client("ec2")
    try:
        ec2.delete_network_interface(NetworkInterfaceId=interface)
    except ec2.exceptions.ClientError as error:
        if error_code(error) == "InvalidNetworkInterfaceID.NotFound":
            return ""
        return str(error)
    return ""
