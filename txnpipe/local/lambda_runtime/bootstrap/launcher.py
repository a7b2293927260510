"""The first thing that runs in a worker: ties its life to the daemon's, then becomes the Lambda runtime.

Started as `python -S launcher.py LIFELINE_FD PARENT_PID` (-S: what is installed beside the daemon must not
hide what is missing in a function's zip). The search path is Lambda's: the function's zip, the standard
library, then what the managed runtime brings (the runtime client, boto3). The runtime is AWS's own
`awslambdaric` where it is installed for this Python (it has Linux wheels only), else `small_client.py`.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from typing import Any

PR_SET_PDEATHSIG = 1


def die_with_parent(lifeline: int, parent: int) -> None:
    """Ends this process when the daemon ends, however it ends.

    Linux kills it itself, even in the middle of a C call. Elsewhere a thread waits for the end of a pipe
    whose only writer is the daemon.
    """
    os.set_inheritable(lifeline, False)
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:
            os._exit(1)

    def wait() -> None:
        os.read(lifeline, 1)
        os._exit(1)

    threading.Thread(target=wait, name="lifeline", daemon=True).start()


def limit_memory(megabytes: int) -> None:
    """Bounds the memory that this process can write to (Linux; other systems do not enforce this limit).

    An allocation beyond it raises MemoryError, where Lambda would kill the process.
    """
    if sys.platform == "linux":
        import resource

        limit = megabytes * 1024 * 1024
        resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))


def aws_client(address: str) -> Any:
    """AWS's runtime client, or None where it is not installed for this Python."""
    try:
        import runtime_client  # type: ignore[import-not-found]  # noqa: F401
        from awslambdaric import lambda_runtime_client
    except ImportError:
        return None

    class Client(lambda_runtime_client.LambdaRuntimeClient):  # type: ignore[misc]
        """Its C++ half takes HOST:PORT/PATH for an address, its Python half needs help with the path."""

        lambda_runtime_address: str

        def call_rapid(
            self,
            http_method: str,
            endpoint: str,
            expected_http_code: int,
            payload: Any = None,
            headers: Any = None,
        ) -> None:
            whole: str = self.lambda_runtime_address
            self.lambda_runtime_address, _, path = whole.partition("/")
            try:
                super().call_rapid(http_method, f"/{path}{endpoint}", expected_http_code, payload, headers)
            finally:
                self.lambda_runtime_address = whole

    return Client(address)


def main() -> None:
    """Never returns while the function is in use."""
    die_with_parent(int(sys.argv[1]), int(sys.argv[2]))
    own_directory = sys.path[0]
    sys.path[0] = os.environ["LAMBDA_TASK_ROOT"]
    sys.path.append(os.environ["LAMBDA_RUNTIME_DIR"])
    limit_memory(int(os.environ["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"]))
    address, handler = os.environ["AWS_LAMBDA_RUNTIME_API"], os.environ["_HANDLER"]
    sys.argv = ["bootstrap"]
    client = aws_client(address)
    if client is not None:
        from awslambdaric import bootstrap

        bootstrap.run(handler, client)
    else:
        sys.path.insert(0, own_directory)
        from small_client import run  # type: ignore[import-not-found]

        del sys.path[0]
        run(handler, address)


if __name__ == "__main__":
    main()
