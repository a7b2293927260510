"""The Lambda runtime of the local cloud: real zips, each worker a process of its own.

`part.py` ties the rooms together: `functions.py` reads a function's definition from the control plane,
`code_store.py` unpacks its zip, `pool.py` keeps its workers, `worker.py` is one process and its current
invocation, `runtime_api.py` is the HTTP API that the process polls, `bootstrap/` is what runs inside the
process, `logs.py` takes its output, `cloudwatch.py` and `log_store.py` show that in CloudWatch Logs.
`invoke_service.py` answers the AWS API call `Invoke`, `background.py` runs asynchronous invocations,
`hook.py` makes them out of what moto's other services invoke.
"""
