"""Which errors the loader tries again, how it holds its connection, what it logs: with a paper database."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import psycopg2
import psycopg2.errors
import psycopg2.extensions
import pytest

from tests.corpus.embedded_metrics import extracted
from tests.corpus.events import TUTORIAL_EVENT
from tests.corpus.lambda_events import ALERT_STREAM_ARN, kinesis_event
from txnpipe.functions.loader import entry
from txnpipe.functions.loader.connection import Credentials, Endpoint, WarmConnection, secret_reader
from txnpipe.functions.loader.loader import Loader, is_conflict, statement_timeout_ms
from txnpipe.functions.records import read_batch

BATCH = read_batch(kinesis_event([TUTORIAL_EVENT]))
NOW = datetime(2026, 1, 1, 0, 0, 2)


class Info:
    transaction_status = psycopg2.extensions.TRANSACTION_STATUS_IDLE


class Paper:
    """A connection whose statements go into `sent`; `errors` are raised first, one a statement."""

    info = Info()
    autocommit = False
    server_version = 80_002  # Redshift's

    def __init__(self, errors: list[Exception], sent: list[str], survives: bool = True) -> None:
        self.errors = errors
        self.sent = sent
        self.survives = survives
        self.closed = 0

    def cursor(self) -> Paper:
        return self

    def __enter__(self) -> Paper:
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def execute(self, statement: str) -> None:
        self.sent.append(statement)
        if statement != "ROLLBACK" and self.errors:
            self.closed = int(not self.survives)
            raise self.errors.pop(0)

    def fetchall(self) -> list[Any]:
        return []

    def close(self) -> None:
        self.closed = 1


class World:
    """Connects paper connections, and notes what is asked of it."""

    def __init__(self) -> None:
        self.sent: list[str] = []
        self.pauses: list[float] = []
        self.connects: list[dict[str, Any]] = []
        self.secrets_read = 0
        self.next: list[Paper | Exception] = []

    def connect(self, **options: Any) -> Any:
        self.connects.append(options)
        found = self.next.pop(0) if self.next else Paper([], self.sent)
        if isinstance(found, Exception):
            raise found
        return found

    def secret(self) -> Credentials:
        self.secrets_read += 1
        return Credentials("user", f"password {self.secrets_read}")

    def paper(self, *errors: Exception, survives: bool = True) -> None:
        self.next.append(Paper(list(errors), self.sent, survives))

    def loader(self) -> Loader:
        warm = WarmConnection(Endpoint("h", 5439, "d", "require"), self.secret, self.connect)
        return Loader(
            warm,
            ALERT_STREAM_ARN,
            timedelta(days=7),
            now=lambda: NOW,
            sleep=self.pauses.append,
            jitter=lambda: 1.0,
        )


def plenty() -> int:
    return 60_000


def serialization() -> Exception:
    return psycopg2.errors.SerializationFailure()


@pytest.fixture
def world() -> World:
    return World()


def test_a_batch_takes_two_messages(world: World) -> None:
    world.loader().load(BATCH, plenty)
    ask, write = world.sent
    assert ask.startswith("BEGIN;SET statement_timeout TO 29750;LOCK TABLE loader_mutex;SELECT ")
    assert "arrived_at >= '2025-12-25 00:00:00.125000'" in ask
    assert write.startswith("SET statement_timeout TO 29750;INSERT INTO transactions ")
    assert write.endswith(";COMMIT")
    assert "'2026-01-01 00:00:02'" in write


def test_alerts_go_into_their_own_table_and_every_other_stream_is_transactions(world: World) -> None:
    alert = (
        b'{"alert_id": "r:t", "rule": "r", "transaction_id": "t", "amount": 1,'
        b' "event_time": "2024-12-21T10:00:00Z", "detected_at": "2024-12-21T10:00:00Z"}'
    )
    world.loader().load(read_batch(kinesis_event([alert], stream_arn=ALERT_STREAM_ARN)), plenty)
    assert "INSERT INTO alerts" in world.sent[1]
    assert "INSERT INTO rejected" not in world.sent[1]


def test_rejects_alone_ask_no_question_about_rows(world: World) -> None:
    outcome = world.loader().load(read_batch(kinesis_event([b"bad"])), plenty)
    assert "FROM transactions" not in " ".join(world.sent)
    assert world.sent[0].startswith("BEGIN;")
    assert outcome.stored.rejects_stored == 1


def test_conflicts_are_tried_again_after_growing_pauses_six_times_in_all(world: World) -> None:
    world.paper(*[serialization() for _ in range(5)])
    assert world.loader().load(BATCH, plenty).attempts == 6
    assert world.pauses == [0.05, 0.1, 0.2, 0.4, 0.8]
    assert world.sent.count("ROLLBACK") == 5
    assert len(world.connects) == 1

    world.paper(*[serialization() for _ in range(6)])
    with pytest.raises(psycopg2.errors.SerializationFailure):
        world.loader().load(BATCH, plenty)


@pytest.mark.parametrize(
    ("error", "conflict"),
    [
        (psycopg2.errors.SerializationFailure("x"), True),
        (psycopg2.errors.DeadlockDetected("x"), True),
        (
            psycopg2.InternalError(
                "ERROR:  1023\nDETAIL:  Serializable isolation violation on table - 108038"
            ),
            True,
        ),
        (psycopg2.errors.QueryCanceled("canceling statement due to statement timeout"), False),
        (psycopg2.errors.UndefinedTable("relation 1023 does not exist"), False),
        (psycopg2.OperationalError("could not connect"), False),
    ],
)
def test_what_counts_as_a_conflict(error: psycopg2.Error, conflict: bool) -> None:
    assert is_conflict(error) is conflict


@pytest.mark.parametrize(
    "error",
    [psycopg2.errors.UndefinedTable(), psycopg2.errors.QueryCanceled(), psycopg2.errors.DiskFull()],
    ids=lambda error: type(error).__name__,
)
def test_any_other_error_is_raised_at_once_and_the_connection_kept(world: World, error: Exception) -> None:
    world.paper(error)
    loader = world.loader()
    with pytest.raises(type(error)):
        loader.load(BATCH, plenty)
    assert world.sent[1:] == ["ROLLBACK"]
    assert loader.load(BATCH, plenty).attempts == 1
    assert len(world.connects) == 1


def test_a_lost_connection_is_replaced_twice_and_no_more(world: World) -> None:
    def lost() -> Exception:
        return psycopg2.OperationalError("server closed the connection unexpectedly")

    for _ in range(2):
        world.paper(lost(), survives=False)
    assert world.loader().load(BATCH, plenty).attempts == 3
    assert world.pauses == [0.0, 0.0]
    for _ in range(3):
        world.paper(lost(), survives=False)
    with pytest.raises(psycopg2.OperationalError):
        world.loader().load(BATCH, plenty)


def test_nothing_is_tried_again_when_time_runs_out(world: World) -> None:
    world.paper(serialization(), serialization())
    times = iter([60_000, 60_000, 900])
    with pytest.raises(psycopg2.errors.SerializationFailure):
        world.loader().load(BATCH, lambda: next(times))
    assert world.pauses == []


def test_a_statement_gets_half_of_the_time_that_is_left() -> None:
    assert statement_timeout_ms(60_000) == 29_750
    assert statement_timeout_ms(100) == 1


def refused() -> Exception:
    return psycopg2.OperationalError('FATAL:  password authentication failed for user "txnpipe_loader"')


def test_the_secret_is_read_once_and_again_only_when_the_password_is_refused(world: World) -> None:
    loader = world.loader()
    loader.load(BATCH, plenty)
    loader._warehouse.drop()
    loader.load(BATCH, plenty)
    assert world.secrets_read == 1
    loader._warehouse.drop()
    world.next = [refused()]
    loader.load(BATCH, plenty)
    assert world.secrets_read == 2
    assert [options["password"][-1] for options in world.connects] == ["1", "1", "1", "2"]


def test_a_password_refused_twice_is_an_error(world: World) -> None:
    loader = world.loader()
    loader.load(BATCH, plenty)
    loader._warehouse.drop()
    world.next = [refused(), refused()]
    with pytest.raises(psycopg2.OperationalError, match="authentication"):
        loader.load(BATCH, plenty)


def test_a_server_that_cannot_be_reached_is_an_error_at_once(world: World) -> None:
    world.next = [psycopg2.OperationalError("connection refused")]
    with pytest.raises(psycopg2.OperationalError):
        world.loader().load(BATCH, plenty)
    assert len(world.connects) == 1


@pytest.mark.parametrize(("remaining_ms", "seconds"), [(60_000, 10), (5_500, 5), (100, 2)])
def test_connecting_is_bounded_by_the_time_that_is_left(
    world: World, remaining_ms: int, seconds: int
) -> None:
    world.loader().load(BATCH, lambda: remaining_ms)
    assert world.connects[0]["connect_timeout"] == seconds
    assert world.connects[0]["sslmode"] == "require"


class Context:
    aws_request_id = "request-1"

    def get_remaining_time_in_millis(self) -> int:
        return 60_000


@pytest.fixture
def warm(world: World, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setattr(entry, "_warm", [world.loader()])
    monkeypatch.setenv("PIPELINE", "default")
    return world


Lines = Callable[[], list[dict[str, Any]]]


@pytest.fixture
def lines(capsys: pytest.CaptureFixture[str]) -> Lines:
    return lambda: [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_each_invocation_leaves_one_line(warm: World, lines: Lines) -> None:
    answer = entry.handler(kinesis_event([TUTORIAL_EVENT, TUTORIAL_EVENT, b"bad", b"[]"]), Context())
    assert answer == {"batchItemFailures": []}
    (line,) = lines()
    assert line.pop("ask_ms") >= 0
    commit_ms, age_ms = line.pop("commit_ms"), line.pop("iterator_age_ms")
    assert commit_ms >= 0
    assert age_ms > 0
    expected = {"Records": 4, "Rows": 1, "Duplicates": 1, "Rejects": 2}
    expected |= {"CommitTime": commit_ms, "IteratorAge": age_ms}
    whole, one = (("Pipeline", "default"),), (("Pipeline", "default"), ("Stream", "TransactionStream"))
    assert extracted(json.dumps(line)) == {
        (name, each): value for name, value in expected.items() for each in (whole, one)
    }
    for key in ("_aws", "Pipeline", "Stream", *expected):
        del line[key]
    assert line == {
        "level": "INFO",
        "message": "batch loaded",
        "request_id": "request-1",
        "stream": "TransactionStream",
        "shard_id": "shardId-000000000000",
        "first_sequence_number": "49590338271490256608559692538361571095921575989136588898",
        "last_sequence_number": "49590338271490256608559692538361571095921575989136588901",
        "records": 4,
        "stored": 1,
        "duplicates": 1,
        "rejected": 2,
        "reasons": {"invalid_json": 1, "not_an_object": 1},
        "attempts": 1,
    }


def test_an_error_is_logged_without_row_contents_and_raised(warm: World, lines: Lines) -> None:
    warm.paper(
        psycopg2.errors.UndefinedTable('relation "transactions" does not exist\nLINE 1: ... txn123 ...')
    )
    with pytest.raises(psycopg2.errors.UndefinedTable):
        entry.handler(kinesis_event([TUTORIAL_EVENT]), Context())
    (line,) = lines()
    assert (line["level"], line["error"]) == ("ERROR", "UndefinedTable")
    assert line["detail"] == 'relation "transactions" does not exist'
    assert "txn123" not in json.dumps(line)


def test_an_event_without_records_is_no_reason_to_connect(warm: World, lines: Lines) -> None:
    assert entry.handler({"Records": []}, Context()) == {"batchItemFailures": []}
    assert warm.connects == []
    assert lines() == []


ENVIRONMENT = {
    "WAREHOUSE_HOST": "h",
    "WAREHOUSE_PORT": "5439",
    "WAREHOUSE_DATABASE": "d",
    "WAREHOUSE_SSLMODE": "require",
    "WAREHOUSE_SECRET_ARN": "arn:secret",
    "ALERT_STREAM_ARN": ALERT_STREAM_ARN,
    "DEDUPE_WINDOW_DAYS": "7",
}


@pytest.fixture
def no_client(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(entry, "secrets_manager", lambda: None)


@pytest.mark.usefixtures("no_client")
def test_a_loader_is_made_from_the_environment() -> None:
    assert isinstance(entry.loader_from_environment(ENVIRONMENT), Loader)


@pytest.mark.usefixtures("no_client")
@pytest.mark.parametrize("name", sorted(ENVIRONMENT))
def test_a_missing_variable_is_named(name: str) -> None:
    with pytest.raises(KeyError, match=name):
        entry.loader_from_environment({key: value for key, value in ENVIRONMENT.items() if key != name})


def test_the_secret_is_a_user_and_a_password_and_its_repr_shows_only_the_user() -> None:
    class Secrets:
        def get_secret_value(self, **request: str) -> dict[str, str]:
            assert request == {"SecretId": "arn:secret"}
            return {"SecretString": '{"username": "loader", "password": "hush"}'}

    credentials = secret_reader("arn:secret", Secrets())()
    assert credentials == Credentials("loader", "hush")
    assert "hush" not in repr(credentials)
