"""Lambda functions: the loader and the notifier.

Code is compared by SHA-256, so an unchanged zip is never uploaded again.

Logs are in the format JSON: what Lambda itself says of an invocation, and of an exception that nobody caught,
is then an object as the functions' own lines are, and one filter ({ $.level = "ERROR" }) finds both. Lines
that are JSON already are not encoded a second time, so CloudWatch finds the metrics in them
(https://docs.aws.amazon.com/lambda/latest/dg/monitoring-cloudwatchlogs-logformat.html). The application log
level is read from their member "level" (.../monitoring-cloudwatchlogs-log-level.html).
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from txnpipe.errors import ExitCode, TxnpipeError
from txnpipe.resources.difference import Difference
from txnpipe.resources.function_failures import fix_of
from txnpipe.resources.new_roles import once_role_is_known
from txnpipe.resources.policies import function_log_group
from txnpipe.resources.refusals import coded, once_accepted
from txnpipe.resources.resource import CONTINUES, Cloud, Observed, wait_gone, wait_ready

if TYPE_CHECKING:
    from txnpipe.packaging.artifact import Artifact

READY_TIMEOUT_S = 600.0
MAXIMUM_ZIP_BYTES = 50 * 1024 * 1024
"""A zip sent with the request (Lambda quotas)."""
_CODE_FIELDS = {"code_sha256", "architecture"}
_FAILED = {"Failed": CONTINUES, "update Failed": CONTINUES}
"""Statuses that need somebody; `fix_of` knows more."""
_POOL = "UnreservedConcurrentExecution"
"""In the refusal of a reservation that leaves the account's other functions too little."""


@dataclass(frozen=True)
class FunctionState:
    """What a plan compares. `code_sha256` is hexadecimal; `logging` is Lambda's LoggingConfig.

    `reserved_concurrency` None: the function shares the account's pool with all others.
    """

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
    logging: Mapping[str, Any]
    reserved_concurrency: int | None


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
    reserved_concurrency: int | None = None
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
            logging={
                "LogFormat": "JSON",
                # The lines with the metrics are of the level INFO: a higher one here would drop them.
                "ApplicationLogLevel": "INFO",
                "SystemLogLevel": "INFO",
                "LogGroup": function_log_group(self.name),
            },
            reserved_concurrency=self.reserved_concurrency,
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
            logging=configuration.get("LoggingConfig", {}),
            reserved_concurrency=found.get("Concurrency", {}).get("ReservedConcurrentExecutions"),
        )
        status = configuration.get("State", "Active")
        changing = configuration.get("LastUpdateStatus", "Successful")
        about = "StateReason"
        if status == "Active" and changing != "Successful":
            status, about = f"update {changing}", "LastUpdateStatusReason"
        reason, code = configuration.get(about) or "", configuration.get(f"{about}Code") or ""
        # Inactive: idle for weeks; the next invocation wakes it up. A failed update may be made again.
        ready = status in {"Active", "Inactive", "update Failed"}
        facts = {"runtime": state.runtime, "reason": f"{code}: {reason}" if code else reason}
        if status in _FAILED:
            facts["fix"] = fix_of(code, self.name, made=status != "Failed")
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
        if desired.reserved_concurrency is not None:
            self.settle()
            self._reserve(desired.reserved_concurrency)

    def update(self, desired: FunctionState, differences: tuple[Difference, ...]) -> None:
        """See Resource. Lambda accepts no second change while one is in progress."""
        lambda_ = self.cloud.client("lambda")
        fields = {difference.field.split(".", 1)[0] for difference in differences}
        if fields & _CODE_FIELDS:
            code = self._code()
            self._undisturbed(
                lambda: lambda_.update_function_code(
                    FunctionName=self.name, ZipFile=code, Architectures=[desired.architecture]
                )
            )
            self.settle()
        if fields - _CODE_FIELDS - {"reserved_concurrency"}:
            self._undisturbed(
                lambda: once_role_is_known(
                    self.cloud,
                    self,
                    lambda: lambda_.update_function_configuration(
                        FunctionName=self.name, **_configuration(desired)
                    ),
                )
            )
            self.settle()
        if "reserved_concurrency" in fields:
            self._reserve(desired.reserved_concurrency)

    def _reserve(self, executions: int | None) -> None:
        """Takes so many executions out of the account's pool; None gives them back."""
        lambda_ = self.cloud.client("lambda")
        if executions is None:
            self._undisturbed(lambda: lambda_.delete_function_concurrency(FunctionName=self.name))
            return
        try:
            self._undisturbed(
                lambda: lambda_.put_function_concurrency(
                    FunctionName=self.name, ReservedConcurrentExecutions=executions
                )
            )
        except lambda_.exceptions.InvalidParameterValueException as error:
            if _POOL not in str(error):
                raise
            raise TxnpipeError(
                f"The account cannot reserve {executions} concurrent executions for {self.name}: "
                f"{error.response['Error']['Message']}",
                "Set reserved_concurrency of the function lower or to null, or ask for more (Service Quotas, "
                "Lambda, Concurrent executions): a new account may have 10, and some must stay unreserved.",
                ExitCode.LIMIT,
            ) from error

    def _undisturbed(self, call: Callable[[], Any]) -> None:
        """Makes a change once the one before is through, whoever made that."""
        once_accepted(
            self.cloud,
            self,
            call,
            coded("ResourceConflictException"),
            what=f"the function {self.name} to finish its last change",
            timeout_s=READY_TIMEOUT_S,
        )

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
        wait_ready(self.cloud, self, READY_TIMEOUT_S, broken=_FAILED)

    def delete(self) -> None:
        """See Resource."""
        lambda_ = self.cloud.client("lambda")
        try:
            self._undisturbed(lambda: lambda_.delete_function(FunctionName=self.name))
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
        "LoggingConfig": dict(desired.logging),
    }
