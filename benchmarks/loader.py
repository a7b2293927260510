"""Compares the loader with the tutorial's Lambda function, on the same PostgreSQL and in the same run.

    python benchmarks/loader.py [--json FILE]

The table holds 100,000 rows before each measurement. The baseline is the function of the 2024 tutorial as it
was, except that it decodes base64 (without that it stores nothing): a connection per invocation, amounts as
float, one INSERT per record. `floor` is what the machine can do at all: decode, validate, COPY (which
Redshift does not take from a client). `values` is what one would write instead of the loader, with psycopg2's
execute_values: decode, validate, ask which ids are stored, insert the others, on a connection that is kept.
`tuples` is the loader with the statements that it sends to Redshift, sent to PostgreSQL: how much of its rate
is owed to the constant table, which only PostgreSQL has (`txnpipe/functions/loader/insert.py`).
The 2 ms of round trip come from a TCP proxy that holds each direction back by 1 ms.

They take turns, batch by batch; rates are rows per second in the median round, a ratio is the loader's rate
to the other's, the median of the rounds' ratios. The numbers of a shared machine say little, their ratios
much. Exit code 1 where a ratio is below its goal.

Where a row's time goes, in microseconds at batch 1,000 on loopback when nothing else ran: 2.3 reading the
event, 4.7 parsing and validating, 2.2 making the statement's text, 1.1 locking and asking, 8 inserting and
committing. PostgreSQL's CPU time for the last, by the form of the statement: 8 for the constant table, 15 to
24 for tuples, 9 to 11 for rows packed ten to a literal and taken apart by SPLIT_PART, 4.5 for COPY. So the
next step would be COPY, which AWS's half of the loader cannot take.
"""

from __future__ import annotations

import base64
import io
import json
import selectors
import socket
import statistics
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import Any

import psycopg2
import psycopg2.extensions
from _local import ADMIN, DATABASE, PASSWORD, postgres
from psycopg2.extras import execute_values
from report import Report, Row, json_argument, write

from txnpipe.functions.loader.connection import Credentials, Endpoint, WarmConnection
from txnpipe.functions.loader.loader import Loader
from txnpipe.functions.records import read_batch
from txnpipe.transactions import Transaction, encode, parse
from txnpipe.warehouse import migrations, users
from txnpipe.warehouse.direct import DirectWarehouse, connector

TABLE_ROWS = 100_000
STREAM_ARN = "arn:aws:kinesis:us-east-1:000000000000:stream/TransactionStream"
GOALS = {(100, False): 4.0, (1000, False): 4.0, (100, True): 20.0, (1000, True): 35.0}
"""(batch size, behind the proxy) → the least that the loader must beat the baseline by."""
LEAST_SHARE = 0.6
"""Of the floor's rate, at batch 1,000 on loopback."""

Event = dict[str, Any]
Function = Callable[[Event], None]


@dataclass(frozen=True)
class Server:
    """Where the database is, and an administrator's connection to look after it."""

    host: str
    port: int
    admin: Any


class Events:
    """Makes invocation events of ever new records."""

    def __init__(self) -> None:
        self._made = 0

    def batch(self, size: int) -> Event:
        started = datetime(2026, 1, 1)
        records = []
        for number in range(self._made, self._made + size):
            transaction = Transaction(
                f"bench-0a1b2c3d-{number:09d}",
                Decimal(number % 2_000_000).scaleb(-2),
                ("purchase", "refund", "withdrawal")[number % 3],
                started + timedelta(milliseconds=number),
                f"bench-0a1b2c3d-a{number % 1000:05d}",
                f"Merchant {number % 50}",
                "US",
                "USD",
                "bench-0a1b2c3d",
            )
            records.append(
                {
                    "eventID": f"shardId-000000000000:{10**55 + number}",
                    "eventSourceARN": STREAM_ARN,
                    "kinesis": {
                        "data": base64.b64encode(encode(transaction)).decode(),
                        "sequenceNumber": str(10**55 + number),
                        "approximateArrivalTimestamp": time.time(),
                    },
                }
            )
        self._made += size
        return {"Records": records}


def tutorial_function(server: Server) -> Function:
    """The tutorial's Lambda function, repaired only so that it decodes base64."""

    def lambda_handler(event: Event) -> None:
        connection = psycopg2.connect(
            host=server.host, port=server.port, dbname="txnpipe", user="txnpipe_loader", password=PASSWORD
        )
        cursor = connection.cursor()
        for record in event["Records"]:
            transaction = json.loads(base64.b64decode(record["kinesis"]["data"]))
            cursor.execute(
                "INSERT INTO tutorial_transactions"
                ' (transaction_id, amount, transaction_type, "timestamp") VALUES (%s, %s, %s, %s)',
                (
                    transaction["transaction_id"],
                    float(transaction["amount"]),
                    transaction["transaction_type"],
                    transaction["timestamp"],
                ),
            )
        connection.commit()
        cursor.close()
        connection.close()

    return lambda_handler


class AsRedshift(psycopg2.extensions.connection):
    """A connection to a server that the loader takes for Redshift by its version."""

    server_version = 80_002


def loader_function(server: Server, factory: Any = None) -> Function:
    """Ours: the loader, warm as it is between invocations. `factory` is the class of its connection."""
    endpoint = Endpoint(server.host, server.port, "txnpipe", "prefer")
    connect = partial(psycopg2.connect, connection_factory=factory)
    warm = WarmConnection(endpoint, lambda: Credentials("txnpipe_loader", PASSWORD), connect)
    loader = Loader(warm, "", timedelta(days=7))

    def function(event: Event) -> None:
        loader.load(read_batch(event), lambda: 60_000)

    return function


def tuples_function(server: Server) -> Function:
    """Ours with Redshift's form of statement."""
    return loader_function(server, AsRedshift)


def floor_function(server: Server) -> Function:
    """Decode, validate and COPY: no question asked, no statement built."""
    connection = psycopg2.connect(
        host=server.host, port=server.port, dbname="txnpipe", user="txnpipe_loader", password=PASSWORD
    )

    def function(event: Event) -> None:
        now = datetime.now()
        lines = []
        for record in event["Records"]:
            t = parse(base64.b64decode(record["kinesis"]["data"]))
            lines.append(
                f"{t.transaction_id}\t{t.amount}\t{t.transaction_type}\t{t.timestamp}\t{t.account_id}\t{t.merchant}"
                f"\t{t.country}\t{t.currency}\t{t.run_id}\t{now}\t{now}\tshardId-000000000000"
                f"\t{record['kinesis']['sequenceNumber']}\n"
            )
        with connection.cursor() as cursor:
            cursor.copy_expert("COPY transactions FROM STDIN", io.StringIO("".join(lines)))
        connection.commit()

    return function


def values_function(server: Server) -> Function:
    """execute_values in place of the loader's statements: every id once, no lock, no rejects."""
    connection = psycopg2.connect(
        host=server.host, port=server.port, dbname="txnpipe", user="txnpipe_loader", password=PASSWORD
    )

    def function(event: Event) -> None:
        now = datetime.now()
        rows = {}
        for record in event["Records"]:
            t = parse(base64.b64decode(record["kinesis"]["data"]))
            place = ("shardId-000000000000", record["kinesis"]["sequenceNumber"])
            content = (t.transaction_id, t.amount, t.transaction_type, t.timestamp, t.account_id, t.merchant)
            rows[t.transaction_id] = (*content, t.country, t.currency, t.run_id, now, now, *place)
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT transaction_id FROM transactions WHERE transaction_id IN %s", (tuple(rows),)
            )
            for (transaction_id,) in cursor.fetchall():
                del rows[transaction_id]
            execute_values(
                cursor, "INSERT INTO transactions VALUES %s", list(rows.values()), page_size=len(rows) or 1
            )
        connection.commit()

    return function


def fill(server: Server) -> None:
    """Brings both tables to exactly TABLE_ROWS rows."""
    with server.admin.cursor() as cursor:
        cursor.execute("TRUNCATE transactions, tutorial_transactions")
        cursor.execute(
            f"""INSERT INTO transactions SELECT 'old-' || n, n % 9999, 'purchase', TIMESTAMP '2026-01-01',
            'a-' || n % 1000, 'Merchant', 'US', 'USD', 'old', LOCALTIMESTAMP, LOCALTIMESTAMP,
            'shardId-000000000000', (4 * 10::numeric ^ 55 + n)::numeric(56)::text
            FROM generate_series(1, {TABLE_ROWS}) n"""
        )
        cursor.execute("INSERT INTO tutorial_transactions SELECT * FROM transactions")
        cursor.execute("ANALYZE transactions, tutorial_transactions")


def compare(functions: list[Function], events: Events, size: int, rounds: int) -> list[list[float]]:
    """Seconds per batch of each function, one a round. They take turns, so that a busy machine slows all."""
    for function in functions:
        function(events.batch(size))
    taken: list[list[float]] = [[] for _ in functions]
    for _ in range(rounds):
        for function, seconds in zip(functions, taken, strict=True):
            event = events.batch(size)
            started = time.perf_counter()
            function(event)
            seconds.append(time.perf_counter() - started)
    return taken


@contextmanager
def delayed(port: int, one_way_s: float) -> Iterator[int]:
    """A proxy to a local port that holds each chunk back by `one_way_s` in each direction."""
    listener = socket.create_server(("127.0.0.1", 0))
    stopped = threading.Event()

    def accept() -> None:
        while not stopped.is_set():
            try:
                client, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=_relay, args=(client, port, one_way_s, stopped), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield listener.getsockname()[1]
    finally:
        stopped.set()
        listener.close()


def _relay(client: socket.socket, port: int, one_way_s: float, stopped: threading.Event) -> None:
    server = socket.create_connection(("127.0.0.1", port))
    other = {client: server, server: client}
    late: deque[tuple[float, socket.socket, bytes]] = deque()
    with selectors.DefaultSelector() as selector, client, server:
        for end in other:
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            selector.register(end, selectors.EVENT_READ, end)
        while not stopped.is_set():
            pause = 0.1 if not late else max(0.0, late[0][0] - time.perf_counter())
            for key, _ in selector.select(pause):
                source: socket.socket = key.data
                chunk = source.recv(1 << 20)
                late.append((time.perf_counter() + one_way_s, other[source], chunk))
                if not chunk:
                    selector.unregister(source)
            while late and late[0][0] <= time.perf_counter():
                _, target, chunk = late.popleft()
                if not chunk:
                    return
                target.sendall(chunk)


@contextmanager
def database_server() -> Iterator[Server]:
    """A PostgreSQL as the local cloud runs it, with the pipeline's tables and users, and the tutorial's."""
    with postgres() as server:
        connect = connector("127.0.0.1", server.port, DATABASE, ADMIN, lambda: PASSWORD, "prefer")
        with DirectWarehouse(connect) as warehouse:
            migrations.apply(warehouse)
            users.ensure_loader_user(warehouse, "txnpipe_loader", PASSWORD)
        admin = connect()
        with admin.cursor() as cursor:
            # Same columns and index as ours, so that the two differ in nothing but the function.
            cursor.execute("CREATE TABLE tutorial_transactions (LIKE transactions INCLUDING INDEXES)")
            for column in ("arrived_at", "stored_at", "shard_id", "sequence_number"):
                cursor.execute(f"ALTER TABLE tutorial_transactions ALTER {column} DROP NOT NULL")
            cursor.execute("GRANT INSERT ON tutorial_transactions TO txnpipe_loader")
            cursor.execute("GRANT INSERT ON transactions TO txnpipe_loader")
        yield Server("127.0.0.1", server.port, admin)
        admin.close()


def main() -> int:
    """Runs the comparison, prints it and writes it."""
    given = json_argument(__doc__)
    figures: list[Row] = []
    events = Events()
    print(f"rows/s into a table of {TABLE_ROWS:,} rows; the loader's rate as a multiple of the others'")
    print(
        f"{'':<38}{'tutorial':>9}{'values':>9}{'floor':>9}{'tuples':>9}{'loader':>9}"
        f"{'x tutorial':>12}{'goal':>5}{'x values':>10}{'x floor':>9}{'x tuples':>10}"
    )
    with database_server() as direct, delayed(direct.port, 0.001) as slow_port:
        slow = Server("127.0.0.1", slow_port, direct.admin)
        for (size, behind_proxy), goal in GOALS.items():
            server = slow if behind_proxy else direct
            functions = [each(server) for each in FUNCTIONS]
            fill(direct)
            rounds = 8 if behind_proxy else 30 if size > 100 else 60
            taken = compare(functions, events, size, rounds)
            *others, ours = taken
            tutorial, values, floor, tuples = (_ratio(each, ours) for each in others)
            rates = [size / statistics.median(seconds) for seconds in taken]
            where = f"batches of {size:,}, {'2 ms of round trip' if behind_proxy else 'loopback'}"
            rate = rates[-1]
            rows = [
                Row(where, rate, "rows/s", "the tutorial", tutorial, f"at least {goal:g}", tutorial >= goal),
                Row(where, rate, "rows/s", "psycopg2's execute_values", values),
                Row(where, rate, "rows/s", "decode, validate and COPY", floor),
                Row(where, rate, "rows/s", "the loader with Redshift's statements", tuples),
            ]
            if (size, behind_proxy) == (1000, False):
                rows[2] = replace(rows[2], goal=f"at least {LEAST_SHARE:g}", met=floor >= LEAST_SHARE)
            figures += rows
            print(
                f"  {where:<36}{''.join(f'{each:>9,.0f}' for each in rates)}{tutorial:>12.1f}{goal:>5.0f}"
                f"{values:>10.1f}{floor:>9.2f}{tuples:>10.1f}"
                f"{'  MISSED' if any(row.met is False for row in rows) else ''}",
                flush=True,
            )
    what = f"Transactions into a table of {TABLE_ROWS:,} rows, on one PostgreSQL in turns"
    report = Report("loader", what, figures)
    write(report, given)
    return 0 if report.met else 1


FUNCTIONS = (tutorial_function, values_function, floor_function, tuples_function, loader_function)


def _ratio(theirs: list[float], ours: list[float]) -> float:
    return statistics.median(their / own for their, own in zip(theirs, ours, strict=True))


if __name__ == "__main__":
    sys.exit(main())
