"""Lambda functions: the loader and the notifier.

Code is compared by SHA-256, so an unchanged zip is never uploaded again.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from txnpipe.errors import ExitCode, TxnpipeError
from txnpipe.resources.difference import Difference
from txnpipe.resources.new_roles import once_role_is_known
from txnpipe.resources.refusals import coded, once_accepted
from txnpipe.resources.resource import Cloud, Observed, wait_gone, wait_ready

if TYPE_CHECKING:
    from txnpipe.packaging.artifact import Artifact

READY_TIMEOUT_S = 600.0
MAXIMUM_ZIP_BYTES = 50 * 1024 * 1024
"""A zip sent with the request (Lambda quotas)."""


@dataclass(frozen=True)
class FunctionState:
    """What a plan compares. `code_sha256` is hexadecimal."""

    code_sha256: str
    handler: str
    runtime: str
    architecture: str
    role: str
    memory_mb: int
    timeout_seconds: int
    environment: Mapping[str, Any]
    subnets: Any
    security_groups: Any


@dataclass(frozen=True)
class Function:
    """One function.

    artifact builds (or gives) its zip. environment and placement are asked whenever the state is: they hold
    what only exists after other resources do.
    """

    cloud: Cloud
    name: str
    requires: tuple[str, ...]
    handler: str
    role: str
    memory_mb: int
    timeout_seconds: int
    artifact: Callable[[], Artifact]
    environment: Callable[[], Mapping[str, Any]]
    placement: Callable[[], tuple[Any, Any]]
    kind: str = "function"
    inside: str | None = None

    def desired(self) -> FunctionState:
        """See Resource."""
        platform = self.cloud.target.functions
        subnets, groups = self.placement()
        return FunctionState(
            code_sha256=self.artifact().sha256,
            handler=self.handler,
            runtime=f"python{platform.python}",
            architecture=platform.architecture,
            role=self.role,
            memory_mb=self.memory_mb,
            timeout_seconds=self.timeout_seconds,
            environment=self.environment(),
            subnets=subnets,
            security_groups=groups,
        )

    def read(self) -> Observed[FunctionState] | None:
        """See Resource."""
        lambda_ = self.cloud.client("lambda")
        try:
            found = lambda_.get_function(FunctionName=self.name)
        except lambda_.exceptions.ResourceNotFoundException:
            return None
        self.cloud.assert_ours(self.kind, self.name, found.get("Tags", {}))
        configuration = found["Configuration"]
        vpc = configuration.get("VpcConfig") or {}
        state = FunctionState(
            code_sha256=base64.b64decode(configuration["CodeSha256"]).hex(),
            handler=configuration["Handler"],
            runtime=configuration["Runtime"],
            architecture=(configuration.get("Architectures") or ["x86_64"])[0],
            role=configuration["Role"],
            memory_mb=configuration["MemorySize"],
            timeout_seconds=configuration["Timeout"],
            environment=configuration.get("Environment", {}).get("Variables", {}),
            subnets=tuple(sorted(vpc.get("SubnetIds", []))),
            security_groups=tuple(sorted(vpc.get("SecurityGroupIds", []))),
        )
        status = configuration.get("State", "Active")
        changing = configuration.get("LastUpdateStatus", "Successful")
        if status == "Active" and changing != "Successful":
            status = f"update {changing}"
        reason = configuration.get("StateReason") or configuration.get("LastUpdateStatusReason")
        # Inactive: idle for weeks; the next invocation wakes it up. A failed update may be made again.
        ready = status in {"Active", "Inactive", "update Failed"}
        facts = {"runtime": state.runtime, "reason": reason}
        return Observed(state, status, ready=ready, leaving=status == "Deleting", facts=facts)

    def create(self, desired: FunctionState) -> None:
        """See Resource."""
        lambda_ = self.cloud.client("lambda")
        code = self._code()

        def call() -> None:
            with suppress(lambda_.exceptions.ResourceConflictException):
                lambda_.create_function(
                    FunctionName=self.name,
                    Description=f"Pipeline {self.cloud.names.pipeline} of txnpipe",
                    Code={"ZipFile": code},
                    Architectures=[desired.architecture],
                    Tags=self.cloud.tags,
                    **_configuration(desired),
                )

        once_role_is_known(self.cloud, self, call)

    def update(self, desired: FunctionState, differences: tuple[Difference, ...]) -> None:
        """See Resource. Lambda accepts no second change while one is in progress."""
        lambda_ = self.cloud.client("lambda")
        fields = {difference.field.split(".", 1)[0] for difference in differences}
        if fields & {"code_sha256", "architecture"}:
            lambda_.update_function_code(
                FunctionName=self.name, ZipFile=self._code(), Architectures=[desired.architecture]
            )
            self.settle()
        if fields - {"code_sha256", "architecture"}:
            once_role_is_known(
                self.cloud,
                self,
                lambda: lambda_.update_function_configuration(
                    FunctionName=self.name, **_configuration(desired)
                ),
            )
            self.settle()

    def _code(self) -> bytes:
        content: bytes = self.artifact().content
        if len(content) > MAXIMUM_ZIP_BYTES:
            raise TxnpipeError(
                f"The zip of {self.name} has {len(content) >> 20} MB, and Lambda takes 50 MB.",
                "Use a Python version or architecture with smaller wheels (functions.python).",
                ExitCode.LIMIT,
            )
        return content

    def settle(self) -> None:
        """See Resource."""
        fix = "Look at the reason, remove the function or its cause, then run the same command again."
        wait_ready(self.cloud, self, READY_TIMEOUT_S, broken={"Failed": fix, "update Failed": fix})

    def delete(self) -> None:
        """See Resource."""
        lambda_ = self.cloud.client("lambda")
        try:
            once_accepted(
                self.cloud,
                self,
                lambda: lambda_.delete_function(FunctionName=self.name),
                coded("ResourceConflictException"),
                what=f"the function {self.name} to finish its last change",
                timeout_s=READY_TIMEOUT_S,
            )
        except lambda_.exceptions.ResourceNotFoundException:
            return
        wait_gone(self.cloud, self, READY_TIMEOUT_S)


def _configuration(desired: FunctionState) -> dict[str, Any]:
    return {
        "Runtime": desired.runtime,
        "Role": desired.role,
        "Handler": desired.handler,
        "MemorySize": desired.memory_mb,
        "Timeout": desired.timeout_seconds,
        "Environment": {"Variables": dict(desired.environment)},
        "VpcConfig": {
            "SubnetIds": list(desired.subnets),
            "SecurityGroupIds": list(desired.security_groups),
        },
    }
