"""Speaks the Redshift Data API (JSON 1.1, target prefix RedshiftData)."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import psycopg2

from txnpipe.local.redshift.data_api import catalog, results
from txnpipe.local.redshift.data_api.access import DatabaseRefusalError, Endpoints, resolve
from txnpipe.local.redshift.data_api.statements import Execution, Executions, Part
from txnpipe.local.service import Request, Response, ServiceError
from txnpipe.sqltext import parameter_names

PREFIX = "RedshiftData."
MOST_SQL_BYTES = 100 * 1024
MOST_STATEMENTS = 40
MOST_WAIT_S = 30
"""Limits of the service (Data API, considerations; the model of botocore)."""

_UNSUPPORTED = ("SessionId", "SessionKeepAliveSeconds")


class DataApiService:
    """Answers the Data API's calls."""

    def __init__(self, endpoints: Endpoints, executions: Executions) -> None:
        self._endpoints = endpoints
        self._executions = executions
        self._calls: dict[str, Callable[[str, dict[str, Any]], dict[str, Any]]] = {
            "ExecuteStatement": self._execute,
            "BatchExecuteStatement": self._batch_execute,
            "DescribeStatement": self._describe,
            "GetStatementResult": self._result,
            "ListStatements": self._list_statements,
            "CancelStatement": self._cancel,
            "ListDatabases": self._list_databases,
            "ListSchemas": self._list_schemas,
            "ListTables": self._list_tables,
            "DescribeTable": self._describe_table,
        }

    def claims(self, method: str, path: str, target: str) -> bool:  # noqa: ARG002 - Service
        """Everything with the Data API's target prefix."""
        return target.startswith(PREFIX)

    def handle(self, request: Request) -> Response:
        """Answers a call. Raises ServiceError."""
        operation = request.target.removeprefix(PREFIX)
        call = self._calls.get(operation)
        if call is None:
            raise ServiceError("UnknownOperationException", f"{operation} is not implemented.")
        try:
            document = json.loads(request.body or b"{}")
        except ValueError as error:
            raise ServiceError("SerializationException", "The body is not JSON.") from error
        answer = call(request.region, document)
        return Response(200, json.dumps(answer).encode())

    # Running statements

    def _execute(self, region: str, request: dict[str, Any]) -> dict[str, Any]:
        return self._begin(region, request, [request.get("Sql") or ""], is_batch=False)

    def _batch_execute(self, region: str, request: dict[str, Any]) -> dict[str, Any]:
        return self._begin(region, request, request.get("Sqls") or [], is_batch=True)

    def _begin(
        self, region: str, request: dict[str, Any], sqls: list[str], *, is_batch: bool
    ) -> dict[str, Any]:
        if not 1 <= len(sqls) <= MOST_STATEMENTS or not all(sql.strip() for sql in sqls):
            raise _invalid(f"Between 1 and {MOST_STATEMENTS} SQL statements are required.")
        if any(len(sql.encode()) > MOST_SQL_BYTES for sql in sqls):
            raise _invalid(f"A SQL statement has at most {MOST_SQL_BYTES} bytes.")
        if any(request.get(name) is not None for name in _UNSUPPORTED):
            raise _invalid("The local cloud's Data API has no sessions.")
        if request.get("ResultFormat") == "CSV":
            raise _invalid("The local cloud's Data API returns results as JSON only.")
        _check_parameters(sqls, request.get("Parameters"))
        login = resolve(self._endpoints, region, request)
        execution = self._executions.submit(region, request, sqls, login, is_batch=is_batch)
        self._wait(execution, request)
        answer = {
            "Id": execution.id,
            "CreatedAt": execution.created_at,
            "Status": execution.status,
            "HasResultSet": any(part.has_result for part in execution.parts),
        }
        if execution.pid:
            answer["RedshiftPid"] = execution.pid
        return answer | _where(execution)

    def _describe(self, region: str, request: dict[str, Any]) -> dict[str, Any]:
        execution, part = self._found(region, request)
        self._wait(execution, request)
        if part is not None:
            return _part(part) | _where(execution)
        answer: dict[str, Any] = {
            "Id": execution.id,
            "Status": execution.status,
            "CreatedAt": execution.created_at,
            "UpdatedAt": execution.updated_at,
            "RedshiftPid": execution.pid,
            "HasResultSet": any(each.has_result for each in execution.parts),
            "ResultFormat": "JSON",
        }
        if execution.error:
            answer["Error"] = execution.error
        if execution.request.get("Parameters"):
            answer["QueryParameters"] = execution.request["Parameters"]
        if execution.is_batch:
            answer["SubStatements"] = [_part(each) for each in execution.parts]
            answer["Duration"] = sum(max(each.duration_ns, 0) for each in execution.parts)
            answer["ExecutionMode"] = "TRANSACTION" if execution.transaction else "AUTO_COMMIT"
            answer |= {"RedshiftQueryId": 0, "ResultRows": -1, "ResultSize": -1}
        else:
            answer |= _measures(execution.parts[0]) | {"QueryString": execution.parts[0].sql}
        return answer | _where(execution)

    def _result(self, region: str, request: dict[str, Any]) -> dict[str, Any]:
        execution, part = self._found(region, request)
        self._wait(execution, request)
        if part is None:
            if execution.is_batch:
                raise _invalid("Name a statement of the batch: its Id ends in a colon and its number.")
            part = execution.parts[0]
        if part.status != "FINISHED" or not part.has_result:
            raise ServiceError(
                "ResourceNotFoundException",
                "Query does not have result. Please check query status with DescribeStatement.",
            )
        try:
            columns, records, token = results.read_page(
                self._executions.result_file(part), request.get("NextToken")
            )
        except ValueError as error:
            raise _invalid(f"NextToken: {error}") from error
        answer = {"ColumnMetadata": columns, "Records": records, "TotalNumRows": part.rows}
        return answer | ({"NextToken": token} if token else {})

    def _cancel(self, region: str, request: dict[str, Any]) -> dict[str, Any]:
        execution, _ = self._found(region, request)
        return {"Status": self._executions.cancel(execution)}

    def _list_statements(self, region: str, request: dict[str, Any]) -> dict[str, Any]:
        status = request.get("Status") or "ALL"
        found = [
            _listed(execution)
            for execution in self._executions.list(region)
            if status in ("ALL", execution.status)
            and str(execution.request.get("StatementName") or "").startswith(
                request.get("StatementName") or ""
            )
            and all(
                request.get(name) in (None, execution.request.get(name))
                for name in ("Database", "ClusterIdentifier", "WorkgroupName")
            )
        ]
        return _page("Statements", found, request, 100)

    # What a database holds

    def _list_databases(self, region: str, request: dict[str, Any]) -> dict[str, Any]:
        found = self._ask(region, request, catalog.databases)
        return _page("Databases", found, request, 1000)

    def _list_schemas(self, region: str, request: dict[str, Any]) -> dict[str, Any]:
        pattern = request.get("SchemaPattern") or "%"
        found = self._ask(region, request, lambda connection: catalog.schemas(connection, pattern))
        return _page("Schemas", found, request, 1000)

    def _list_tables(self, region: str, request: dict[str, Any]) -> dict[str, Any]:
        schema, table = request.get("SchemaPattern") or "%", request.get("TablePattern") or "%"
        found = self._ask(region, request, lambda connection: catalog.tables(connection, schema, table))
        return _page("Tables", found, request, 1000)

    def _describe_table(self, region: str, request: dict[str, Any]) -> dict[str, Any]:
        schema, table = request.get("Schema") or "public", request.get("Table") or ""
        found = self._ask(region, request, lambda connection: catalog.columns(connection, schema, table))
        return {"TableName": table} | _page("ColumnList", found, request, 1000)

    def _ask(self, region: str, request: dict[str, Any], question: Callable[[Any], Any]) -> Any:
        login = resolve(self._endpoints, region, request, request.get("ConnectedDatabase"))
        try:
            connection = login().connect()
        except (psycopg2.OperationalError, DatabaseRefusalError) as error:
            message = next(iter(str(error).splitlines()), "no reason given")
            raise ServiceError("DatabaseConnectionException", message, 500) from error
        try:
            return question(connection)
        finally:
            connection.close()

    # Shared

    def _found(self, region: str, request: dict[str, Any]) -> tuple[Execution, Part | None]:
        statement_id = request.get("Id")
        if not statement_id:
            raise _invalid("Id is required.")
        return self._executions.find(region, str(statement_id))

    def _wait(self, execution: Execution, request: dict[str, Any]) -> None:
        seconds = request.get("WaitTimeSeconds")
        if seconds is None:
            return
        if not 1 <= int(seconds) <= MOST_WAIT_S:
            raise _invalid(f"WaitTimeSeconds must be between 1 and {MOST_WAIT_S}.")
        self._executions.wait(execution, float(seconds))


def _invalid(message: str) -> ServiceError:
    return ServiceError("ValidationException", message)


def _check_parameters(sqls: list[str], parameters: list[dict[str, str]] | None) -> None:
    if parameters is None:
        return
    if not parameters:
        raise _invalid("Parameters must hold at least one parameter.")
    if not all(parameter.get("name") and parameter.get("value") for parameter in parameters):
        raise _invalid("A parameter needs a name and a value that is not empty.")
    given = {parameter["name"] for parameter in parameters}
    used = {name for sql in sqls for name in parameter_names(sql)}
    if used - given:
        raise _invalid(f"Parameters are missing: {', '.join(sorted(used - given))}.")
    if given - used:
        raise _invalid(f"Parameters are not used in the statement: {', '.join(sorted(given - used))}.")


def _where(execution: Execution) -> dict[str, Any]:
    names = ("ClusterIdentifier", "WorkgroupName", "Database", "DbUser", "SecretArn")
    return {name: execution.request[name] for name in names if execution.request.get(name)}


def _measures(part: Part) -> dict[str, Any]:
    return {
        "Duration": part.duration_ns,
        "ResultRows": part.rows,
        "ResultSize": part.bytes,
        "RedshiftQueryId": part.query_id,
    }


def _part(part: Part) -> dict[str, Any]:
    answer = _measures(part) | {
        "Id": part.id,
        "QueryString": part.sql,
        "Status": part.status,
        "CreatedAt": part.created_at,
        "UpdatedAt": part.updated_at,
        "HasResultSet": part.has_result,
    }
    return answer | ({"Error": part.error} if part.error else {})


def _listed(execution: Execution) -> dict[str, Any]:
    answer: dict[str, Any] = {
        "Id": execution.id,
        "Status": execution.status,
        "CreatedAt": execution.created_at,
        "UpdatedAt": execution.updated_at,
        "IsBatchStatement": execution.is_batch,
        "StatementName": execution.request.get("StatementName") or "",
        "ResultFormat": "JSON",
    }
    if execution.is_batch:
        answer["QueryStrings"] = [part.sql for part in execution.parts]
    else:
        answer["QueryString"] = execution.parts[0].sql
    if execution.request.get("SecretArn"):
        answer["SecretArn"] = execution.request["SecretArn"]
    return answer


def _page(name: str, items: list[Any], request: dict[str, Any], most: int) -> dict[str, Any]:
    token = str(request.get("NextToken") or "0")
    if not token.isdigit():
        raise _invalid("NextToken is not valid.")
    start = int(token)
    size = min(int(request.get("MaxResults") or most), most)
    answer: dict[str, Any] = {name: items[start : start + size]}
    if start + size < len(items):
        answer["NextToken"] = str(start + size)
    return answer
