"""A pipeline on a real local cloud, as tests use it: by the program, and by SQL as any client would."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import psycopg2

from tests.e2e.conftest import Cloud
from tests.waiting import eventually

RESOURCES = 28
"""Of a pipeline with the default settings."""
SHARED = 2
"""Of these, what a VPC has once for all its pipelines: an endpoint, and a gateway that nobody asked for."""
INSIDE = 3
"""Of these, what goes with another one: schema and user with the warehouse, code with the bucket."""


class Pipeline:
    """A pipeline by name. It exists once `setup` has run."""

    def __init__(self, cloud: Cloud, name: str = "default") -> None:
        self.cloud = cloud
        self.name = name
        self._variables: dict[str, str] = {}

    def run(
        self, *arguments: str, code: int = 0, timeout: float = 180, environment: dict[str, str] | None = None
    ) -> dict[str, Any]:
        """Runs a command with --json, which must end with `code`, and returns its document."""
        command = (*arguments, "--pipeline", self.name, "--json")
        result = self.cloud.run(*command, timeout=timeout, environment=environment)
        assert result.returncode == code, f"{arguments}: {result.stdout[-4000:]}\n{result.stderr[-4000:]}"
        document: dict[str, Any] = json.loads(result.stdout)
        return document

    def begin(
        self, *arguments: str, environment: dict[str, str] | None = None, stdin: int = subprocess.DEVNULL
    ) -> subprocess.Popen[str]:
        """Starts a command and does not wait for it."""
        return subprocess.Popen(
            [sys.executable, "-m", "txnpipe", *arguments, "--pipeline", self.name, "--json"],
            cwd=self.cloud.work,
            env=self.cloud.environment(**(environment or {})),
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def environment(self, *, again: bool = False) -> dict[str, str]:
        """What `eval "$(txnpipe local env)"` makes of a user's environment; asked once, or `again`."""
        if again or not self._variables:
            self._variables = self.run("local", "env")["variables"]
        return {**self.cloud.environment(), **self._variables}

    def query(
        self, sql: str, parameters: Sequence[object] | Mapping[str, object] = ()
    ) -> list[tuple[Any, ...]]:
        """Asks the warehouse."""
        try:
            connection = self.connect()
        except psycopg2.OperationalError:
            # Brought back after a kill, the cluster has another port where its own was taken meanwhile.
            self.environment(again=True)
            connection = self.connect()
        try:
            with connection, connection.cursor() as cursor:
                cursor.execute(sql, parameters)
                return cursor.fetchall()
        finally:
            connection.close()

    def connect(self) -> psycopg2.extensions.connection:
        """A connection to the warehouse, where PGHOST and its companions say it is."""
        variables = self.environment()
        return psycopg2.connect(
            host=variables["PGHOST"],
            port=variables["PGPORT"],
            user=variables["PGUSER"],
            dbname=variables["PGDATABASE"],
            passfile=variables["PGPASSFILE"],
        )

    def count(self, table: str) -> int:
        """Rows of a table now."""
        return int(self.query(f"SELECT COUNT(*) FROM {table}")[0][0])

    def wait_for_rows(self, count: int) -> None:
        """Waits until at least so many transactions are stored."""
        eventually(lambda: self.count("transactions") >= count, f"{count} rows")

    def prove(self, count: int) -> dict[str, Any]:
        """`verify` must end with 0; asserts what it proves, and counts again without its help."""
        proof = self.run("verify")
        run_id = proof["run_id"]
        assert proof["equal"]
        assert proof["finished"]
        assert proof["rows"]["expected"] == proof["rows"]["stored"] == count
        for finding in ("missing", "extra", "duplicate", "changed"):
            assert proof["rows"][finding]["count"] == 0
        assert set(proof["alerts"]) == {"large_amount", "velocity", "amount_spike"}
        for rule, found in proof["alerts"].items():
            assert found["expected"] == found["stored"] > 0, rule
        assert self.query(
            "SELECT COUNT(*), COUNT(DISTINCT transaction_id) FROM transactions WHERE run_id = %s", [run_id]
        ) == [(count, count)]
        alerts = self.query(
            "SELECT COUNT(*), COUNT(DISTINCT alert_id) FROM alerts WHERE run_id = %s", [run_id]
        )
        assert alerts[0][0] == alerts[0][1] == sum(found["stored"] for found in proof["alerts"].values())
        return proof


def records_of(kinesis: Any, stream: str, since: datetime) -> Iterator[dict[str, Any]]:
    """What came into a stream since then, shard by shard in order, patient with the limits of reading."""

    def read(iterator: str) -> dict[str, Any] | None:
        try:
            answer: dict[str, Any] = kinesis.get_records(ShardIterator=iterator)
        except kinesis.exceptions.ProvisionedThroughputExceededException:
            return None
        return answer

    for shard in kinesis.list_shards(StreamName=stream)["Shards"]:
        iterator = kinesis.get_shard_iterator(
            StreamName=stream, ShardId=shard["ShardId"], ShardIteratorType="AT_TIMESTAMP", Timestamp=since
        )["ShardIterator"]
        while iterator:
            answer = eventually(partial(read, iterator), "records", interval_s=0.25)
            yield from answer["Records"]
            if not answer["Records"]:
                break
            iterator = answer.get("NextShardIterator")


def wait_for_steps(process: subprocess.Popen[str], count: int) -> None:
    """Reads what a setup or teardown says until so many of its steps are done, or it has ended."""
    assert process.stderr is not None
    done = 0
    for line in process.stderr:
        done += "✓" in line
        if done >= count:
            return


def program(name: str) -> str:
    """A program that is installed beside this Python."""
    return str(Path(sys.executable).parent / name)
