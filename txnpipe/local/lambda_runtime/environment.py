"""The environment variables of a worker: Lambda's own and the function's, nothing of the daemon's."""

from __future__ import annotations

import os
from pathlib import Path

from txnpipe.local.lambda_runtime.functions import FunctionSpec
from txnpipe.local.part import LocalContext


def worker_environment(
    spec: FunctionSpec,
    context: LocalContext,
    *,
    task_root: Path,
    runtime_dir: Path,
    tmp: Path,
    api: str,
    log_stream: str,
) -> dict[str, str]:
    """Variables of one worker. Lambda's reserved names win over the function's, its defaults do not.

    api: what AWS_LAMBDA_RUNTIME_API names, "HOST:PORT/SECRET".
    """
    defaults = {
        # Lambda has no such files and no instance metadata; this machine's user may have them.
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_ENDPOINT_URL": context.endpoint_url,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "LANG": "en_US.UTF-8",
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "PYTHONIOENCODING": "utf-8",
        "TZ": ":UTC",
    }
    reserved = {
        "_HANDLER": spec.handler,
        "AWS_ACCESS_KEY_ID": context.access_key_id,
        "AWS_SECRET_ACCESS_KEY": context.secret_access_key,
        "AWS_DEFAULT_REGION": spec.region,
        "AWS_REGION": spec.region,
        "AWS_EXECUTION_ENV": f"AWS_Lambda_{spec.runtime}",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(spec.memory_mb),
        "AWS_LAMBDA_FUNCTION_NAME": spec.name,
        "AWS_LAMBDA_FUNCTION_VERSION": spec.version,
        "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
        "AWS_LAMBDA_LOG_GROUP_NAME": f"/aws/lambda/{spec.name}",
        "AWS_LAMBDA_LOG_STREAM_NAME": log_stream,
        "AWS_LAMBDA_RUNTIME_API": api,
        "LAMBDA_RUNTIME_DIR": str(runtime_dir),
        "LAMBDA_TASK_ROOT": str(task_root),
        "TMPDIR": str(tmp),
    }
    if spec.log_format == "JSON":
        # The runtime formats logging and uncaught exceptions by them.
        reserved |= {"AWS_LAMBDA_LOG_FORMAT": "JSON", "AWS_LAMBDA_LOG_LEVEL": spec.log_level}
    return defaults | dict(spec.environment) | reserved
