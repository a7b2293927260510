"""A function's definition, read from the Lambda control plane (moto's Lambda backend in this process)."""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass, field
from typing import Any

from txnpipe.local.part import ACCOUNT
from txnpipe.local.service import ServiceError


@dataclass(frozen=True)
class FunctionSpec:
    """Everything that running a function needs. Two equal specs can share workers.

    arn: unqualified, or with the version for a published one. environment: sorted pairs.
    """

    arn: str
    name: str
    version: str
    region: str
    runtime: str
    handler: str
    code_sha256: str
    """Hexadecimal."""
    timeout_s: int
    memory_mb: int
    environment: tuple[tuple[str, str], ...]
    role: str
    layers: tuple[str, ...] = ()
    log_format: str = "Text"
    log_level: str = "INFO"
    """LoggingConfig's LogFormat ("Text", "JSON") and ApplicationLogLevel."""
    reserved_concurrency: int | None = field(default=None, compare=False)
    code: bytes = field(default=b"", compare=False, repr=False)


def find_function(name_or_arn: str, region: str, qualifier: str | None = None) -> FunctionSpec:
    """The function of this name or (qualified) ARN. Raises ServiceError ResourceNotFoundException."""
    from moto.awslambda.exceptions import UnknownAliasException, UnknownFunctionException
    from moto.awslambda.utils import get_backend

    if name_or_arn.startswith("arn:"):
        region = name_or_arn.split(":")[3]
    try:
        function = get_backend(ACCOUNT, region).get_function(_local_name(name_or_arn), qualifier)
    except (UnknownFunctionException, UnknownAliasException) as error:
        raise ServiceError(
            "ResourceNotFoundException", f"Function not found: {function_arn(name_or_arn, region)}", 404
        ) from error
    return spec_of(function)


def _local_name(name_or_arn: str) -> str:
    """`NAME[:QUALIFIER]` of a name, a partial ARN (ACCOUNT:function:NAME) or an ARN."""
    return re.sub(r"^.*(?:^|:)function:", "", name_or_arn)


def function_arn(name_or_arn: str, region: str) -> str:
    """The ARN of a function named by name, partial ARN or ARN."""
    if name_or_arn.startswith("arn:"):
        return name_or_arn
    return f"arn:aws:lambda:{region}:{ACCOUNT}:function:{_local_name(name_or_arn)}"


def spec_of(function: Any) -> FunctionSpec:
    """The spec of moto's LambdaFunction."""
    reserved = function.reserved_concurrency
    logging = getattr(function, "logging_config", {})
    published = ":" in str(function.function_arn).split(":function:")[-1]
    return FunctionSpec(
        arn=function.function_arn,
        name=function.function_name,
        version=str(function.version) if published else "$LATEST",
        region=function.region,
        runtime=function.run_time or "",
        handler=function.handler or "",
        code_sha256=base64.b64decode(function.code_sha_256 or "").hex(),
        timeout_s=int(function.timeout),
        memory_mb=int(function.memory_size),
        environment=tuple(sorted((function.environment_vars or {}).items())),
        role=function.role,
        layers=tuple(layer["Arn"] for layer in function.layers),
        log_format=logging.get("LogFormat", "Text"),
        log_level=logging.get("ApplicationLogLevel", "INFO"),
        reserved_concurrency=None if reserved is None else int(reserved),
        code=function.code_bytes if function.package_type == "Zip" else b"",
    )
