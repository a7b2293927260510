"""What to do about a function that Lambda could not make or change, by its StateReasonCode.

The codes are those of botocore's model; their meaning: Lambda developer guide, "Lambda function states" and
"Troubleshoot networking issues".
"""

from __future__ import annotations

_AGAIN = "then run the same command again."
_DENIED = (
    "Its role lacks a permission. Run txnpipe setup, which puts its policy back; if that changes nothing, "
    f"look for a permissions boundary or a service control policy that cuts it down, {_AGAIN}"
)
_NETWORK = (
    "The VPC's subnets or security groups have changed or gone. Run txnpipe setup, which looks them up."
)
_CODE = (
    "Its code does not start. Look at its log, and check functions.python and functions.architecture, "
    f"{_AGAIN}"
)
_KEY = f"The key of its environment cannot be used. Enable it and let the role decrypt with it, {_AGAIN}"
_FIXES = {
    "InsufficientRolePermissions": _DENIED,
    "EniLimitExceeded": (
        "The VPC has as many of Lambda's network interfaces as it may. Ask for more (Service Quotas, Lambda, "
        f"Elastic network interfaces per VPC) or remove functions from it, {_AGAIN}"
    ),
    "SubnetOutOfIPAddresses": (
        f"Free addresses in the function's subnets, or give the VPC a larger one, {_AGAIN}"
    ),
    "InvalidSubnet": _NETWORK,
    "InvalidSecurityGroup": _NETWORK,
    "DisallowedByVpcEncryptionControl": (
        f"The VPC takes only encrypted traffic. Exclude Lambda from its encryption control, {_AGAIN}"
    ),
    "KMSKeyAccessDenied": _KEY,
    "KMSKeyNotFound": _KEY,
    "InvalidStateKMSKey": _KEY,
    "DisabledKMSKey": _KEY,
    "InvalidRuntime": f"Set functions.python to a version that Lambda still offers, {_AGAIN}",
    "InvalidZipFileException": _CODE,
    "FunctionError": _CODE,
    "EC2RequestLimitExceeded": f"EC2 is throttling this account. Wait a few minutes, {_AGAIN}",
    "ServiceQuotaExceededException": f"Ask for a higher quota (Service Quotas, Lambda), {_AGAIN}",
    "InternalError": f"The fault is Lambda's. Wait a few minutes, {_AGAIN}",
}
_REMOVE = "A function that was never made right stays so: remove it with aws lambda delete-function"


def fix_of(code: str, function: str, *, made: bool) -> str:
    """The sentences for a reason code ("FunctionError.InitTimeout" is a "FunctionError").

    made: whether the function works apart from its last change; one that does not must be removed first.
    """
    fix = _FIXES.get(code) or _FIXES.get(code.partition(".")[0])
    fix = fix or f"Look at the reason and remove its cause, {_AGAIN}"
    return fix if made else f"{fix} {_REMOVE} --function-name {function} before that."
